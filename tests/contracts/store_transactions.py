"""What a store promises of a transaction: all or nothing, one instant, ascending ids, wakes after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import pytest

from mainspring.errors import StoreError, StoreUnavailableError
from mainspring.model.dispatch import Announcement, Dispatch, RetryPlanned
from mainspring.model.execution import Actor, Attempt, LogLine, Move, Status
from mainspring.model.ids import id_time
from mainspring.model.job import JobCursor, JobStats
from mainspring.model.node import DispatcherNode, HandlerRow, Limit, WorkerNode
from mainspring.ports.store import Claimable, ExecutionQuery, Store, Tx
from tests.contracts.store_rows import (
    HOUR,
    MINUTE,
    PLATFORM,
    SECOND,
    a_decision,
    a_job,
    a_letter,
    add,
    add_job,
    an_event,
    an_execution,
    new_id,
)

T = TypeVar("T")


class Refused(Exception):
    """What a test's work raises to have everything undone."""


class TransactionContract:
    """Transactions, whatever is done in them."""

    async def test_write_returns_what_work_returns_and_keeps_it(self, store: Store) -> None:
        def work(tx: Tx) -> int:
            tx.platforms.put_note("colour", "green")
            return 7

        assert await store.write(work) == 7
        assert await store.read(lambda tx: tx.platforms.note("colour")) == "green"

    async def test_work_that_raises_on_an_empty_store_leaves_it_empty(self, store: Store, now: datetime) -> None:
        before = await store.write(everything)
        with pytest.raises(Refused):
            await store.write(lambda tx: refuse(fill(tx, now)))
        assert await store.write(everything) == before

    async def test_work_that_raises_undoes_every_change_in_every_table(self, store: Store, now: datetime) -> None:
        ids = await store.write(lambda tx: fill(tx, now))
        before = await store.write(everything)

        def change_and_see(tx: Tx) -> None:
            change(tx, ids)
            assert everything(tx) != before
            raise Refused

        with pytest.raises(Refused):
            await store.write(change_and_see)
        assert await store.write(everything) == before

    async def test_a_store_works_on_after_work_that_raised(self, store: Store) -> None:
        with pytest.raises(Refused):
            await store.write(refuse)
        with pytest.raises(Refused):
            await store.read(refuse)
        await store.write(lambda tx: tx.platforms.put_note("colour", "green"))
        assert await store.read(lambda tx: tx.platforms.note("colour")) == "green"

    async def test_spoiling_what_was_given_or_returned_spoils_nothing_that_is_stored(
        self, store: Store, now: datetime
    ) -> None:
        rows: list[Any] = []
        await store.write(lambda tx: fill(tx, now, rows))
        before = deepcopy(await store.write(everything))
        spoil(rows)
        spoil(await store.write(everything))
        assert await store.write(everything) == before

    async def test_work_sees_its_own_writes(self, store: Store, now: datetime) -> None:
        execution = an_execution(now)

        def work(tx: Tx) -> tuple[int, bool]:
            tx.executions.add([execution])
            return tx.executions.pending_count(PLATFORM, 100), tx.executions.get(execution.id) == execution

        assert await store.write(work) == (1, True)

    async def test_a_read_that_writes_changes_nothing(self, store: Store) -> None:
        with suppress(StoreError):
            await store.read(lambda tx: tx.platforms.put_note("colour", "green"))
        assert await store.read(lambda tx: tx.platforms.note("colour")) is None

    async def test_topics_are_woken_once_the_work_has_committed(self, store: Store, wakeups: Any) -> None:
        listener = wakeups.listen("queued")

        def work(tx: Tx) -> list[str]:
            tx.wake("queued", "ended")
            tx.wake("queued")
            return list(wakeups.heard)

        assert await store.write(work) == []
        assert await listener.wait(5)
        assert set(wakeups.heard) == {"queued", "ended"}
        listener.close()

    async def test_work_that_raises_wakes_nobody(self, store: Store, wakeups: Any) -> None:
        def work(tx: Tx) -> None:
            tx.wake("queued")
            raise Refused

        with pytest.raises(Refused):
            await store.write(work)
        later = wakeups.listen("ended")
        await store.write(lambda tx: tx.wake("ended"))
        assert await later.wait(5)
        assert wakeups.heard == ["ended"]
        later.close()

    async def test_what_is_announced_is_passed_on_once_the_work_has_committed(
        self, store: Store, wakeups: Any, announcer: Any, now: datetime
    ) -> None:
        listener = wakeups.listen("queued")
        one, two = Dispatch(new_id(now), PLATFORM, "mail", 9), RetryPlanned(new_id(now), PLATFORM, now)

        def work(tx: Tx) -> list[Announcement]:
            tx.announce([one])
            tx.announce([])
            tx.announce(iter([two]))
            return list(announcer.heard)

        assert await store.write(work) == []
        assert await listener.wait(5), "the topics an announcer answers are woken as well"
        assert announcer.heard == [one, two]
        listener.close()

    async def test_work_that_raises_announces_nothing(
        self, store: Store, wakeups: Any, announcer: Any, now: datetime
    ) -> None:
        kept = Dispatch(new_id(now), PLATFORM)

        def work(tx: Tx) -> None:
            tx.announce([Dispatch(new_id(now), PLATFORM)])
            raise Refused

        with pytest.raises(Refused):
            await store.write(work)
        later = wakeups.listen("queued")
        await asyncio.to_thread(store.write_blocking, lambda tx: tx.announce([kept]))
        assert await later.wait(5)
        assert announcer.heard == [kept]
        later.close()

    async def test_now_stands_still_within_a_transaction(
        self, store: Store, now: datetime, advance: Callable[[timedelta], datetime]
    ) -> None:
        def work(tx: Tx) -> tuple[datetime, datetime]:
            first = tx.now
            advance(HOUR)
            return first, tx.now

        assert await store.write(work) == (now, now)
        assert await store.read(lambda tx: tx.now) == now + HOUR

    async def test_now_is_aware_and_in_utc(self, store: Store, now: datetime) -> None:
        assert now.utcoffset() == timedelta(0)

    async def test_ids_ascend_within_and_across_transactions(self, store: Store, now: datetime) -> None:
        first = await store.write(lambda tx: [*tx.new_ids(50), tx.new_id()])
        second = await store.write(lambda tx: tx.new_ids(50))
        ids = first + second
        assert ids == sorted(set(ids))
        assert len(ids) == 101
        assert id_time(ids[0]) >= now - timedelta(milliseconds=1)

    async def test_ids_ascend_when_the_clock_goes_back(
        self, store: Store, advance: Callable[[timedelta], datetime]
    ) -> None:
        before = await store.write(lambda tx: tx.new_id())
        advance(-HOUR)
        assert await store.write(lambda tx: tx.new_id()) > before

    @pytest.mark.parametrize("lock", ["job", "execution", "limits"])
    async def test_what_is_read_and_written_under_a_lock_is_never_lost(
        self, store: Store, now: datetime, lock: str
    ) -> None:
        """Fifty writers add one each to the same number."""
        job, execution, limit = a_job(now), an_execution(now), Limit(PLATFORM, "queue", "mail", max_running=3)
        await add_job(store, job)
        await add(store, execution)
        await store.write(lambda tx: tx.platforms.put_limit(limit))

        def increment(tx: Tx) -> None:
            if lock == "job":
                tx.jobs.get(PLATFORM, job.id, lock=True)
            elif lock == "execution":
                tx.executions.get(execution.id, lock=True)
            else:
                tx.platforms.lock_limits(tx.platforms.limits(PLATFORM))
            count(tx)

        await asyncio.gather(*(store.write(increment) for _ in range(50)))
        assert await store.read(lambda tx: tx.platforms.note("count")) == "50"

    async def test_threads_without_a_loop_write_and_read_beside_the_loop(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))

        def increment(tx: Tx) -> None:
            tx.jobs.get(PLATFORM, job.id, lock=True)
            count(tx)

        def ten_times() -> None:
            for _ in range(10):
                store.write_blocking(increment)

        await asyncio.gather(
            *(asyncio.to_thread(ten_times) for _ in range(4)), *(store.write(increment) for _ in range(10))
        )
        assert await asyncio.to_thread(store.read_blocking, lambda tx: tx.platforms.note("count")) == "50"

    async def test_a_thread_wakes_a_listener_of_the_loop(self, store: Store, wakeups: Any) -> None:
        listener = wakeups.listen("cancel")
        await asyncio.to_thread(store.write_blocking, lambda tx: tx.wake("cancel"))
        assert await listener.wait(5)
        listener.close()

    async def test_what_work_raises_in_a_thread_reaches_the_caller_and_undoes_all(self, store: Store) -> None:
        def work(tx: Tx) -> None:
            tx.platforms.put_note("colour", "green")
            raise Refused

        with pytest.raises(Refused):
            await asyncio.to_thread(store.write_blocking, work)
        assert await store.read(lambda tx: tx.platforms.note("colour")) is None

    async def test_a_closed_store_is_unavailable_and_closes_again(self, store: Store) -> None:
        await store.close()
        with pytest.raises(StoreUnavailableError):
            await store.write(lambda tx: tx.new_id())
        with pytest.raises(StoreUnavailableError):
            await store.read(lambda tx: tx.now)
        await store.close()

    async def test_methods_that_take_a_sequence_do_nothing_for_an_empty_one(self, store: Store) -> None:
        before = await store.write(everything)
        await store.write(empty_calls)
        assert await store.write(everything) == before


