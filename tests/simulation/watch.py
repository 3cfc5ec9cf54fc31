"""The healthy end: everything must come to rest by itself, and nothing may wait longer than its bound (G11)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from mainspring.model.execution import Execution, Status

if TYPE_CHECKING:
    from tests.simulation.cluster import Node
    from tests.simulation.world import World

#: Slack over poll and reap interval: the 1 ms steps of the simulated database add up.
REAP, POLL, SLACK = timedelta(seconds=2), timedelta(seconds=1), timedelta(seconds=1.5)
LEASE = timedelta(seconds=15)
#: A worker that lost the answer to a claim learns of it at its next heartbeats.
ORPHAN = timedelta(seconds=12)
#: Loops and settling try again at most this many seconds after a failure (`mainspring.engine.service.BACKOFF_CAP`).
RETRY = 6.0
OVERDUE = timedelta(seconds=10) + REAP + SLACK


class Watch:
    """Looks once a second at what waits, and asks each time what it is waiting for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes: list[Node] = []
        self._since: dict[tuple[str, str], float] = {}

    async def until_at_rest(self, seconds: float) -> None:
        """Return when nothing is left to do; note a violation for what takes longer than it may."""
        world = self.world
        begun = moved = world.loop.time()
        settled, moves = 0, -1
        # A long line behind one slot, or many retries, may take their time, as long as things move.
        while world.loop.time() < min(moved + seconds, begun + 20 * seconds) and not world.problems:
            await asyncio.sleep(1)
            if moves != (moves := world.auditor.moves):
                moved = world.loop.time()
            self._look(world.loop.time() - begun)
            settled = settled + 1 if self._at_rest() else 0
            # Seen several times in a row, so that what an end leads to (chains, rollups) has had its turn.
            if settled >= 3:
                return
        if not world.problems:
            left = [f"{e.id} {e.status} blocked by {e.blocked_by} for {e.available_at}" for e in self._live()]
            world.problem(f"G3: not at rest, and nothing moved for {seconds:g} s of health: {left[:5]}")

    def _live(self) -> list[Execution]:
        return list(self.world.auditor._live())

    def _at_rest(self) -> bool:
        return not self._live() and not self.world.tables.outbox.unpublished(1)

    def _look(self, elapsed: float) -> None:
        if elapsed < RETRY or self.world.loop.time() < self.world.slow_until + RETRY:
            return  # what failed, or was sent, a moment ago may still be on its way
        now = self.world.now
        running = {
            (a.execution.id, a.execution.fence)
            for node in self.nodes
            if node.worker is not None and not node.life.dead
            for a in node.worker.running
        }
        waiting: set[tuple[str, str]] = set()

        def waits(law: str, what: str, bound: timedelta) -> None:
            waiting.add((law, what))
            since = self._since.setdefault((law, what), self.world.loop.time())
            if self.world.loop.time() - since > bound.total_seconds():
                self.world.problem(f"{law}: {what} for more than {bound.total_seconds():g} s of health")

        # A dispatcher that sees the store's clock step forward, be it long after, leaves leases alone for one of them.
        spared = LEASE if self.world.stepped else timedelta(0)
        room = self._room()
        for e in self._live():
            told = f"{e.id} ({e.job_name or e.handler}, {e.status})"
            if e.status is Status.RUNNING:
                if e.lease_until is not None and e.lease_until < now:
                    waits("I9", f"{told} has a lease that is over", spared + REAP + SLACK)
                if (e.id, e.fence) not in running:
                    alive = any(
                        n.worker is not None and n.worker.id == e.worker_id and not n.life.dead for n in self.nodes
                    )
                    waits(
                        "G11",
                        f"{told} is on lease to {'a live' if alive else 'a dead'} worker that does not run it",
                        ORPHAN if alive else LEASE + spared + REAP + SLACK,
                    )
                if e.deadline_at is not None and e.deadline_at < now:
                    waits("I26", f"{told} is past its deadline", OVERDUE)
                if e.cancel_requested_at is not None:
                    waits("G16", f"{told} was to be cancelled", timedelta(seconds=5) + OVERDUE)
            elif e.status is Status.QUEUED:
                if e.start_deadline_at is not None and e.start_deadline_at <= now:
                    waits("I22", f"{told} is past its start deadline", REAP + SLACK)
                elif room.get(e.queue, 0) > 0:
                    waits("I22", f"{told} is queued and a worker has room", POLL + SLACK)
            elif e.blocked_by is None and e.available_at <= now:
                waits("I22", f"{told} is due and nothing holds it", POLL + SLACK)
            elif e.blocked_by is not None and not self._holds(e):
                waits("I22", f"{told} is blocked by {e.blocked_by}, which nobody holds", 2 * POLL + SLACK)
        due = self.world.tables.jobs.next_due_at()
        if due is not None and due <= now:
            waits("I3", "an active job is due", POLL + SLACK)
        oldest = self.world.tables.outbox.oldest_unpublished_at()
        if oldest is not None and oldest < now:
            waits("I23", f"the event of {oldest} is not published", POLL + SLACK)
        self._since = {key: at for key, at in self._since.items() if key in waiting}

    def _room(self) -> dict[str, int]:
        room: dict[str, int] = {}
        for node in self.nodes:
            if node.worker is not None and not node.life.dead and node.ready:
                for queue, free in node.worker.room.items():
                    room[queue] = room.get(queue, 0) + free
        return room

    def _holds(self, e: Execution) -> bool:
        """Whether what is said to block an execution does so by the rows themselves."""
        live = self._live()
        occupying = [o for o in live if o.status in (Status.QUEUED, Status.RUNNING)]
        blocked_by = e.blocked_by or ""
        limits = {(x.scope, x.name): x for x in self.world.tables.platforms.limits("default")}
        if blocked_by in ("overlap", "job"):
            job = self.world.auditor.jobs[e.job_id or ""]
            slots = job.definition.slots
            active = [o for o in live if o.job_id == e.job_id and not o.buffered and o.blocked_by != "job"]
            return slots is not None and len(active) >= slots
        kind, _, name = blocked_by.partition(":")
        limit = limits.get((kind if kind != "rate" else "queue", name))
        if kind == "rate":
            return limit is not None
        same = {
            "platform": occupying,
            "queue": [o for o in occupying if o.queue == name],
            "key": [o for o in occupying if o.concurrency_key == name],
        }[kind]
        bound = limit.max_running if limit is not None and limit.max_running is not None else e.concurrency_limit
        return bound is not None and len(same) >= bound
