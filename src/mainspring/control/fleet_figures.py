"""The fleet's figures for a scrape, from live rows and rollups: no question reads the past, whatever there is of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from mainspring.control.health import ALIVE
from mainspring.control.watermark import read_watermark
from mainspring.model import histogram
from mainspring.model import metrics as m
from mainspring.model.metrics import LABEL_VALUES, OTHER, Figure, Metric
from mainspring.model.rollup import Rollup
from mainspring.moves.hold import held
from mainspring.moves.rollup import TOTALS
from mainspring.ports.store import Tx
from mainspring.ports.transport import TransportFigures

#: Platforms whose live executions are added up.
PLATFORMS = 200
#: Most executions of one status that are counted of one platform: a scrape has to come at once.
LIVE = 100_000
_OUTCOMES = ("success", "failed", "cancelled", "expired")
_OF_WORK = (*_OUTCOMES, "retry", "dead", "ran")


_STATES = ("entries", "pending", "unread")


class _Node(Protocol):
    @property
    def status(self) -> str: ...


class Names:
    """Which names may be labels: those that code and settings have given, and only so many of them."""

    def __init__(self, queues: Iterable[str], handlers: Iterable[str]) -> None:
        self._queues = frozenset(sorted(set(queues))[:LABEL_VALUES])
        self._handlers = frozenset(sorted(set(handlers))[:LABEL_VALUES])

    def queue(self, name: str) -> str | None:
        """Return the label of a queue; None for one that no worker serves: it may be a tenant's invention."""
        return name if name in self._queues else None

    def handler(self, name: str) -> str:
        """Return the label of a handler: `other` for one of a single platform, and for one too many."""
        return name if name in self._handlers else OTHER


def fleet_figures(tx: Tx) -> list[Figure]:
    """Return every figure whose source is the fleet."""
    workers = tx.nodes.workers()
    handlers = [row for row in tx.nodes.handlers() if row.platform_id is None]
    served = [queue for worker in workers for queue in worker.queues]
    names = Names(served + [str(row.defaults.get("queue", "default")) for row in handlers], (h.name for h in handlers))
    mark, oldest_event = read_watermark(tx), tx.outbox.oldest_unpublished_at()
    alive = [worker for worker in workers if worker.seen_at >= tx.now - ALIVE]
    slots: Counter[str] = Counter()
    for worker in alive:
        if worker.status == "running":
            slots.update(dict(worker.queues))
    return [
        Figure(m.DECIDED_UP_TO, value=mark.decided_up_to.timestamp()),
        Figure(m.DECISION_LAG, value=mark.lag.total_seconds()),
        Figure(m.OUTBOX_LAG, value=max(0.0, (tx.now - oldest_event).total_seconds()) if oldest_event else 0.0),
        Figure(m.HELD, value=float(held(tx) is not None)),
        *_by_label(m.EXECUTIONS, _live(tx)),
        *_by_label(m.WORKERS, _statuses(alive)),
        *_by_label(m.DISPATCHERS, _statuses(tx.nodes.dispatchers(seen_since=tx.now - ALIVE))),
        *_by_label(m.QUEUE_SLOTS, slots),
        *_queues(tx, names),
        *_worked(tx.rollups.totals(TOTALS + 2), names),
    ]


def transport_figures(found: TransportFigures) -> list[Figure]:
    """Return how the transport stands; the streams of all queues together, as their names may be a tenant's."""
    sums = {state: float(sum(getattr(stream, state) or 0 for stream in found.streams)) for state in _STATES}
    return [Figure(m.TRANSPORT_UP, value=float(found.reachable)), *_by_label(m.TRANSPORT_ENTRIES, sums)]


def _queues(tx: Tx, names: Names) -> list[Figure]:
    ages: dict[str, float] = {}
    for queue, _, at in tx.executions.queued_handlers(1000):
        if (label := names.queue(queue)) is not None:
            ages[label] = max(ages.get(label, 0.0), (tx.now - at).total_seconds(), 0.0)
    depths = {name: count for name, count in tx.executions.depths().items() if names.queue(name) is not None}
    return [*_by_label(m.QUEUE_OLDEST_AGE, ages), *_by_label(m.QUEUE_DEPTH, depths)]


def _live(tx: Tx) -> Counter[str]:
    counts: Counter[str] = Counter(pending=0, queued=0, running=0, retrying=0, waiting=0)
    for platform in tx.admin.platforms(limit=PLATFORMS):
        counts.update(tx.executions.counts(platform.id, LIVE))
    return counts


def _worked(totals: Sequence[Rollup], names: Names) -> list[Figure]:
    """Return what the totals say, by queue and handler, by handler, and by queue."""
    counters: dict[Metric, Counter[tuple[str, ...]]] = defaultdict(Counter)
    delays: dict[str, dict[str, int]] = defaultdict(dict)
    durations: dict[str, dict[str, int]] = defaultdict(dict)
    for total in totals:
        for decision in total.counts.keys() - set(_OF_WORK):
            counters[m.SKIPPED][(decision,)] += total.counts[decision]
        queue = total.queue if total.queue == OTHER else names.queue(total.queue)
        if queue is None or not total.handler:
            continue
        handler = names.handler(total.handler)
        for outcome in _OUTCOMES:
            if outcome in total.counts:
                counters[m.FINISHED][queue, handler, outcome] += total.counts[outcome]
        counters[m.RETRIED][queue, handler] += total.counts.get("retry", 0)
        counters[m.DEAD_LETTERED][queue, handler] += total.counts.get("dead", 0)
        histogram.merge(delays[queue], total.delays)
        histogram.merge(durations[handler], total.durations)
    return [
        *(Figure(metric, labels, count) for metric, found in counters.items() for labels, count in found.items()),
        *(_histogram(m.START_DELAY, queue, found) for queue, found in delays.items()),
        *(_histogram(m.DURATION, handler, found) for handler, found in durations.items()),
    ]


def _histogram(metric: Metric, label: str, found: histogram.Histogram) -> Figure:
    counts = histogram.cumulative(found, [bound * 1000 for bound in metric.buckets])
    return Figure(metric, (label,), histogram.sum_of(found) / 1000, (*counts, histogram.count_of(found)))


def _statuses(nodes: Iterable[_Node]) -> Counter[str]:
    counts = Counter({"running": 0})
    counts.update(node.status for node in nodes if node.status != "stopped")
    return counts


def _by_label(metric: Metric, values: Mapping[str, float]) -> list[Figure]:
    return [Figure(metric, (label,), float(value)) for label, value in sorted(values.items())]
