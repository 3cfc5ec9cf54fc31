"""How one ask becomes an answer: tries, pauses between them, and when to give up. It sends nothing and sleeps nowhere.

Each conversation is a generator of steps. A driver takes them one by one: it sends what a `Send` says and gives back
what came, or waits as a `Pause` says. So the drivers, one blocking and one of asyncio, share every decision.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from mainspring._version import __version__
from mainspring.client.ask import Ask
from mainspring.client.problems import Problem, ServerUnreachableError, problem_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """A request to send."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. ``sent``: the request may have arrived all the same."""

    why: str
    sent: bool


Step = Send | Pause
#: A driver gives back a `Reply` or a `Lost` for a `Send`, and None for a `Pause`.
Steps = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried again, and how long pauses may be. ``retries`` 0: once only.

    Pauses double from ``base`` seconds to ``cap``, each drawn at random from what it may be ("full jitter"); where the
    server says Retry-After, no less than that, and at most ``longest``.
    """

    retries: int = 4
    base: float = 0.25
    cap: float = 8.0
    longest: float = 60.0

    def pause(self, tries: int, draw: float, retry_after: float | None = None) -> float:
        """Return the seconds before the next try, after ``tries`` of them.

        >>> Patience().pause(3, 0.5), Patience().pause(1, 0.5, retry_after=2)
        (0.5, 2.125)
        """
        drawn = min(self.cap, self.base * float(1 << min(tries - 1, 16))) * draw
        return drawn if retry_after is None else min(self.longest, retry_after + drawn)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks whom, and how patiently: one request takes ``timeout`` seconds at most."""

    server: str
    platform: str = "self"
    key: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    patience: Patience = Patience()
    random: Random = field(default_factory=Random, repr=False)

    def ask(self, ask: Ask[T]) -> Steps[T]:
        """Ask until there is an answer, or a reason to stop; return it read.

        A repeat is sent only where it does no harm: a question, a change under an ``Idempotency-Key``, or where the
        server says that nothing was done.
        """
        send = request_of(ask, self.platform, self.key)
        tries = 0
        while True:
            got = yield send
            tries += 1
            pause = self._again(ask, got, tries)
            if pause is None:
                return ask.reads(self.opened(got))
            yield Pause(pause)

    def opened(self, got: Reply | Lost) -> Any:
        """Return the plain data of an answer; raise what it says otherwise."""
        if isinstance(got, Lost):
            raise ServerUnreachableError(self.server, got.why, sent=got.sent)
        if got.status >= 300:
            raise problem_of(got.status, got.content)
        if not got.content:
            return None
        import orjson

        try:
            return orjson.loads(got.content)
        except ValueError:
            detail = "the server answered with something that is not JSON: is the address right?"
            raise Problem(got.status, {"detail": detail}) from None

    def _again(self, ask: Ask[Any], got: Reply | Lost, tries: int) -> float | None:
        """Return the pause before the next try; None if there is none."""
        if tries > self.patience.retries:
            return None
        if isinstance(got, Lost):
            again, after = not got.sent or ask.harmless, None
        else:
            again, after = _worth_another(ask, got), retry_after(got.headers)
        return self.patience.pause(tries, self.random.random(), after) if again else None


def _worth_another(ask: Ask[Any], reply: Reply) -> bool:
    if reply.status == 429:
        return True
    if reply.status == 409:  # the first request under this key may be still at work
        return ask.repeatable and b'"idempotency_in_progress"' in reply.content
    if reply.status == 503:
        return ask.harmless or b'"timeout"' not in reply.content
    return reply.status in (502, 504) and ask.harmless  # a proxy's word: what became of it nobody knows


def request_of(ask: Ask[Any], platform: str, key: str | None, *, accept: str = "application/json") -> Send:
    """Return the request of an ask, the same at each try: its ``Idempotency-Key`` is drawn here, once."""
    headers = {"Accept": accept, "User-Agent": f"mainspring-client/{__version__}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if ask.if_match is not None:
        headers["If-Match"] = ask.if_match
    if ask.repeatable:
        headers["Idempotency-Key"] = ask.idempotency_key or str(uuid.uuid4())
    content = None
    if ask.body is not None:
        import orjson

        content = orjson.dumps(ask.body, default=_plain)
        headers["Content-Type"] = "application/json"
    return Send(ask.method, ask.url(platform), ask.parameters(), headers, content)


def streaming(send: Send, last_id: str | None) -> Send:
    """Return a request for a stream, from behind an event on."""
    headers = {**send.headers, "Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    return replace(send, headers=headers)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a Retry-After says; None for none, and for a date: clocks differ.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    (2.0, None)
    """
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() else None


def _plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
