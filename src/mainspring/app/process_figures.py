"""What a process tells of itself for its metrics: plain numbers its parts count anyway, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mainspring._version import __version__
from mainspring.model import metrics as m
from mainspring.model.metrics import Figure
from mainspring.schedule import tzdb_version

if TYPE_CHECKING:
    from mainspring.app.application import Application
    from mainspring.engine.dispatcher import JobDispatcherWorker
    from mainspring.engine.worker import Worker


def process_figures(app: Application) -> Iterator[Figure]:
    """Return everything this process tells of itself."""
    yield Figure(m.BUILD, (__version__, tzdb_version()), 1.0)
    yield from _connections(getattr(app.store, "lines", ()))
    stats = getattr(app.transport, "stats", None)
    if stats is not None:
        yield from (Figure(m.TRANSPORT, (what,), float(count)) for what, count in asdict(stats).items())
    for source in app.figures:
        yield from source()


def dispatcher_figures(dispatcher: JobDispatcherWorker) -> Iterator[Figure]:
    """Return what a dispatcher has decided and taken back."""
    tally = dispatcher.tally
    yield from (Figure(m.DECISIONS, (str(verdict),), float(count)) for verdict, count in tally.decided.items())
    yield Figure(m.DECIDING_FAILED, value=float(tally.failed))
    for reason in ("lost", "overdue", "expired"):
        yield Figure(m.REAPED, (reason,), float(getattr(tally, reason)))
    yield from (Figure(m.LOOP_ERRORS, (name,), float(count)) for name, count in dispatcher.loop_errors.items())


def worker_figures(worker: Worker) -> Iterator[Figure]:
    """Return what a worker has done, and what it does now."""
    stats, children = worker.stats, worker.children
    yield Figure(m.CLAIMED, value=float(stats.claimed))
    yield Figure(m.SETTLED, value=float(stats.settled))
    yield Figure(m.FENCED, value=float(stats.superseded))
    busy, poisoned = len(worker.running), worker.poisoned
    free = max(0, sum(worker.settings.queues.values()) - busy - poisoned)
    yield from _states(m.SLOTS, busy=busy, free=free, poisoned=poisoned)
    yield from _states(m.CHILDREN, busy=children.busy, idle=children.idle)
    yield Figure(m.CHILDREN_STARTED, value=float(children.started))


def _connections(lines: Iterable[Any]) -> Iterator[Figure]:
    lines = list(lines)
    if lines:
        total, idle = sum(line.connections for line in lines), sum(line.idle for line in lines)
        yield from _states(m.DB_CONNECTIONS, busy=total - idle, idle=idle)
        yield Figure(m.DB_WAITING, value=float(sum(line.waiting for line in lines)))


def _states(metric: m.Metric, **counts: int) -> Iterator[Figure]:
    return (Figure(metric, (state,), float(count)) for state, count in counts.items())
