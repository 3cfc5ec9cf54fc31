"""Everything people ask of one platform, in one service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from mainspring.control.events import EventService
from mainspring.control.executions import ExecutionService
from mainspring.control.health import Health, HealthLimits, check_health, collect_metrics
from mainspring.control.jobs import JobService
from mainspring.control.watermark import Watermark, read_watermark
from mainspring.errors import ConflictError, NotFoundError, ValidationError
from mainspring.model import wire
from mainspring.model.node import Limit
from mainspring.moves import hold as holding
from mainspring.moves.hold import Hold
from mainspring.ports.store import Tx


class SchedulerService(JobService, EventService, ExecutionService):
    """Everything people ask of one platform. Each method is one transaction; writes are durable when they return.

    Raises the errors of `mainspring.errors`: `NotFoundError` for what this platform does not have, `ValidationError`
    for input that cannot work, `ConflictError` for what the present state does not allow.
    """

    #: Lags beyond which `health_check` warns and fails.
    health_limits: HealthLimits | None = None

    # -- what an admin sets --------------------------------------------------------------------------------------

    async def put_calendar(self, name: str, dates: Mapping[date, str], *, source: str = "api") -> None:
        """Replace a named calendar's dates, each with a name of its own, for jobs that include or exclude it.

        `mainspring.schedule.Calendar` reads dates from an ICS file or from the ``holidays`` package.
        """
        wire.name(name, "calendar")
        await self._change(
            "calendar.put",
            name,
            lambda tx: tx.platforms.put_calendar(self.platform_id, name, dates, source=source),
            after=lambda _: {"dates": len(dates), "source": source},
        )

    async def delete_calendar(self, name: str) -> None:
        """Delete a named calendar. Raises `ConflictError` while a job's schedule names it."""

        def work(tx: Tx) -> None:
            users = tx.jobs.with_calendar(self.platform_id, name, 4)
            if users:
                told = ", ".join(repr(job.name) for job in users[:3]) + (" and others" if len(users) > 3 else "")
                raise ConflictError(f"calendar {name!r} is used by {told}: change or archive what uses it first")
            if not tx.platforms.delete_calendar(self.platform_id, name):
                raise NotFoundError("calendar", name)

        await self._change("calendar.delete", name, work)

    async def put_limit(self, limit: Limit) -> None:
        """Set the bounds of a queue, a concurrency key or this platform; all of them None removes the row."""
        bounds = replace(limit, platform_id=self.platform_id)
        if bounds.scope not in ("queue", "key", "platform"):
            raise ValidationError(f"{bounds.scope!r} is not one of: queue, key, platform", field="scope")
        _check_bounds(bounds)
        await self._change(
            "limit.put",
            f"{bounds.scope}/{bounds.name}",
            lambda tx: _put_limit(tx, bounds),
            after=lambda _: {f: v for f in _RANGES if (v := getattr(bounds, f)) is not None},
        )

    async def hold_fleet(self, reason: str) -> Hold:
        """Let no process of any platform decide, promote or claim until `release_fleet`; what runs, runs on."""
        return await self._store.write(lambda tx: holding.hold(tx, reason, actor=self._actor))

    async def release_fleet(self) -> Hold | None:
        """Let a held fleet go on; return the hold there was, None where there was none."""
        return await self._store.write(holding.release)

    # -- how it goes ---------------------------------------------------------------------------------------------

    async def get_metrics(self) -> dict[str, Any]:
        """Return live counts, lags and node counts of this platform, computed from rows."""
        return await self._store.read(lambda tx: collect_metrics(tx, self.platform_id))

    async def health_check(self) -> Health:
        """Return the health, judged by progress: the oldest undecided instant, the oldest unclaimed execution."""
        return await self._store.read(lambda tx: check_health(tx, self.platform_id, self.health_limits))

    async def watermark(self) -> Watermark:
        """Return up to when every due instant of this platform has its decision."""
        return await self._store.read(lambda tx: read_watermark(tx, self.platform_id))


#: Smallest and largest of each bound. A rate of 0 would be no rate: `max_running` 0 lets nothing start.
_RANGES: dict[str, tuple[float, float]] = {
    "max_running": (0, 1_000_000_000),
    "rate": (1, 1_000_000),
    "rate_per": (0.001, 86_400),
    "max_pending": (0, 1_000_000_000),
    "max_jobs": (0, 1_000_000_000),
    "min_interval_ms": (0, 1_000_000_000),
}


def _check_bounds(limit: Limit) -> None:
    for field, (low, high) in _RANGES.items():
        value = getattr(limit, field)
        if value is not None and (isinstance(value, bool) or not low <= value <= high):
            raise ValidationError(f"must be from {low} to {high}, got {value!r}", field=field)


def _put_limit(tx: Tx, limit: Limit) -> None:
    tx.platforms.put_limit(limit)
    tx.wake("pending")  # what the old bound held back may go now
