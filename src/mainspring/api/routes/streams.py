"""Streams: events, logs, and the overview, each resumed by Last-Event-ID."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Query
from starlette.responses import Response

from mainspring.api.call import Call, Reading, Reply
from mainspring.api.problems import ApiError
from mainspring.api.routes.executions import ExecutionId
from mainspring.api.routing import Routes, streamed
from mainspring.api.shapes import admin
from mainspring.api.streams import Streams, frame
from mainspring.control.figures import last_hour
from mainspring.control.rows import log_row
from mainspring.control.status import collect_status
from mainspring.errors import NotFoundError
from mainspring.model.events import Event
from mainspring.model.redact import redacted
from mainspring.model.wire import instant
from mainspring.ports.store import Tx

routes = Routes("streams", "/api/v1/platforms/{platform_id}")

#: Topic -> how the types of its events begin.
TOPICS = {
    "jobs": "scheduler:job.",
    "executions": "scheduler:execution.",
    "occurrences": "scheduler:occurrence.",
    "workers": "scheduler:worker.",
    "budgets": "scheduler:budget.",
}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LastId = Annotated[str | None, Header(max_length=64, description="The id of the last event that was seen.")]


@routes.on("GET", "/stream", scope="executions:read", answers=None, responses=streamed("What happens, as it happens."))
async def stream_events(
    call: Reading, topics: Annotated[str, Query(max_length=200)] = "", last_event_id: LastId = None
) -> Response:
    """Follow what happens: jobs, executions, occurrences; topics narrow it."""
    if last_event_id is not None and not _UUID.fullmatch(last_event_id):
        raise ApiError(400, "validation", "is not the id of an event", field="Last-Event-ID")
    streams: Streams = call.request.app.state.streams
    frames = streams.events(call.platform_id, _wants(topics), _shown, last_event_id)
    return streams.respond(call.principal.id, frames)


@routes.on(
    "GET",
    "/executions/{execution_id}/logs:stream",
    scope="logs:read",
    answers=None,
    responses=streamed("Log lines; `end` after the last."),
)
async def stream_logs(call: Reading, execution_id: ExecutionId, last_event_id: LastId = None) -> Response:
    """Follow an execution's log from its first line, or after Last-Event-ID."""
    given = last_event_id or "0"
    if not given.isascii() or not given.isdecimal() or len(given) > 9:
        raise ApiError(400, "validation", "is not the number of a line", field="Last-Event-ID")
    after = int(given)

    def lines(tx: Tx) -> tuple[list[Any], bool]:
        execution = tx.executions.get(execution_id)
        if execution is None or execution.platform_id != call.platform_id:
            raise NotFoundError("execution", execution_id)
        # The end first: a line written between the two looks must not be missed.
        ended = execution.status.terminal
        return tx.logs.read(execution_id, after=after, limit=500), ended

    async def look() -> tuple[list[bytes], bool]:
        nonlocal after
        found, ended = await call.read(lines)
        after = found[-1].line if found else after
        return [frame("line", log_row(line), line.line) for line in found], ended and len(found) < 500

    await call.read(lines)
    streams: Streams = call.request.app.state.streams
    return streams.respond(call.principal.id, streams.repeated(look, 0.5))


@routes.on("GET", "/overview", scope="metrics:read", answers=admin.Overview)
async def get_overview(call: Reading) -> Response:
    """Tell how it goes, on one screen."""
    return call.answer(Reply(await call.read(lambda tx: _overview(tx, call))))


@routes.on(
    "GET", "/overview:stream", scope="metrics:read", answers=None, responses=streamed("The overview, when it changes.")
)
async def stream_overview(call: Reading) -> Response:
    """Follow the overview: again whenever it is not what it was."""
    streams: Streams = call.request.app.state.streams
    before: dict[str, Any] = {}

    async def look() -> tuple[list[bytes], bool]:
        nonlocal before
        now = await call.read(lambda tx: _overview(tx, call))
        changed = {name: value for name, value in now.items() if name != "at"}
        if changed == before:
            return [], False
        before = changed
        return [frame("overview", now, now["at"])], False

    return streams.respond(call.principal.id, streams.repeated(look, 2.0))


def _overview(tx: Tx, call: Call) -> dict[str, Any]:
    found = collect_status(tx, call.platform_id, limits=call.state.health).to_wire()
    return {**found, "last_hour": last_hour(tx, call.platform_id)}


def _wants(topics: str) -> Callable[[Event], bool]:
    wanted = [topic.strip() for topic in topics.split(",") if topic.strip()]
    unknown = [topic for topic in wanted if topic not in TOPICS]
    if unknown:
        known = ", ".join(TOPICS)
        raise ApiError(400, "validation", f"{unknown[0][:40]!r} is not one of: {known}", field="topics")
    begins = tuple(TOPICS[topic] for topic in wanted)
    return lambda event: not begins or str(event.type).startswith(begins)


def _shown(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": str(event.type),
        "at": instant(event.at),
        "subject": event.subject,
        "data": redacted(event.data),
    }