def refuse(_: object) -> None:
    """Raise, so that everything is undone."""
    raise Refused


def count(tx: Tx) -> None:
    """Add one to a number kept as a note: two steps, so that two at once would lose one."""
    tx.platforms.put_note("count", str(int(tx.platforms.note("count") or 0) + 1))


def empty_calls(tx: Tx) -> None:
    """Call every method of every table that takes a sequence with nothing."""
    assert tx.jobs.by_id([]) == {}
    assert tx.jobs.stats([]) == {}
    tx.jobs.advance([])
    tx.jobs.put_stats([])
    tx.decisions.add([])
    tx.executions.add([])
    assert tx.executions.active_of([]) == []
    assert tx.executions.move([]) == set()
    tx.executions.set_blocked({})
    assert tx.executions.occupying(PLATFORM, "queue", []) == {}
    for nothing in (
        Claimable({}, ["kb:tidy"], 10),
        Claimable({"default": 1}, [], 10),
        Claimable({"default": 1}, ["kb:tidy"], 10, []),
    ):
        assert tx.executions.claim("w", SECOND, nothing) == []
    tx.executions.put_progress([])
    tx.executions.add_attempts([])
    tx.dead_letters.add([])
    tx.outbox.add([])
    assert tx.outbox.mark_published([]) == set()
    tx.nodes.announce([])
    tx.platforms.lock_limits([])


