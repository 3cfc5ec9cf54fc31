"""One request at work: reads confined to its platform; changes with their repeat, their dry run and their answer.

The answer to a change is made inside its transaction. So it can be kept there for a repeat with the same
``Idempotency-Key``, and thrown away with everything else where only a dry run was asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NoReturn, TypeVar

import orjson
from fastapi import Depends, Header, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mainspring.api.guard import Guard, Principal
from mainspring.api.problems import ApiError
from mainspring.control.health import HealthLimits
from mainspring.control.keys import KeyService
from mainspring.control.listing import ListRequest, Page, list_page
from mainspring.control.operations import OperationService
from mainspring.control.platforms import PlatformAdmin
from mainspring.control.rows import chosen_fields, page_body
from mainspring.control.scheduler import SchedulerService
from mainspring.control.service import PlatformService
from mainspring.errors import StoreUnavailableError
from mainspring.model.admin import Answer, Caller
from mainspring.model.filters import Node
from mainspring.model.nouns import Noun
from mainspring.moves.jobs import at_revision
from mainspring.moves.schedules import Schedules
from mainspring.ports.sealing import Sealer
from mainspring.ports.store import Store, Tx, Work
from mainspring.ports.tracing import Tracing
from mainspring.ports.transport import DatabaseTransport, Transport
from mainspring.ports.webhooks import WebhookSender

T = TypeVar("T")
S = TypeVar("S", bound=PlatformService)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with: a status, plain data (None: nothing), and its ETag."""

    body: Any = None
    status: int = 200
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ApiState:
    """What every request of a server shares."""

    store: Callable[[], Store]
    schedules: Schedules
    guard: Guard
    default_platform: str
    sealer: Callable[[], Sealer]
    sender: Callable[[], WebhookSender]
    health: HealthLimits = field(default_factory=HealthLimits)
    tracing: Callable[[], Tracing | None] = lambda: None
    transport: Callable[[], Transport] = DatabaseTransport


class Call:
    """One admitted request to one platform."""

    def __init__(self, request: Request, state: ApiState, principal: Principal, platform_id: str) -> None:
        self.request, self.state, self.principal, self.platform_id = request, state, principal, platform_id
        self.dry_run = False
        self.idempotency_key: str | None = None
        #: The job, and its revision, that a change is for; None: whatever it is now.
        self.expected: tuple[str, int] | None = None
        #: Whether the second wall stands around what this request does; False only for keys of every platform.
        self.walled = True

    @property
    def wall(self) -> str | None:
        """The platform everything is confined to."""
        return self.platform_id if self.walled else None

    @property
    def everywhere(self) -> bool:
        """Whether who asks is of every platform, and may know what the whole fleet shares."""
        return self.principal.platform_id is None

    @property
    def sees_payloads(self) -> bool:
        """Whether payloads and results may be shown."""
        return "payloads:read" in self.principal.scopes

    def require(self, scope: str, why: str) -> None:
        """Refuse what needs more than the route itself does."""
        from mainspring.errors import ForbiddenError

        if scope not in self.principal.scopes:
            raise ForbiddenError(scope, why=why)

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """Run a read that sees this platform alone."""
        return await self.state.store().read(lambda tx: confined(tx, self.wall, work))

    async def page(
        self,
        noun: Noun,
        query: Paging,
        show: Callable[[Tx, list[Any]], list[dict[str, Any]]],
        *fixed: Node | Callable[[Tx], Node],
    ) -> Response:
        """Answer with one page of a list; ``show`` makes its rows plain, in the same transaction.

        ``fixed`` must hold besides the filter; it may have to be looked up there as well.
        """

        def work(tx: Tx) -> tuple[Page, list[dict[str, Any]]]:
            held = [one(tx) if callable(one) else one for one in fixed]
            page = list_page(tx, noun, self.platform_id, query.request(content=self.sees_payloads), *held)
            return page, show(tx, list(page.rows))

        page, rows = await self.read(work)
        return self.answer(Reply(page_body(page, query.chosen(rows))))

    def answer(self, reply: Reply) -> Response:
        """Return a reply as a response; what the caller has already is not sent again."""
        headers = dict(reply.headers)
        if reply.etag is not None:
            headers["ETag"] = reply.etag
            wanted = self.request.headers.get("if-none-match", "")
            if self.request.method == "GET" and has_already(wanted, reply.etag):
                return Response(status_code=304, headers=headers)
        if reply.body is None:
            return Response(status_code=204 if reply.status == 200 else reply.status, headers=headers)
        return Response(encoded(reply.body), reply.status, headers, "application/json")

    # -- changing ------------------------------------------------------------------------------------------------

    def expect(self, job: str, if_match: str | None) -> None:
        """Let the change be refused where a job is not at the revision that If-Match names."""
        revision = revision_of(if_match)
        self.expected = None if revision is None else (job, revision)

    async def change(
        self, kind: type[S], act: Callable[[S], Awaitable[T]], present: Callable[[T], Reply], *, keep: bool = True
    ) -> Response:
        """Let a service change something and answer with what ``present`` makes of it.

        ``keep`` False: the answer is not kept for a repeat, as one that holds a secret; then no idempotency key is
        taken.
        """
        if not keep and self.idempotency_key is not None:
            raise ApiError(400, "idempotency_not_supported", "its answer is given only once: leave the key out")
        made: list[Reply] = []

        def presented(result: T) -> Reply:
            made[:] = [present(result)]
            return made[0]

        store = EffectStore(self, presented, await self._fingerprint())
        try:
            await act(self.service(kind, store))
        except _RepeatedError as repeated:
            return self._repeat(repeated.answer)
        except _DryRunError as done:
            return self.answer(replace(done.reply, status=200, headers={"X-Dry-Run": "true"}))
        return self.answer(made[0])

    def service(self, kind: type[S], store: Store) -> S:
        """Return a service that acts for this request."""
        client = self.request.client
        caller = Caller(
            f"key:{self.principal.id}" if self.principal.key is not None else self.principal.id,
            "api",
            client.host if client is not None else None,
            self.request.scope.get("state", {}).get("request_id"),
        )
        service = kind(store, platform_id=self.platform_id, schedules=self.state.schedules, caller=caller)
        if isinstance(service, SchedulerService):
            service.health_limits, service.tracing = self.state.health, self.state.tracing()
        return service

    async def _fingerprint(self) -> str:
        request = self.request
        told = [request.method, request.url.path, *sorted(f"{k}={v}" for k, v in request.query_params.multi_items())]
        body = await request.body()
        return hashlib.blake2b("\n".join(told).encode() + b"\n" + body, digest_size=32).hexdigest()

    def _repeat(self, answer: Answer) -> Response:
        headers = {"Idempotency-Replayed": "true"}
        if answer.etag is not None:
            headers["ETag"] = answer.etag
        if not answer.body:
            return Response(status_code=answer.status, headers=headers)
        return Response(answer.body, answer.status, headers, "application/json")


