"""The fleet and what steers it: handlers, workers, dispatchers, queues, limits and calendars."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Path
from starlette.responses import Response

from mainspring.api.call import Changing, Reading, Reply
from mainspring.api.routing import Routes
from mainspring.api.shapes import admin, base
from mainspring.control.health import ALIVE
from mainspring.control.scheduler import SchedulerService
from mainspring.control.status import collect_status
from mainspring.errors import NotFoundError, ValidationError
from mainspring.model.node import HandlerRow, Limit
from mainspring.model.redact import redacted
from mainspring.model.wire import instant
from mainspring.ports.store import Tx
from mainspring.schedule import Calendar

routes = Routes("fleet", "/api/v1/platforms/{platform_id}")

Named = Annotated[str, Path(min_length=1, max_length=256)]
LimitScope = Literal["queue", "key", "platform"]
_BOUNDS = ("max_running", "rate", "rate_per", "max_pending", "max_jobs", "min_interval_ms")


@routes.on("GET", "/handlers", scope="handlers:read", answers=base.Listed[admin.Handler])
async def list_handlers(call: Reading) -> Response:
    """List the handlers some node has announced, by name."""
    rows = await call.read(lambda tx: tx.nodes.handlers(call.platform_id))
    return call.answer(Reply({"data": [_handler(row) for row in rows]}))


@routes.on("GET", "/handlers/{handler}", scope="handlers:read", answers=admin.Handler)
async def get_handler(call: Reading, handler: Named) -> Response:
    """Show a handler with the schema of its payload and its defaults."""
    rows = await call.read(lambda tx: tx.nodes.handlers(call.platform_id))
    found = next((row for row in rows if row.name == handler), None)
    if found is None:
        raise NotFoundError("handler", handler)
    return call.answer(Reply(_handler(found)))


@routes.on("GET", "/workers", scope="workers:read", answers=base.Listed[admin.Worker])
async def list_workers(call: Reading) -> Response:
    """List worker processes, newest first."""

    def found(tx: Tx) -> list[dict[str, Any]]:
        return [
            {
                "id": w.id,
                "status": w.status,
                "started_at": instant(w.started_at),
                "seen_at": instant(w.seen_at),
                "alive": w.status != "stopped" and tx.now - w.seen_at < ALIVE,
                "version": w.version,
                "queues": dict(w.queues),
                "handlers": list(w.handlers),
                "running": w.running,
                "poisoned": w.poisoned,
            }
            for w in tx.nodes.workers()
        ]

    return call.answer(Reply({"data": await call.read(found)}))


@routes.on("GET", "/dispatchers", scope="workers:read", answers=base.Listed[admin.Dispatcher])
async def list_dispatchers(call: Reading) -> Response:
    """List dispatcher processes, newest first."""

    def found(tx: Tx) -> list[dict[str, Any]]:
        return [
            {
                "id": d.id,
                "status": d.status,
                "started_at": instant(d.started_at),
                "seen_at": instant(d.seen_at),
                "alive": d.status != "stopped" and tx.now - d.seen_at < ALIVE,
                "version": d.version,
                "tzdb_version": d.tzdb_version,
                "stats": dict(d.stats),
            }
            for d in tx.nodes.dispatchers()
        ]

    return call.answer(Reply({"data": await call.read(found)}))


@routes.on("GET", "/queues", scope="workers:read", answers=base.Listed[admin.Queue])
async def list_queues(call: Reading) -> Response:
    """List queues with what waits and runs in them."""
    status = await call.read(lambda tx: collect_status(tx, call.platform_id))
    return call.answer(Reply({"data": status.to_wire()["queues"]}))


@routes.on("GET", "/limits", scope="workers:read", answers=base.Listed[admin.Limit])
async def list_limits(call: Reading) -> Response:
    """List the bounds an admin has set."""
    limits = await call.read(lambda tx: tx.platforms.limits(call.platform_id))
    return call.answer(Reply({"data": [_limit(limit) for limit in limits]}))


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
    return await call.change(SchedulerService, lambda service: service.put_limit(limit), lambda _: Reply(_limit(limit)))


@routes.on("GET", "/calendars", scope="jobs:read", answers=base.Listed[admin.Calendar])
async def list_calendars(call: Reading) -> Response:
    """List the named calendars with their dates."""
    found = await call.read(lambda tx: tx.platforms.calendars(call.platform_id))
    return call.answer(Reply({"data": [_calendar(name, found[name]) for name in sorted(found)]}))


@routes.on("GET", "/calendars/{name}", scope="jobs:read", answers=admin.Calendar)
async def get_calendar(call: Reading, name: Named) -> Response:
    """Show one calendar."""
    found = await call.read(lambda tx: tx.platforms.calendars(call.platform_id))
    if name not in found:
        raise NotFoundError("calendar", name)
    return call.answer(Reply(_calendar(name, found[name])))


@routes.on("PUT", "/calendars/{name}", scope="calendars:write", answers=admin.Calendar)
async def put_calendar(call: Changing, name: Named, body: admin.CalendarDates) -> Response:
    """Replace a calendar's dates by dates given, an iCalendar file, or a country's public holidays."""
    dates = _dates(name, body)
    return await call.change(
        SchedulerService,
        lambda service: service.put_calendar(name, dates),
        lambda _: Reply(_calendar(name, frozenset(dates))),
    )


def _dates(name: str, body: admin.CalendarDates) -> dict[date, str]:
    if sum(given is not None for given in (body.dates, body.ics, body.country)) != 1:
        raise ValidationError("give one of: dates, ics, country", field="dates")
    if body.dates is not None:
        return {_date(day): label[:200] for day, label in body.dates.items()}
    if body.ics is not None:
        return dict.fromkeys(Calendar.from_ics(body.ics, name).dates, "")
    found = Calendar.from_holidays(body.country or "", body.years or (), body.subdivision)
    return dict.fromkeys(found.dates, "")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValidationError(f"{text[:40]!r} is not a date", field="dates", fix="Write 2026-04-23") from None


def _calendar(name: str, dates: frozenset[date]) -> dict[str, Any]:
    return {"name": name, "dates": sorted(day.isoformat() for day in dates)}


def _limit(limit: Limit) -> dict[str, Any]:
    named = {"platform_id": limit.platform_id, "scope": limit.scope, "name": limit.name}
    return named | {bound: getattr(limit, bound) for bound in _BOUNDS}


def _handler(row: HandlerRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "type": row.type,
        "description": row.description,
        "announced_at": instant(row.announced_at),
        "platform_id": row.platform_id,
        "schema": dict(row.schema),
        "defaults": redacted(row.defaults),
    }
