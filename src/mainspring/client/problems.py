"""A server's refusals as exceptions: the types of `mainspring.errors`, so that code catches the same ones either way.

Problem                      every refusal: ``status``, ``code``, ``detail``, ``request_id``, ``retryable``, ``errors``
├── InvalidProblem           400, 422: input to mend; also a `ValidationError`, with ``field`` and ``fix``
├── UnauthorizedProblem      401: no key, or one that does not hold; also an `UnauthorizedError`
├── ForbiddenProblem         403: the key's role does not allow it; also a `ForbiddenError`
├── NotFoundProblem          404: also a `NotFoundError`
├── ConflictProblem          409: also a `ConflictError`
│   └── OverlapProblem       the job is active: ``running`` names the execution; also an `OverlapConflictError`
├── RevisionProblem          412: it changed since it was read; also a `RevisionConflictError`, with ``current``
├── LimitProblem             a quota or a size; also a `LimitExceededError`
├── BusyProblem              429, still after every try: too many requests
└── UnavailableProblem       503, still after every try: nothing was written; also a `StoreUnavailableError`

`ServerUnreachableError` is for a server that gave no answer at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mainspring import errors
from mainspring.errors import ServerUnreachableError

__all__ = [
    "BusyProblem",
    "ConflictProblem",
    "ForbiddenProblem",
    "InvalidProblem",
    "LimitProblem",
    "NotFoundProblem",
    "OverlapProblem",
    "Problem",
    "RevisionProblem",
    "ServerUnreachableError",
    "UnauthorizedProblem",
    "UnavailableProblem",
    "path_of",
    "problem_of",
]


class Problem(errors.MainspringError):
    """A request was refused. ``code`` is the word to decide by; the message is for people.

    ``field`` is the path of what is wrong in the request (empty: no single one), ``fix`` how to mend it, where the
    server knows.
    """

    def __init__(self, status: int, wire: Mapping[str, Any]) -> None:
        self.status, self.wire = status, wire
        self.code = str(wire.get("code") or "error")
        self.detail = str(wire.get("detail") or wire.get("title") or f"the server answered {status}")
        self.request_id = str(wire.get("request_id") or "")
        self.retryable = bool(wire.get("retryable"))
        self.errors: list[Mapping[str, Any]] = list(wire.get("errors") or ())
        first = self.errors[0] if self.errors else {}
        self.field = path_of(str(first.get("pointer") or ""))
        if self.code == "schedule":  # the pointer is into the body; the package's own error names the schedule's part
            self.field = self.field.removeprefix("schedule.")
        self.fix: str | None = first.get("hint")
        self.problem = str(first.get("message") or self.detail)
        self.text: str | None = first.get("text")
        Exception.__init__(self, self.detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.wire)


class InvalidProblem(Problem, errors.ValidationError):
    """The request cannot be done as it stands: mend ``field`` and send it again."""


class UnauthorizedProblem(Problem, errors.UnauthorizedError):
    """There is no key, or it does not hold."""


class ForbiddenProblem(Problem, errors.ForbiddenError):
    """The key's role does not allow it; the message names the scope that is missing."""


class NotFoundProblem(Problem, errors.NotFoundError):
    """There is no such thing on this platform."""


class ConflictProblem(Problem, errors.ConflictError):
    """The present state does not allow it: read again, then decide."""


class OverlapProblem(ConflictProblem, errors.OverlapConflictError):
    """The job is active and its overlap policy refuses another execution: ``running`` holds the slot."""

    def __init__(self, status: int, wire: Mapping[str, Any]) -> None:
        super().__init__(status, wire)
        self.running = str(wire.get("running") or "")


class RevisionProblem(Problem, errors.RevisionConflictError):
    """The job changed since it was read: ``current`` is its revision now."""

    def __init__(self, status: int, wire: Mapping[str, Any]) -> None:
        super().__init__(status, wire)
        self.current = int(wire.get("current_revision") or 0)


class LimitProblem(Problem, errors.LimitExceededError):
    """A quota or a size is exceeded; nothing was written."""


class BusyProblem(Problem):
    """There were too many requests, at every try."""


class UnavailableProblem(Problem, errors.StoreUnavailableError):
    """The server could not serve it at any try; nothing was written."""


_OF_CODE: Mapping[str, type[Problem]] = {
    "overlap": OverlapProblem,
    "revision": RevisionProblem,
    "limit": LimitProblem,
    "idempotency_key_reused": ConflictProblem,
}
_OF_STATUS: Mapping[int, type[Problem]] = {
    400: InvalidProblem,
    401: UnauthorizedProblem,
    403: ForbiddenProblem,
    404: NotFoundProblem,
    409: ConflictProblem,
    412: RevisionProblem,
    413: InvalidProblem,
    415: InvalidProblem,
    422: InvalidProblem,
    428: InvalidProblem,
    429: BusyProblem,
    503: UnavailableProblem,
}


def problem_of(status: int, content: bytes) -> Problem:
    r"""Return the exception of an answer; one that is no problem of RFC 9457 (a proxy's page) is told by its status.

    >>> body = b'{"code": "not_found", "detail": "no job"}'
    >>> problem_of(404, body), problem_of(502, b"<html>").code
    (NotFoundProblem('no job'), 'error')
    """
    try:
        wire = json.loads(content)
    except ValueError:
        wire = None
    if not isinstance(wire, dict) or "code" not in wire:
        wire = {"detail": f"the server answered {status}, and not in the manner of this API: is the address right?"}
    kind = _OF_CODE.get(str(wire.get("code"))) or _OF_STATUS.get(status, Problem)
    return kind(status, wire)


def path_of(pointer: str) -> str:
    """Return the path a JSON pointer means, in the words of `ValidationError`.

    >>> path_of("/retry/max_retries"), path_of("/on_success/0"), path_of("")
    ('retry.max_retries', 'on_success[0]', '')
    """
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    path = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
    return path.removeprefix(".")
