"""What runs the work and what steers it, as people are shown it: handlers, nodes, limits, calendars, next runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from mainspring.control.health import ALIVE
from mainspring.control.rows import occurrence_row
from mainspring.errors import NotFoundError, ValidationError
from mainspring.model.node import HandlerRow, Limit
from mainspring.model.redact import redacted
from mainspring.model.wire import instant
from mainspring.moves.jobs import existing
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import Calendar
from mainspring.schedule.occurrence import Occurrence

BOUNDS = ("max_running", "rate", "rate_per", "max_pending", "max_jobs", "min_interval_ms")


def handler_rows(tx: Tx, platform_id: str) -> list[dict[str, Any]]:
    """Return the handlers some node has announced, by name."""
    return [_handler(row) for row in tx.nodes.handlers(platform_id)]


def handler_row(tx: Tx, platform_id: str, name: str) -> dict[str, Any]:
    """Return one handler; `NotFoundError` where no node has announced it."""
    found = next((row for row in tx.nodes.handlers(platform_id) if row.name == name), None)
    if found is None:
        raise NotFoundError("handler", name)
    return _handler(found)


def worker_rows(tx: Tx) -> list[dict[str, Any]]:
    """Return worker processes, newest first."""
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


def dispatcher_rows(tx: Tx) -> list[dict[str, Any]]:
    """Return dispatcher processes, newest first."""
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


def limit_row(limit: Limit) -> dict[str, Any]:
    """Return a limit."""
    named = {"platform_id": limit.platform_id, "scope": limit.scope, "name": limit.name}
    return named | {bound: getattr(limit, bound) for bound in BOUNDS}


def calendar_rows(tx: Tx, platform_id: str) -> list[dict[str, Any]]:
    """Return the named calendars, by name."""
    found = tx.platforms.calendars(platform_id)
    return [calendar_row(name, found[name]) for name in sorted(found)]


def existing_calendar(tx: Tx, platform_id: str, name: str) -> dict[str, Any]:
    """Return one calendar; `NotFoundError` where there is none of that name."""
    found = tx.platforms.calendars(platform_id)
    if name not in found:
        raise NotFoundError("calendar", name)
    return calendar_row(name, found[name])


def calendar_row(name: str, dates: frozenset[date]) -> dict[str, Any]:
    """Return a calendar."""
    return {"name": name, "dates": sorted(day.isoformat() for day in dates)}


def calendar_dates(name: str, body: Mapping[str, Any]) -> dict[date, str]:
    """Read a calendar's dates: from ``dates``, an iCalendar file ``ics``, or the holidays of a ``country``."""
    given = [key for key in ("dates", "ics", "country") if body.get(key) is not None]
    if len(given) != 1:
        raise ValidationError("give one of: dates, ics, country", field="dates")
    if given == ["dates"]:
        return {read_day(day): label[:200] for day, label in body["dates"].items()}
    if given == ["ics"]:
        return dict.fromkeys(Calendar.from_ics(body["ics"], name).dates, "")
    found = Calendar.from_holidays(body["country"], body.get("years") or (), body.get("subdivision"))
    return dict.fromkeys(found.dates, "")


def read_day(text: str, field: str = "dates") -> date:
    """Read a date; raises `ValidationError` that names ``field``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValidationError(f"{text[:40]!r} is not a date", field=field, fix="Write 2026-04-23") from None


def next_runs(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    *,
    count: int,
    start: datetime | None,
    end: datetime | None,
) -> dict[str, Any]:
    """Return the instants a job's schedule names from now on, or in ``[start, end]``, which may be past."""
    job = existing(tx, platform_id, name)
    if not job.definition.type.timed:
        raise ValidationError(f"a {job.definition.type} job has no instants", field="job")
    schedule = schedules.of(tx, job)
    told: list[Occurrence] = []
    occurrence = schedule.next(start - timedelta(milliseconds=1) if start is not None else tx.now)
    while occurrence is not None and len(told) < count and (end is None or occurrence.at <= end):
        told.append(occurrence)
        occurrence = schedule.next(occurrence.at)
    return {
        "job": job.name,
        "timezone": schedule.timezone,
        "sentence": schedule.sentence,
        "warnings": list(schedule.warnings),
        "instants": [occurrence_row(schedule, one) for one in told],
    }


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