class EffectStore:
    """The store as one change sees it: confined, with the answer made, kept and, for a dry run, undone."""

    def __init__(self, call: Call, present: Callable[[Any], Reply], fingerprint: str) -> None:
        self._call, self._present, self._fingerprint = call, present, fingerprint
        self._inner = call.state.store()

    async def open(self) -> None:
        """Do nothing: the server has opened it."""

    async def close(self) -> None:
        """Do nothing: the server closes it."""

    async def write(self, work: Work[T]) -> T:
        """Run a change whole: reserve its key, do it, keep its answer."""
        return await self._inner.write(lambda tx: confined(tx, self._call.wall, lambda tx: self._run(tx, work)))

    async def read(self, work: Work[T]) -> T:
        """Run a read, confined."""
        return await self._inner.read(lambda tx: confined(tx, self._call.wall, work))

    def write_blocking(self, work: Work[T]) -> T:
        """Refuse: a request runs on the event loop."""
        raise StoreUnavailableError("a request cannot block the event loop")

    read_blocking = write_blocking

    def _run(self, tx: Tx, work: Work[T]) -> T:
        call, key = self._call, self._call.idempotency_key
        kept = Answer(call.platform_id, call.principal.id, key, self._fingerprint, tx.now) if key is not None else None
        if kept is not None and not tx.admin.reserve_answer(kept):
            self._repeat(tx, kept)
        if call.expected is not None:
            at_revision(tx, call.platform_id, *call.expected)
        result = work(tx)
        reply = self._present(result)
        if call.dry_run:
            raise _DryRunError(reply)
        if kept is not None:
            body = "" if reply.body is None else encoded(reply.body).decode()
            status = 204 if reply.body is None and reply.status == 200 else reply.status
            tx.admin.put_answer(replace(kept, status=status, body=body, etag=reply.etag))
        return result

    def _repeat(self, tx: Tx, kept: Answer) -> NoReturn:
        stored = tx.admin.answer(kept.platform_id, kept.principal, kept.key)
        if stored is None or not stored.status:
            why = "the first request with this Idempotency-Key is still running: ask again"
            raise ApiError(409, "idempotency_in_progress", why, headers={"Retry-After": "1"})
        if stored.fingerprint != kept.fingerprint:
            why = "this Idempotency-Key was used for another request: use a new one for new work"
            raise ApiError(422, "idempotency_key_reused", why)
        raise _RepeatedError(stored)


