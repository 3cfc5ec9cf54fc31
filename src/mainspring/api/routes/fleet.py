"""The fleet and what steers it: handlers, workers, dispatchers, queues, limits and calendars."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from starlette.responses import Response

from mainspring.api.call import Changing, Reading, Reply
from mainspring.api.routing import Routes
from mainspring.api.shapes import admin, base
from mainspring.control import fleet
from mainspring.control.scheduler import SchedulerService
from mainspring.control.status import collect_status
from mainspring.model.node import Limit

routes = Routes("fleet", "/api/v1/platforms/{platform_id}")

Named = Annotated[str, Path(min_length=1, max_length=256)]
LimitScope = Literal["queue", "key", "platform"]


@routes.on("GET", "/handlers", scope="handlers:read", answers=base.Listed[admin.Handler])
async def list_handlers(call: Reading) -> Response:
    """List the handlers some node has announced, by name."""
    return call.answer(Reply({"data": await call.read(lambda tx: fleet.handler_rows(tx, call.platform_id))}))


@routes.on("GET", "/handlers/{handler}", scope="handlers:read", answers=admin.Handler)
async def get_handler(call: Reading, handler: Named) -> Response:
    """Show a handler with the schema of its payload and its defaults."""
    return call.answer(Reply(await call.read(lambda tx: fleet.handler_row(tx, call.platform_id, handler))))


@routes.on("GET", "/workers", scope="workers:read", answers=base.Listed[admin.Worker])
async def list_workers(call: Reading) -> Response:
    """List worker processes, newest first."""
    return call.answer(Reply({"data": await call.read(fleet.worker_rows)}))


@routes.on("GET", "/dispatchers", scope="workers:read", answers=base.Listed[admin.Dispatcher])
async def list_dispatchers(call: Reading) -> Response:
    """List dispatcher processes, newest first."""
    return call.answer(Reply({"data": await call.read(fleet.dispatcher_rows)}))


@routes.on("GET", "/queues", scope="workers:read", answers=base.Listed[admin.Queue])
async def list_queues(call: Reading) -> Response:
    """List queues with what waits and runs in them."""
    status = await call.read(lambda tx: collect_status(tx, call.platform_id))
    return call.answer(Reply({"data": status.to_wire()["queues"]}))


@routes.on("GET", "/limits", scope="workers:read", answers=base.Listed[admin.Limit])
async def list_limits(call: Reading) -> Response:
    """List the bounds an admin has set."""
    limits = await call.read(lambda tx: tx.platforms.limits(call.platform_id))
    return call.answer(Reply({"data": [fleet.limit_row(limit) for limit in limits]}))


@routes.on("PUT", "/limits/platform", scope="limits:write", answers=admin.Limit)
async def put_platform_limit(call: Changing, body: admin.LimitBounds) -> Response:
    """Set the bounds of the whole platform."""
    return await _put_limit(call, "platform", "", body)


@routes.on("PUT", "/limits/{scope}/{name}", scope="limits:write", answers=admin.Limit)
async def put_limit(call: Changing, scope: Literal["queue", "key"], name: Named, body: admin.LimitBounds) -> Response:
    """Set the bounds of a queue or of a concurrency key; all of them none removes the limit."""
    return await _put_limit(call, scope, name, body)


async def _put_limit(call: Changing, scope: str, name: str, body: admin.LimitBounds) -> Response:
    limit = Limit(call.platform_id, scope, name, **body.model_dump())
    return await call.change(
        SchedulerService, lambda service: service.put_limit(limit), lambda _: Reply(fleet.limit_row(limit))
    )


@routes.on("GET", "/calendars", scope="jobs:read", answers=base.Listed[admin.Calendar])
async def list_calendars(call: Reading) -> Response:
    """List the named calendars with their dates."""
    return call.answer(Reply({"data": await call.read(lambda tx: fleet.calendar_rows(tx, call.platform_id))}))


@routes.on("GET", "/calendars/{name}", scope="jobs:read", answers=admin.Calendar)
async def get_calendar(call: Reading, name: Named) -> Response:
    """Show one calendar."""
    return call.answer(Reply(await call.read(lambda tx: fleet.existing_calendar(tx, call.platform_id, name))))


@routes.on("PUT", "/calendars/{name}", scope="calendars:write", answers=admin.Calendar)
async def put_calendar(call: Changing, name: Named, body: admin.CalendarDates) -> Response:
    """Replace a calendar's dates by dates given, an iCalendar file, or a country's public holidays."""
    dates = fleet.calendar_dates(name, body.model_dump())
    return await call.change(
        SchedulerService,
        lambda service: service.put_calendar(name, dates),
        lambda _: Reply(fleet.calendar_row(name, frozenset(dates))),
    )


@routes.on("DELETE", "/calendars/{name}", scope="calendars:write", answers=None, status=204)
async def delete_calendar(call: Changing, name: Named) -> Response:
    """Delete a calendar that no job's schedule names."""
    return await call.change(
        SchedulerService, lambda service: service.delete_calendar(name), lambda _: Reply(status=204)
    )
