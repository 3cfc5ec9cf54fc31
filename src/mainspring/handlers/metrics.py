"""metrics:collect: measure the machine, this process and the scheduler, and put the numbers where they are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mainspring.control.health import collect_metrics
from mainspring.engine.context import Context
from mainspring.handlers.configured import stop_if_cancelled
from mainspring.ports.clock import Clock
from mainspring.ports.metrics import MachineProbe, MetricsSink, Sample
from mainspring.ports.store import Store

#: The most numbers of one collection.
SAMPLES = 200

Group = Literal["machine", "scheduler"]


@dataclass(frozen=True)
class Collected:
    """The numbers by name, and how many of them were stored: none without a sink."""

    at: datetime
    samples: dict[str, float]
    stored: int


Handler = Callable[..., Awaitable[Collected]]


def metrics_collect(
    probe: Callable[[], MachineProbe], sink: MetricsSink | None, store: Callable[[], Store] | None, clock: Clock
) -> Handler:
    """Return the handler that measures with ``probe`` and the store, and writes to the sink if there is one."""

    async def collect(ctx: Context, groups: list[Group] | None = None) -> Collected:
        """Measure ``groups`` (``machine``, ``scheduler``), by default both; return the numbers and store them."""
        wanted = groups if groups is not None else ["machine", "scheduler"]
        # A retry stores under the same instant and key, so that it replaces and does not add.
        at = ctx.scheduled_at or clock.now()
        found: dict[str, float] = {}
        if "machine" in wanted:
            found |= await probe().sample()
        if "scheduler" in wanted and store is not None:
            found |= flat("scheduler", await store().read(lambda tx: collect_metrics(tx, ctx.platform_id)))
        samples = [Sample(name, value) for name, value in sorted(found.items())[:SAMPLES]]
        stop_if_cancelled(ctx)
        if sink is not None:
            await sink.write(ctx.platform_id, samples, at=at, key=ctx.execution_id)
        ctx.progress(len(samples), len(samples))
        return Collected(at, {s.name: s.value for s in samples}, len(samples) if sink is not None else 0)

    return collect


def flat(name: str, value: Any) -> dict[str, float]:
    """Return the numbers of nested mappings, named by their path.

    >>> flat("scheduler", {"jobs": 2, "executions": {"queued": 1}})
    {'scheduler.jobs': 2.0, 'scheduler.executions.queued': 1.0}
    """
    if isinstance(value, Mapping):
        return {path: number for key, inner in value.items() for path, number in flat(f"{name}.{key}", inner).items()}
    return {name: float(value)} if isinstance(value, int | float) else {}
