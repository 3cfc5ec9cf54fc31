"""The reaper while the store's clock steps: leases keep their seconds, and the step is reported."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from mainspring.adapters.memory.store import MemoryStore
from mainspring.control.doctor import Grade, examine
from mainspring.engine.clock_watch import TOLERANCE, ClockWatch
from mainspring.engine.reaper import Reaper
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.outcome import Failed
from mainspring.model.wire import definition_from_wire
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.jobs import create_job, pause_job
from mainspring.moves.reap import Reaped
from mainspring.moves.schedules import Schedules
from mainspring.testing.clock import ManualClock

LEASE = timedelta(seconds=15)
HOUR = timedelta(hours=1)


class Ward:
    """A store with one running execution, and a reaper that looks at it."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.store = MemoryStore(self.clock, random=Random(1))
        self.reaper = Reaper(
            self.store, Schedules(), grace=timedelta(seconds=10), lease=LEASE, draws=lambda: [0.5], who="dispatcher-1"
        )

    async def claimed(self, timeout: timedelta = timedelta(days=1)) -> Execution:
        await self.store.open()
        requests = [EnqueueRequest("h", timeout=timeout)]
        await self.store.write(lambda tx: enqueue(tx, requests))
        (one,) = await self.store.write(
            lambda tx: claim(tx, "w", queues={"default": 1}, handlers=["h"], limit=1, lease=LEASE)
        )
        return one

    async def seen_to_step(self, by: timedelta, timeout: timedelta = timedelta(days=1)) -> Execution:
        """Claim an execution, let the reaper look once, and let the store's clock step."""
        held = await self.claimed(timeout)
        await self.reaper.step()
        self.clock.advance(by)
        return held

    async def status(self, execution: Execution) -> Status:
        found = await self.store.read(lambda tx: tx.executions.get(execution.id))
        assert found is not None
        return found.status

    async def renew(self) -> None:
        await self.store.write(lambda tx: tx.executions.renew("w", tx.now + LEASE))

    def pass_by(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let seconds pass, by the store's clock and by the machine's."""
        self.clock.advance(timedelta(seconds=seconds))
        loop, now = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        monkeypatch.setattr(loop, "time", lambda: now + seconds)


async def test_after_a_step_forward_who_renews_keeps_its_lease_and_who_does_not_loses_it(monkeypatch, caplog):
    ward = Ward()
    held = await ward.seen_to_step(HOUR)
    with caplog.at_level(logging.WARNING):
        assert not await ward.reaper.step()
    assert "stepped forward by 3600" in caplog.text
    ward.pass_by(5, monkeypatch)
    assert not await ward.reaper.step(), "nobody has had a lease's time to renew"
    await ward.renew()
    ward.pass_by(11, monkeypatch)
    await ward.reaper.step()
    assert await ward.status(held) is Status.RUNNING
    ward.pass_by(16, monkeypatch)
    assert (await ward.reaper.step()).lost
    assert await ward.status(held) is Status.RETRYING


async def test_after_a_step_back_the_leases_of_the_dead_last_one_lease(monkeypatch):
    ward = Ward()
    ward.clock.advance(HOUR)
    dead = await ward.seen_to_step(-HOUR)
    await ward.reaper.step()
    assert await ward.status(dead) is Status.RUNNING
    ward.pass_by(15, monkeypatch)
    assert (await ward.reaper.step()).lost == 1


async def test_a_step_forward_is_no_timeout(monkeypatch):
    ward = Ward()
    held = await ward.seen_to_step(HOUR, timeout=timedelta(seconds=60))
    assert not await ward.reaper.step()
    for seconds in range(5, 70, 5):
        await ward.renew()
        ward.pass_by(5, monkeypatch)
        assert not await ward.reaper.step(), seconds
    await ward.renew()
    ward.pass_by(5, monkeypatch)
    assert (await ward.reaper.step()).overdue == 1, "a minute, and the grace"
    assert await ward.status(held) is Status.RETRYING


async def test_a_retry_does_not_wait_until_a_clock_that_stepped_back_has_come_round_again(monkeypatch):
    ward = Ward()
    ward.clock.advance(HOUR)
    held = await ward.claimed()
    await ward.reaper.step()
    ended = Ended(held, Failed({"type": "E", "message": "no", "traceback": ""}), 0.5)
    await ward.store.write(lambda tx: settle_attempts(tx, [ended], Actor.WORKER))
    ward.clock.advance(-HOUR)
    await ward.reaper.step()
    found = await ward.store.read(lambda tx: tx.executions.get(held.id))
    assert found is not None
    assert found.status is Status.RETRYING
    assert timedelta(0) < found.available_at - ward.clock.now() < timedelta(minutes=1)


async def test_the_doctor_warns_of_a_step_for_a_day():
    ward = Ward()
    await ward.seen_to_step(HOUR)
    await ward.reaper.step()

    async def found() -> Grade:
        findings = await ward.store.read(lambda tx: examine(tx, Schedules(), "default"))
        return next(f.grade for f in findings if f.check == "database_clock")

    assert await found() is Grade.WARNING
    ward.clock.advance(timedelta(days=2))
    assert await found() is Grade.NOTE


def test_a_clock_that_is_slewed_or_a_busy_machine_is_no_step():
    watch, at = ClockWatch(), datetime(2026, 3, 1, tzinfo=UTC)
    watch.keep(at, 50.0)
    assert watch.step(at + timedelta(seconds=10), 60.0 + TOLERANCE.total_seconds()) == timedelta(0)
    assert watch.step(at + timedelta(seconds=10), 63.0) == timedelta(seconds=-3)


async def test_what_was_taken_back_is_told_although_a_pause_cannot_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ward, told = Ward(), list[Reaped]()
    ward.reaper = Reaper(
        ward.store,
        Schedules(),
        grace=timedelta(seconds=10),
        lease=LEASE,
        draws=lambda: [0.5],
        who="dispatcher-1",
        on_reaped=told.append,
    )
    held = await ward.claimed()
    definition = definition_from_wire(
        {"name": "j", "type": "recurring", "handler": "h", "schedule": {"every_ms": 60_000}}
    )
    until = ward.clock.now() + LEASE
    await ward.store.write(lambda tx: create_job(tx, "default", definition))
    await ward.store.write(lambda tx: pause_job(tx, Schedules(), "default", "j", reason="rest", until=until))
    ward.clock.advance(2 * LEASE)

    def broken(*_: object) -> None:
        raise RuntimeError("it cannot be resumed")

    monkeypatch.setattr("mainspring.engine.reaper.resume_due", broken)
    with pytest.raises(RuntimeError, match="cannot be resumed"):
        await ward.reaper.step()
    assert [reaped.lost for reaped in told] == [1]
    assert await ward.status(held) is not Status.RUNNING


async def test_while_nothing_is_over_nothing_is_written_and_it_says_when_to_look_again(monkeypatch) -> None:
    ward = Ward()
    held = await ward.claimed()

    async def refuse(work: object) -> None:
        raise AssertionError("nothing is over")

    with monkeypatch.context() as patch:
        patch.setattr(ward.store, "write", refuse)
        assert (await ward.reaper.step()).rest == LEASE
    assert await ward.status(held) is Status.RUNNING
    ward.pass_by(LEASE.total_seconds(), monkeypatch)
    assert (await ward.reaper.step()).lost == 1
    assert await ward.status(held) is not Status.RUNNING


async def test_after_what_was_over_it_looks_again_when_the_next_is(monkeypatch) -> None:
    ward = Ward()
    await ward.store.open()
    requests = [EnqueueRequest("h", start_deadline=timedelta(seconds=seconds)) for seconds in (7, 7.5)]
    await ward.store.write(lambda tx: enqueue(tx, requests))
    ward.pass_by(7, monkeypatch)
    reaped = await ward.reaper.step()
    assert (reaped.expired, reaped.rest) == (1, timedelta(seconds=0.5))


@pytest.mark.parametrize("what", ["start_deadline", "pause"])
async def test_it_looks_again_when_a_start_deadline_or_a_pause_is_over(what: str, monkeypatch) -> None:
    ward = Ward()
    await ward.store.open()
    until = ward.clock.now() + timedelta(seconds=7)
    if what == "pause":
        definition = definition_from_wire({"name": "j", "handler": "h", "type": "manual"})
        await ward.store.write(lambda tx: create_job(tx, "default", definition))
        await ward.store.write(lambda tx: pause_job(tx, Schedules(), "default", "j", reason="rest", until=until))
    else:
        request = EnqueueRequest("h", start_deadline=timedelta(seconds=7))
        await ward.store.write(lambda tx: enqueue(tx, [request]))
    assert (await ward.reaper.step()).rest == timedelta(seconds=7)
    ward.pass_by(7, monkeypatch)
    reaped = await ward.reaper.step()
    assert reaped.expired == (what == "start_deadline")
    assert (await ward.reaper.step()).rest is None
