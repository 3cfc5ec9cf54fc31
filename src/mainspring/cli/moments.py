"""Instants given on the command line: RFC 3339, or a wall time in the zone of the job spoken of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mainspring.schedule.instants import read_moment, to_wall
from mainspring.schedule.zones import zone

if TYPE_CHECKING:
    from mainspring.cli.desk import Desk


def to_instant(text: str, timezone: str, field: str) -> datetime:
    """Return the instant of a text; a wall time is one of ``timezone``, a date its midnight. Raises `ScheduleError`.

    >>> to_instant("2026-11-24T09:00", "Europe/Istanbul", "at").isoformat()
    '2026-11-24T06:00:00+00:00'
    """
    moment = read_moment(f"{text}T00:00:00" if is_date(text) else text, field=field)
    if moment.tzinfo is not None:
        return moment
    return datetime.fromtimestamp(zone(timezone).first_instant_of(to_wall(moment)), UTC)


def is_date(text: str) -> bool:
    """Tell whether a text is a date without a time, such as ``2026-11-24``."""
    return len(text) == 10 and text[4] == text[7] == "-" and text.replace("-", "").isdecimal()


async def read_at(desk: Desk, job: str | None, text: str | None, field: str) -> datetime | None:
    """Return the instant of an option; a wall time is in the job's zone, or the platform's where no job is named."""
    if text is None:
        return None
    from mainspring.cli.job_zones import read_zones
    from mainspring.client import asks

    zones = await read_zones(desk)
    place = zones.of_job(await desk.ask(asks.get_job(job))) if job is not None else zones.default
    return to_instant(text, place, field)
