"""One engine in the hand: a store in memory, a clock that is moved, and the moves called one by one."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from mainspring.adapters.memory import MemoryStore
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.job import Job
from mainspring.model.outcome import Outcome, Succeeded
from mainspring.model.wire import definition_from_wire
from mainspring.moves.admit import promote
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.jobs import create_job
from mainspring.moves.plan import Planned, plan_due
from mainspring.moves.reap import Reaped, reap
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.testing.clock import ManualClock

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
LEASE = timedelta(seconds=15)


class Bench:
    """Every move by a short name, each in a transaction of its own."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = MemoryStore(self.clock, random=random.Random(1), record_transitions=True)
        self.schedules = Schedules()

    def do(self, work: Callable[[Tx], Any]) -> Any:
        return self.store.write_blocking(work)

    def job(self, name: str = "job", **fields: Any) -> Job:
        wire = {"name": name, "type": "cron", "handler": "h", "schedule": {"cron": "0 * * * *"}, **fields}
        if wire["schedule"] is None:
            del wire["schedule"]
        return self.do(lambda tx: create_job(tx, "default", definition_from_wire(wire))).job

    def plan(self) -> Planned:
        return self.do(lambda tx: plan_due(tx, self.schedules, "dispatcher"))

    def promote(self) -> int:
        return self.do(promote)

    def claim(self, limit: int = 100, worker: str = "w") -> list[Execution]:
        slots = {"default": 100, "reports": 100}
        return self.do(lambda tx: claim(tx, worker, queues=slots, handlers=["h", "other"], limit=limit, lease=LEASE))

    def settle(self, execution: Execution, outcome: Outcome | None = None) -> bool:
        ended = [Ended(execution, outcome if outcome is not None else Succeeded(), 0.5)]
        return bool(self.do(lambda tx: settle_attempts(tx, ended, Actor.WORKER)))

    def reap(self) -> Reaped:
        return self.do(lambda tx: reap(tx, grace=timedelta(seconds=10), draws=[0.5]))

    def relay(self) -> list[str]:
        problems: list[str] = []
        while events := self.do(take_unpublished):
            problems += self.do(partial(mark_published, schedules=self.schedules, events=events))
        return problems

    def get(self, execution_id: str) -> Execution:
        return self.do(lambda tx: tx.executions.get(execution_id))

    def executions(self, *statuses: Status) -> list[Execution]:
        return self.do(lambda tx: tx.executions.find(ExecutionQuery(statuses=statuses, limit=1000)))[::-1]

    def ledger(self, job: Job) -> list[Any]:
        return self.do(lambda tx: tx.decisions.find(job.id, limit=1000))[::-1]

    def stored(self, name: str = "job") -> Job:
        return self.do(lambda tx: tx.jobs.get("default", name))


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.store.open()
    return bench