def fill(tx: Tx, now: datetime, given: list[Any] | None = None) -> dict[str, str]:
    """Put a row with plain data at least into every table; return the ids of the job, the execution and the event.

    What was handed to the store is added to ``given``.
    """
    rows = [] if given is None else given

    def keep(row: T) -> T:
        rows.append(row)
        return row

    def data() -> dict[str, Any]:
        return {"deep": {"n": 1}, "list": [1, [2]]}

    job = keep(a_job(now, next_run_at=now, payload=data(), tzdb_version="2025b"))
    execution = keep(an_execution(now, Status.RUNNING, payload=data(), lease_until=now))
    queued = keep(an_execution(now, Status.QUEUED, payload=data(), start_deadline_at=now + MINUTE))
    waiting = [an_execution(now, payload=data(), blocked_by=held) for held in (None, "platform")]
    ended = an_execution(now, Status.FAILED, error=data())
    event = keep(an_event(now, data=data()))
    tx.jobs.add([job], actor="ada")
    tx.jobs.put_stats([JobStats(job.id, total=1, success=1)])
    tx.executions.add([execution, queued, ended, *keep(waiting)])
    decision = a_decision(job, now, execution_id=execution.id, until_at=now + MINUTE, reason=data())
    tx.decisions.add([keep(decision)])
    tx.executions.add_attempts([keep(Attempt(execution.id, 0, 1, "failed", now, error=data()))])
    tx.logs.append(execution.id, [keep(LogLine(execution.id, 0, now, "info", "one", data()))], fence=1, cap=10)
    tx.dead_letters.add([keep(a_letter(execution, error=data()))])
    tx.outbox.add([event])
    tx.inbox.accept(keep(an_event(now, id="e-1", source="shop", data=data())))
    tx.nodes.put_worker(keep(WorkerNode("w-1", "host", 1, now, now, "1", {"default": 2}, ("kb:tidy",))))
    tx.nodes.put_dispatcher(keep(DispatcherNode("d-1", "host", 1, now, now, "1", "2026a", stats=data())))
    tx.nodes.announce([keep(HandlerRow("kb:tidy", "function", now, schema=data(), defaults=data()))])
    tx.platforms.put_timezone(PLATFORM, "Europe/Berlin")
    tx.platforms.put_limit(Limit(PLATFORM, "queue", "mail", max_running=3))
    tx.platforms.put_calendar(PLATFORM, "holidays", keep({date(2026, 12, 25): "Christmas"}), source="test")
    tx.platforms.put_idempotent(PLATFORM, "k", "hash", execution.id)
    tx.platforms.put_note("colour", "green")
    return {"job": job.id, "execution": execution.id, "event": event.id}


