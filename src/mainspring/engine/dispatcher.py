"""Decide due instants, promote, reap, relay, clean: the dispatcher's loops. Leaderless: any number may run."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from mainspring.engine.deliver import Deliverer, DeliverySettings
from mainspring.engine.inbound import InboundReader
from mainspring.engine.lookout import LOOKS, Lookout
from mainspring.engine.planning import Planning
from mainspring.engine.reaper import DRAWS, Reaper
from mainspring.engine.reconcile import Reconciler
from mainspring.engine.relay import Relay
from mainspring.engine.service import Loop
from mainspring.model.log_events import about
from mainspring.model.node import DispatcherNode
from mainspring.moves.admit import promote_next
from mainspring.moves.jobs import recompute
from mainspring.moves.plan import Planned
from mainspring.moves.reap import Reaped
from mainspring.moves.retain import BATCH as RETAIN_BATCH
from mainspring.moves.retain import Retention, drop_partitions, retain
from mainspring.moves.schedules import Schedules
from mainspring.ports.bus import Bus
from mainspring.ports.clock import Wakeups
from mainspring.ports.inbound import Inbound
from mainspring.ports.store import Store, Tx
from mainspring.ports.tracing import Tracing
from mainspring.ports.transport import DatabaseTransport, Transport
from mainspring.ports.webhooks import WebhookSender
from mainspring.schedule import tzdb_version

logger = logging.getLogger("mainspring")

#: Seconds between two looks of the reaper while leases end one after the other, which a worker's do that was killed.
REAP_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """``interval_ms`` is the poll fallback; due instants and changes wake the dispatcher by themselves."""

    interval_ms: int = 1000
    batch_size: int = 500
    enabled: bool = True
    reap: timedelta = timedelta(seconds=2)
    grace: timedelta = timedelta(seconds=10)
    lease: timedelta = timedelta(seconds=15)
    retain: timedelta = timedelta(minutes=1)
    report: timedelta = timedelta(seconds=5)
    reconcile: timedelta = timedelta(seconds=5)
    retention: Retention = Retention()
    partition_days: int = 7
    deliveries: DeliverySettings = field(default_factory=DeliverySettings)


@dataclass(slots=True)
class DispatchStats:
    """What a dispatcher has done since it started or its stats were reset. Instants are the store's."""

    jobs_dispatched: int = 0
    jobs_skipped: int = 0
    jobs_completed: int = 0
    jobs_failed: int = 0
    errors: int = 0
    last_run: datetime | None = None
    next_run: datetime | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the counters as plain data."""
        return {key: v.isoformat() if isinstance(v, datetime) else v for key, v in asdict(self).items()}


@dataclass(slots=True)
class DispatchTally:
    """What a dispatcher has done since it started, for its metrics."""

    decided: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    lost: int = 0
    overdue: int = 0
    expired: int = 0


class JobDispatcherWorker:
    """The dispatcher of one process."""

    def __init__(
        self,
        worker_id: str,
        store: Store,
        bus: Bus,
        wakeups: Wakeups,
        settings: DispatcherSettings | None = None,
        *,
        random: random.Random,
        transport: Transport | None = None,
        schedules: Schedules | None = None,
        sender: WebhookSender | None = None,
        inbound: Inbound | None = None,
        platform_id: str = "default",
        tracing: Tracing | None = None,
        version: str = "",
    ) -> None:
        self.worker_id, self.settings = worker_id, settings or DispatcherSettings()
        self._store, self._wakeups, self._random, self._version = store, wakeups, random, version
        self._schedules = schedules or Schedules()
        self._reaper = Reaper(
            store,
            self._schedules,
            grace=self.settings.grace,
            lease=self.settings.lease,
            draws=self._draws,
            who=worker_id,
            on_reaped=self._reaped,
        )
        self.relay = Relay(store, bus, self._schedules, holder=worker_id)
        self.planning = Planning(
            store,
            wakeups,
            self._schedules,
            batch_size=self.settings.batch_size,
            who=worker_id,
            on_planned=self._planned,
            tracing=tracing,
        )
        self.relay.makes_way = lambda: self.planning.behind
        self._stats, self.tally = DispatchStats(), DispatchTally()
        self._started_at: datetime | None = None
        self._status = "stopped"
        self._crowded: set[str] = set()
        poll, foresight = self.settings.interval_ms / 1000, self.planning.foresight
        self._promoting = self._loop("promote", self._promote, ("pending",), poll * LOOKS)
        self._some_blocked = True
        watched = [
            self._loop("plan", self.planning.step, ("jobs",), poll * LOOKS),
            self._promoting,
            self._loop("relay", self.relay.step, ("outbox",), poll * LOOKS),
        ]
        self._deliverer = (
            None if sender is None else Deliverer(store, sender, wakeups, self.settings.deliveries, random=random)
        )
        if self._deliverer is not None:
            watched.append(self._loop("deliver", self._deliverer.step, ("deliveries",), poll * LOOKS))
        self._lookout = Lookout(store, {loop.name: loop for loop in watched})
        self._loops = [
            *watched,
            self._loop("admit", self._let_in, ("ended",), None),
            self._loop("look", self._look, (), poll),
            self._loop("foresee", foresight.step, (foresight.topic,), poll * LOOKS),
            self._loop("reap", self._reap, (), self.settings.reap.total_seconds()),
            self._loop("retain", self._retain, (), self.settings.retain.total_seconds()),
            self._loop("partition", self._partition, (), self.settings.retain.total_seconds()),
            self._loop("report", self._report, (), self.settings.report.total_seconds()),
        ]
        self._inbound = (
            None if inbound is None else InboundReader(store, inbound, self._schedules, platform_id=platform_id)
        )
        if self._inbound is not None:
            self._loops.append(self._loop("inbound", self._inbound.step, (), poll))
        self._transport = transport or DatabaseTransport()
        if self._transport.may_lose:
            reconciler = Reconciler(store, self._transport, after=self.settings.reconcile)
            self._loops.append(self._loop("reconcile", reconciler.step, (), self.settings.reconcile.total_seconds()))

    @property
    def held(self) -> bool:
        """Whether to decide and promote nothing: the fleet is held."""
        return self.planning.held

    @held.setter
    def held(self, held: bool) -> None:
        self.planning.held = held

    async def start(self) -> None:
        """Begin to decide. Does nothing where ``enabled`` is off."""
        if not self.settings.enabled:
            return
        self._status = "running"
        await self._store.write(self._put_node)
        await self._recompute()
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """Stop; what was decided stands, what was not is decided by another dispatcher or after the next start."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        if self._status == "running":
            self._status = "stopped"
            await self.relay.stop()
            if self._deliverer is not None:
                await self._deliverer.stop()
            if self._inbound is not None:
                await self._inbound.close()
            await self._store.write(self._put_node)

    def get_stats(self) -> DispatchStats:
        """Return the counters so far."""
        self._stats.errors = sum(loop.errors for loop in self._loops)
        return self._stats

    @property
    def loop_errors(self) -> dict[str, int]:
        """Steps that failed, by loop."""
        return {loop.name: loop.errors for loop in self._loops}

    def reset_stats(self) -> None:
        """Start the counters again."""
        for loop in self._loops:
            loop.errors = 0
        self._stats = DispatchStats()

    # -- steps: each is one transaction --------------------------------------------------------------------------

    def _planned(self, planned: Planned) -> None:
        stats = self._stats
        stats.jobs_dispatched += planned.dispatched
        stats.jobs_skipped += planned.skipped
        stats.jobs_completed += planned.completed
        stats.jobs_failed += len(planned.failed)
        stats.last_run, stats.next_run = planned.now, planned.next_due_at
        self.tally.failed += len(planned.failed)
        self.tally.decided.update(planned.decided)

    async def _look(self) -> float | None:
        asked, seen = self._time(), await self._lookout.step()
        self.planning.store_time.keep(asked, seen.now)
        if not self.held:
            # What it finds not due has been seen to: a dispatcher at rest has not stopped.
            self._stats.last_run, self._stats.next_run = seen.now, seen.plan
        return None

    async def _promote(self) -> float | None:
        if self.held:
            return None
        limit, asked = self.settings.batch_size, self._time()
        self._some_blocked = True  # until it is known: what ends meanwhile may come too late for this look
        promoted, now = await self._store.write(lambda tx: (promote_next(tx, limit), tx.now))
        self._some_blocked = promoted.some_blocked
        if promoted.queued >= limit:
            return 0.0
        if promoted.next_at is None:
            return None
        return max((promoted.next_at - now).total_seconds() - (self._time() - asked), 0.001)

    async def _let_in(self) -> None:
        """Look what may take the place of what has ended, if something waits for one: what is blocked tells itself."""
        if self._some_blocked:
            self._promoting.wake()

    async def _reap(self) -> float | None:
        reaped = await self._reaper.step()
        return None if reaped.rest is None else max(reaped.rest.total_seconds(), REAP_PAUSE)

    def _reaped(self, reaped: Reaped) -> None:
        self.tally.lost += reaped.lost
        self.tally.overdue += reaped.overdue
        self.tally.expired += reaped.expired
        if reaped:
            told = "reaped: %d lost, %d past their deadline, %d never started"
            counts = about("executions.reaped", lost=reaped.lost, overdue=reaped.overdue, expired=reaped.expired)
            logger.warning(told, reaped.lost, reaped.overdue, reaped.expired, extra=counts)

    async def _retain(self) -> float | None:
        deleted = await self._store.write(lambda tx: retain(tx, self.settings.retention))
        return 0.05 if deleted >= RETAIN_BATCH else None

    async def _partition(self) -> float | None:
        days, retention = self.settings.partition_days, self.settings.retention
        made = await self._store.write(lambda tx: tx.history.prepare(days))
        dropped = await self._store.write(lambda tx: drop_partitions(tx, retention))
        for name in made:
            logger.info("made the partition %s", name, extra=about("partition.made", partition=name))
        for name in dropped.partitions:
            told = "dropped the partition %s, which is past its retention"
            logger.info(told, name, extra=about("partition.dropped", partition=name))
        for name, rows in dropped.crowded.items():
            if name not in self._crowded:
                told = "partition %s is past its retention, but %d of its rows must stay"
                logger.warning(told, name, rows, extra=about("partition.crowded", partition=name, rows=rows))
        self._crowded = set(dropped.crowded)
        return 0.0 if dropped.partitions else None

    async def _report(self) -> float | None:
        await self._store.write(self._put_node)
        return None

    async def _recompute(self) -> None:
        """Recompute what was planned with other zone data, and say what moved."""
        after: str | None = None
        while True:
            moved, after = await self._store.write(partial(recompute, schedules=self._schedules, after=after))
            for job, next_run_at in moved:
                told = "zone data changed: job %s moves from %s to %s"
                logger.warning(told, job.name, job.next_run_at, next_run_at, extra=about("zones.changed", job=job.name))
            if after is None:
                break
        self._wakeups.notify("jobs")

    def _put_node(self, tx: Tx) -> None:
        self._started_at = self._started_at or tx.now
        tx.nodes.put_dispatcher(
            DispatcherNode(
                self.worker_id,
                socket.gethostname(),
                os.getpid(),
                self._started_at,
                tx.now,
                self._version,
                tzdb_version(),
                status=self._status,
                stats={**self.get_stats().to_wire(), "transport": dict(self._transport.counters())},
            )
        )

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    def _draws(self) -> list[float]:
        return [self._random.random() for _ in range(DRAWS)]

    def _loop(self, name: str, step: Any, topics: tuple[str, ...], poll: float | None) -> Loop:
        return Loop(name, step, wakeups=self._wakeups, topics=topics, poll=poll, gap=self.planning.gaps.wait)