class _RepeatedError(Exception):
    """Leave the transaction: the answer is known already."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.key)


class _DryRunError(Exception):
    """Leave the transaction and undo it: only its answer was wanted."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__("dry run")


def confined(tx: Tx, platform_id: str | None, work: Work[T]) -> T:
    """Run the rest of a transaction behind the second wall, which goes when the transaction does."""
    if platform_id is not None:
        tx.scope(platform_id)
    return work(tx)


def encoded(body: Any) -> bytes:
    """Return plain data as JSON."""
    return orjson.dumps(body, default=str)


# -- what routes ask for -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paging:
    """The query of every list."""

    filter: str = ""
    sort: str = ""
    page_size: int = 50
    page_token: str | None = None
    count: str = "none"
    fields: str = ""
    include: str = ""
    allow_scan: bool = False

    def request(self, *, content: bool) -> ListRequest:
        """Return it as the list below takes it; ``content``: whether who asks may see payloads."""
        return ListRequest(
            self.filter, self.sort, self.page_size, self.page_token, self.count, self.allow_scan, content
        )

    def chosen(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows with the fields asked for alone; their id is always among them."""
        return [chosen_fields(row, self.fields) for row in rows]


# Coroutines, all of them: FastAPI runs plain functions it depends on in threads, one hop after the other.
async def paging(
    filter: Annotated[str, Query(max_length=4000, description="See the filter language in the reference.")] = "",
    sort: Annotated[str, Query(max_length=200, description="Such as `-created_at,name`.")] = "",
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
    page_token: Annotated[str | None, Query(max_length=4096)] = None,
    count: Annotated[str, Query(pattern="^(none|bounded|exact)$", description="none, bounded or exact")] = "none",
    fields: Annotated[str, Query(max_length=1000, description="Only these fields, separated by commas.")] = "",
    include: Annotated[str, Query(max_length=100, description="`payload` shows payloads and results.")] = "",
    allow_scan: Annotated[bool, Query(description="Look at fields without an index, within 24 hours.")] = False,
) -> Paging:
    """Return the query of a list."""
    unknown = [word for word in include.split(",") if word.strip() not in ("", "payload")]
    if unknown:
        raise ApiError(400, "validation", f"{unknown[0].strip()[:40]!r} is not one of: payload", field="include")
    return Paging(filter, sort, page_size, page_token, count, fields, include, allow_scan)


PlatformId = Annotated[str, Path(min_length=1, max_length=128, description="A platform's name, or `self`.")]


def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.api
    return state


async def reading(request: Request, platform_id: PlatformId) -> Call:
    """Return the call of a request that changes nothing."""
    return Call(request, _state(request), request.state.principal, request.state.platform_id)


DryRun = Annotated[bool, Query(description="Check and answer as if it were done, and do nothing.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1, max_length=200, pattern=r"^[!-~]+$", description="Makes a repeat give the first answer again."
    ),
]


async def changing(
    request: Request, platform_id: PlatformId, dry_run: DryRun = False, idempotency_key: IdempotencyKey = None
) -> Call:
    """Return the call of a request that may change something."""
    call = await reading(request, platform_id)
    call.dry_run, call.idempotency_key = dry_run, idempotency_key
    return call


PageQuery = Annotated[Paging, Depends(paging)]
Reading = Annotated[Call, Depends(reading)]
Changing = Annotated[Call, Depends(changing)]
IfMatch = Annotated[str | None, Header(max_length=100, description='The ETag the change is for, such as `"r17"`.')]

__all__ = [
    "ApiState", "Call", "Changing", "DryRun", "IdempotencyKey", "IfMatch", "KeyService", "OperationService",
    "PageQuery", "PlatformAdmin", "Reading", "Reply", "SchedulerService",
]  # fmt: skip


def has_already(if_none_match: str, etag: str) -> bool:
    """Tell whether If-None-Match names what is there; what a proxy has made weak on its way counts (RFC 9110, 13.1.2).

    >>> has_already('"r1", W/"r2"', '"r2"'), has_already("*", '"r2"'), has_already('"r1"', '"r2"')
    (True, True, False)
    """
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


def revision_of(if_match: str | None) -> int | None:
    """Return the revision an If-Match names; None for none, or for any.

    >>> revision_of('"r17"'), revision_of("*"), revision_of(None)
    (17, None, None)
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip()
    digits = tag[2:-1]
    if len(tag) > 3 and tag[:2] == '"r' and tag[-1] == '"' and digits.isascii() and digits.isdecimal():
        return int(digits[:18])
    return -1  # no revision has it: the change is refused as one for an outdated revision
