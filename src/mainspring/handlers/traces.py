"""cleanup:old_traces: delete traces past their age, in small steps, until done or out of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.engine.context import Context
from mainspring.errors import ValidationError
from mainspring.handlers.configured import stop_if_cancelled
from mainspring.model.durations import duration
from mainspring.model.outcome import Fail
from mainspring.ports.clock import Clock
from mainspring.ports.traces import TraceAge, TraceScope, TraceStore

#: Nothing younger is deleted, whatever the payload says: ``older_than="0s"`` is a slip, not a wish.
FLOOR = timedelta(hours=1)
#: Spans and traces of one step: few enough that writers hardly notice the lock.
STEP = 2_000
#: Bounds of ``max_seconds``: below the handler's timeout, so that it ends with a result.
SECONDS = (1, 540)


@dataclass(frozen=True)
class Cleaned:
    """What a cleanup did. ``complete``: nothing old is left. In a dry run ``traces`` is what would have gone."""

    dry_run: bool
    before: datetime
    failed_before: datetime
    traces: int
    spans: int
    steps: int
    longest_step_ms: int
    complete: bool


Handler = Callable[..., Awaitable[Cleaned]]


def cleanup_old_traces(store: TraceStore | None, clock: Clock) -> Handler:
    """Return the handler for this store; without one it fails and says how to set one up."""

    async def cleanup(
        ctx: Context,
        older_than: str = "30d",
        keep_failed: str = "90d",
        dry_run: bool = False,
        max_seconds: float = 60,
    ) -> Cleaned:
        """Delete traces that ended longer ago than ``older_than``; those with errors are kept for ``keep_failed``."""
        if store is None:
            raise Fail("no trace store is configured. Set one up: Builtins(traces=SqliteTraceStore(path))")
        age = _age(older_than, keep_failed, now=ctx.scheduled_at or clock.now())
        scope = TraceScope(ctx.platform_id)
        total = await store.count(scope, age)
        if dry_run:
            return Cleaned(True, age.before, age.failed_before, total, 0, 0, 0, total == 0)
        if not SECONDS[0] <= max_seconds <= SECONDS[1]:
            raise Fail(f"max_seconds is {SECONDS[0]} to {SECONDS[1]}, not {max_seconds:g}")
        return await _delete(ctx, store, scope, age, total=total, max_seconds=max_seconds)

    return cleanup


def _age(older_than: str, keep_failed: str, *, now: datetime) -> TraceAge:
    try:
        kept, failed_kept = duration(older_than, "older_than"), duration(keep_failed, "keep_failed")
        if kept < FLOOR:
            raise Fail(f"older_than is at least 1h, not {older_than!r}: newer traces are still being written")
        # Failed traces are kept at least as long as the others.
        return TraceAge(now - kept, now - max(kept, failed_kept))
    except ValidationError as error:
        raise Fail(f"{error}") from error
    except OverflowError as error:
        raise Fail(f"older_than {older_than[:40]!r} or keep_failed {keep_failed[:40]!r} is out of range") from error


async def _delete(
    ctx: Context, store: TraceStore, scope: TraceScope, age: TraceAge, *, total: int, max_seconds: float
) -> Cleaned:
    loop = asyncio.get_running_loop()
    end = loop.time() + max_seconds
    traces = spans = steps = 0
    longest, more = 0.0, True
    while more and loop.time() < end:
        stop_if_cancelled(ctx)
        started = loop.time()
        step = await store.delete_older(scope, age, limit=STEP)
        longest = max(longest, loop.time() - started)
        traces, spans, steps, more = traces + step.traces, spans + step.spans, steps + 1, step.more
        ctx.progress(traces, max(total, traces), f"{traces} traces deleted")
    if more:
        ctx.log.info(f"out of time after {max_seconds:g} s: about {max(0, total - traces)} old traces are left")
    return Cleaned(False, age.before, age.failed_before, traces, spans, steps, round(longest * 1000), not more)
