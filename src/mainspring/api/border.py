"""The outermost layer: an id for each request, bounds on what comes in, security headers on all that goes out."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainspring.api.problems import problem
from mainspring.api.requests import Requests
from mainspring.api.strict import BODY_LIMIT

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Longest path and query, and most headers.
PATH_LIMIT, QUERY_LIMIT, HEADERS_LIMIT = 4_096, 16_384, 100

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Media types of answers that take as long as they take.
STREAMED = ("text/event-stream", "application/x-ndjson")


@dataclass(frozen=True, slots=True)
class BorderSettings:
    """``deadline`` is the longest a request may take to be answered, in seconds; streams are not bound by it."""

    body_limit: int = BODY_LIMIT
    deadline: float = 30.0


class TooLargeError(Exception):
    """A body went over the limit while it was read."""


class Border:
    """ASGI middleware; nothing below it sees a request that is not within bounds."""

    def __init__(
        self,
        app: ASGIApp,
        settings: BorderSettings | None = None,
        *,
        new_id: Callable[[], str] | None = None,
        requests: Requests | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._app, self._settings, self._requests = app, settings or BorderSettings(), requests
        self._stopping = stopping
        self._new_id = new_id or (lambda: uuid.uuid4().hex)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        answer, began = _Answer(send, request_id), asyncio.get_running_loop().time()
        scope["state"]["allow"] = answer.allow
        try:
            await self._admit(scope, headers, receive, answer, request_id)
        finally:
            if self._requests is not None:
                seconds = asyncio.get_running_loop().time() - began
                self._requests.count(scope, answer.status, seconds, streamed=answer.streamed)

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive, answer: _Answer, request_id: str) -> None:
        refused = self._refusal(scope, headers)
        if refused is not None:
            status, code, why = refused
            told = problem(status, code, why, instance=scope["path"][:PATH_LIMIT], request_id=request_id)
            await told(scope, receive, answer)
            return
        await self._bounded(scope, _limited(receive, self._settings.body_limit), answer, request_id)

    async def _bounded(self, scope: Scope, receive: Receive, answer: _Answer, request_id: str) -> None:
        try:
            async with asyncio.timeout(self._settings.deadline) as deadline:
                answer.deadline = deadline
                await self._app(scope, receive, answer)
        except TooLargeError:
            told = f"at most {self._settings.body_limit} bytes"
            refusal = problem(413, "payload_too_large", told, instance=scope["path"], request_id=request_id)
            await refusal(scope, receive, answer)
        except TimeoutError:
            if answer.started:
                raise
            told = "it took too long; it may have been done: ask again with the same Idempotency-Key"
            await problem(503, "timeout", told, instance=scope["path"], request_id=request_id)(scope, receive, answer)
        except asyncio.CancelledError:
            if answer.started or not self._stopping():
                raise
            told = "the server stops; it may have been done: ask again with the same Idempotency-Key"
            await problem(503, "timeout", told, instance=scope["path"], request_id=request_id)(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        if len(scope["headers"]) > HEADERS_LIMIT:
            return 400, "validation", f"more than {HEADERS_LIMIT} headers"
        if len(scope["query_string"]) > QUERY_LIMIT:
            return 400, "validation", f"the query is longer than {QUERY_LIMIT} bytes"
        if len(scope["path"]) > PATH_LIMIT:
            return 400, "validation", f"the path is longer than {PATH_LIMIT} characters"
        if not (_is_text(scope.get("raw_path", b"")) and _is_text(scope["query_string"])):
            return 400, "validation", "the address is not UTF-8"
        if "\x00" in scope["path"] or b"%00" in scope["query_string"] or b"\x00" in scope["query_string"]:
            return 400, "validation", "a null character in the address"
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdecimal():
            return 400, "validation", "Content-Length is not a number"
        if int(length[:20]) > self._settings.body_limit:
            return 413, "payload_too_large", f"at most {self._settings.body_limit} bytes"
        return None


class _Answer:
    """Sends an answer with the headers every answer has; once a stream began, no deadline ends it."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.started = self.streamed = False
        self.status = 500
        self.deadline: asyncio.Timeout | None = None

    def allow(self, seconds: float) -> None:
        """Move the deadline to so many seconds from now: this request waits for something."""
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = MutableHeaders(raw=message["headers"])
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._request_id
            self.streamed = headers.get("content-type", "").startswith(STREAMED)
            if self.deadline is not None and self.streamed:
                self.deadline.reschedule(None)
        await self._send(message)


def _is_text(raw: bytes) -> bool:
    """Tell whether part of an address is UTF-8 once it is decoded: what is not would be read as something else."""
    if b"%" not in raw and raw.isascii():
        return True
    try:
        unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _limited(receive: Receive, limit: int) -> Receive:
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise TooLargeError
        return message

    return limited