def spoil(value: Any) -> None:
    """Change every dictionary and list within a value, however deep."""
    if is_dataclass(value):
        for field in fields(value):
            spoil(getattr(value, field.name))
    elif isinstance(value, dict):
        spoil(list(value.values()))
        value["spoiled"] = True
    elif isinstance(value, list | tuple):
        for item in value:
            spoil(item)
        if isinstance(value, list):
            value.append("spoiled")


def change(tx: Tx, ids: dict[str, str]) -> None:
    """Change or delete what `fill` has put into the tables."""
    later = tx.now + MINUTE
    tx.jobs.advance([JobCursor(ids["job"], later, later + MINUTE, None, "2026b", made=1)])
    tx.jobs.put_stats([JobStats(ids["job"], total=2)])
    tx.executions.put_progress([(ids["execution"], 1, {"done": 1})])
    tx.executions.request_cancel(ids["execution"], "why not")
    tx.executions.renew("w-1", later + HOUR)
    tx.executions.move(
        [Move(ids["execution"], Status.RUNNING, Status.SUCCESS, Actor.WORKER, set={"finished_at": tx.now})]
    )
    tx.logs.append(ids["execution"], [LogLine("", 0, tx.now, "info", "two")], fence=None, cap=10)
    tx.dead_letters.resolve(ids["execution"], status="discarded", reason="old")
    tx.outbox.mark_published([ids["event"]])
    tx.outbox.delete_published(later, 10)
    tx.executions.delete_ended(later, 10)
    tx.nodes.forget(later)
    tx.platforms.put_timezone(PLATFORM, None)
    tx.platforms.put_limit(Limit(PLATFORM, "queue", "mail"))
    tx.platforms.put_calendar(PLATFORM, "holidays", {date(2026, 1, 1): "New Year"}, source="test")
    tx.platforms.delete_idempotent(later, 10)
    tx.platforms.put_note("colour", "red")


def everything(tx: Tx) -> dict[str, Any]:
    """Return all that the port lets one see."""
    jobs = tx.jobs.find(PLATFORM)
    executions = tx.executions.find(ExecutionQuery())
    letters = tx.dead_letters.find(PLATFORM, status=None)
    return {
        "jobs": jobs,
        "jobs by id": tx.jobs.by_id([job.id for job in jobs]),
        "jobs by name": [tx.jobs.get(PLATFORM, job.name) for job in jobs],
        "due": tx.jobs.due(10),
        "outdated": tx.jobs.outdated("2026a", 10),
        "revisions": [tx.jobs.revisions(job.id) for job in jobs],
        "stats": tx.jobs.stats([job.id for job in jobs]),
        "decisions": [tx.decisions.find(job.id) for job in jobs],
        "decided": [tx.decisions.get(job.id, job.created_at) for job in jobs],
        "covered": [tx.decisions.get(job.id, job.created_at + SECOND) for job in jobs],
        "decisions of": [tx.decisions.of_execution(e.id) for e in executions],
        "executions": executions,
        "execution": [tx.executions.get(e.id) for e in executions],
        "promotable": tx.executions.promotable(10),
        "held back": tx.executions.held_back(),
        "blockers": tx.executions.blockers(10),
        "blocked": tx.executions.blocked(PLATFORM, "platform", job_id=None, limit=10),
        "lease over": tx.executions.lease_over(10),
        "attempts": [tx.executions.attempts(e.id) for e in executions],
        "logs": [tx.logs.read(e.id) for e in executions],
        "counts": tx.executions.counts(PLATFORM, 100),
        "holders": tx.executions.holders(PLATFORM, "queue", "default", 10),
        "transitions": tx.executions.transitions(),
        "letters": letters,
        "letter": [tx.dead_letters.get(letter.execution_id) for letter in letters],
        "open letters": tx.dead_letters.count(PLATFORM, 100),
        "outbox": tx.outbox.unpublished(10),
        "oldest": tx.outbox.oldest_unpublished_at(),
        "inbox": tx.inbox.get(PLATFORM, "shop", "e-1"),
        "workers": tx.nodes.workers(),
        "dispatchers": tx.nodes.dispatchers(),
        "handlers": tx.nodes.handlers(),
        "zone": tx.platforms.timezone(PLATFORM),
        "limits": tx.platforms.limits(),
        "calendars": tx.platforms.calendars(PLATFORM),
        "key": tx.platforms.idempotent(PLATFORM, "k"),
        "note": tx.platforms.note("colour"),
        "outlook": tx.outlook(),
    }
