"""What a store promises of executions as rows: whole, unshared, listed newest first, deleted when nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mainspring.model.columns import Columns
from mainspring.model.execution import Actor, Attempt, Cause, Execution, Failure, Move, Status
from mainspring.model.job import as_active
from mainspring.model.policy import RetryJitter, RetryPolicy
from mainspring.ports.store import ExecutionQuery, Store, Tx
from tests.contracts.store_rows import (
    HOUR,
    MINUTE,
    PLATFORM,
    SECOND,
    a_job,
    a_letter,
    add,
    add_job,
    an_event,
    an_execution,
    fetch,
    find,
    lines,
    move,
    new_id,
    of_job,
)


class ExecutionContract:
    """`ExecutionTable` but for moves and queues."""

    async def test_an_execution_comes_back_whole(self, store: Store, now: datetime) -> None:
        job, first = await add_job(store, a_job(now)), an_execution(now)
        execution = every_field_set(now, job_id=job.id, retry_of=first.id)
        await add(store, first, execution)
        assert await fetch(store, execution) == execution
        assert await fetch(store, first) == first
        assert await store.write(lambda tx: tx.executions.get(execution.id, lock=True)) == execution
        assert await store.read(lambda tx: tx.executions.get(new_id(now))) is None

    @pytest.mark.parametrize("count", [1, 3])
    async def test_executions_given_by_columns_come_back_whole(self, store: Store, now: datetime, count: int) -> None:
        first = every_field_set(now, job_id=None, retry_of=None)
        given = [first.changed(id=new_id(now), priority=number, payload={"n": number}) for number in range(count)]
        names = tuple(field.name for field in fields(Execution))
        columns = Columns.of(Execution, names, [[getattr(one, name) for name in names] for one in given])
        await store.write(lambda tx: tx.executions.add(columns))
        assert [await fetch(store, one) for one in given] == given

    @pytest.mark.parametrize("result", [None, 0, False, "", "text", 1.5, [], {}, [1, {"a": None}]], ids=repr)
    async def test_any_plain_result_comes_back_as_it_is(self, store: Store, now: datetime, result: Any) -> None:
        execution = an_execution(now, Status.RUNNING)
        await add(store, execution)
        success = Move(execution.id, Status.RUNNING, Status.SUCCESS, Actor.WORKER, set={"result": result})
        await move(store, success)
        found = (await fetch(store, execution)).result
        assert (found, type(found)) == (result, type(result))

    @pytest.mark.parametrize("cause", Cause)
    async def test_every_cause_can_be_stored(self, store: Store, now: datetime, cause: Cause) -> None:
        execution = an_execution(now, cause=cause)
        await add(store, execution)
        assert await fetch(store, execution) == execution

    async def test_a_stored_execution_shares_nothing_with_what_was_given_or_returned(
        self, store: Store, now: datetime
    ) -> None:
        payload: dict[str, Any] = {"ids": [1]}
        execution = an_execution(now, Status.RUNNING, payload=payload)
        await add(store, execution)
        payload["ids"].append(2)
        first = await fetch(store, execution)
        assert first.payload == {"ids": [1]}
        first.payload["ids"].append(3)
        assert (await fetch(store, execution)).payload == {"ids": [1]}

    async def test_what_a_move_or_progress_sets_is_not_shared_either(self, store: Store, now: datetime) -> None:
        execution = an_execution(now, Status.RUNNING)
        await add(store, execution)
        progress: dict[str, Any] = {"done": [1]}
        result: dict[str, Any] = {"rows": [1]}
        success = Move(execution.id, Status.RUNNING, Status.SUCCESS, Actor.WORKER, set={"result": result})
        await store.write(lambda tx: tx.executions.put_progress([(execution.id, 1, progress)]))
        await move(store, success)
        progress["done"].append(2)
        result["rows"].append(2)
        found = await fetch(store, execution)
        assert (found.progress, found.result) == ({"done": [1]}, {"rows": [1]})

    # -- listing ---------------------------------------------------------------------------------------------------

    async def test_find_lists_newest_first_in_pages(self, store: Store, now: datetime) -> None:
        rows = [an_execution(now) for _ in range(5)]
        await add(store, rows[2], rows[0], rows[4], rows[1], rows[3])
        page = await find(store, ExecutionQuery(limit=2))
        assert page == [rows[4], rows[3]]
        assert await find(store, ExecutionQuery(before_id=page[-1].id)) == [rows[2], rows[1], rows[0]]

    async def test_find_returns_what_matches_every_field_given(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        first = an_execution(now - HOUR, Status.FAILED)
        retry = an_execution(now, Status.QUEUED, retry_of=first.id, queue="mail", **of_job(job))
        foreign = an_execution(now, platform_id="other", handler="h2")
        done = an_execution(now, Status.SUCCESS, queue="mail")
        await add(store, first, retry, foreign, done)
        expected: dict[ExecutionQuery, list[Execution]] = {
            ExecutionQuery(): [done, foreign, retry, first],
            ExecutionQuery(platform_id=PLATFORM): [done, retry, first],
            ExecutionQuery(job_id=job.id): [retry],
            ExecutionQuery(statuses=(Status.QUEUED,)): [retry],
            ExecutionQuery(statuses=(Status.FAILED, Status.PENDING)): [foreign, first],
            ExecutionQuery(handler="h2"): [foreign],
            ExecutionQuery(queue="mail"): [done, retry],
            ExecutionQuery(since=now): [done, foreign, retry],
            ExecutionQuery(retry_of=first.id): [retry],
            ExecutionQuery(queue="mail", statuses=(Status.SUCCESS,)): [done],
            ExecutionQuery(queue="mail", platform_id="other"): [],
        }
        for query, rows in expected.items():
            assert await find(store, query) == rows, query

    async def test_active_are_the_executions_of_these_jobs_that_have_not_ended_oldest_first(
        self, store: Store, now: datetime
    ) -> None:
        one, two, three = [await add_job(store, a_job(now, name)) for name in ("one", "two", "three")]
        live = [
            an_execution(now, Status.PENDING, buffered=True, blocked_by="overlap", **of_job(one)),
            an_execution(now, Status.QUEUED, scheduled_at=now, **of_job(two)),
            an_execution(now, Status.RUNNING, cancel_requested_at=now, cancel_reason="no", **of_job(one)),
            an_execution(now, Status.RETRYING, blocked_by="job", **of_job(one)),
            an_execution(now, Status.WAITING, **of_job(two)),
        ]
        ended = [an_execution(now, status, **of_job(one)) for status in Status if status.terminal]
        await add(store, *ended, *reversed(live), an_execution(now, **of_job(three)), an_execution(now))
        found = await store.read(lambda tx: tx.executions.active_of([one.id, two.id, new_id(now)]))
        assert found == [as_active(execution) for execution in live]

    async def test_an_execution_is_active_until_it_ends(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        execution = an_execution(now, Status.QUEUED, **of_job(job))
        await add(store, execution)

        async def active() -> list[Status]:
            return await store.read(lambda tx: [a.status for a in tx.executions.active_of([job.id])])

        assert await active() == [Status.QUEUED]
        claim = Move(execution.id, Status.QUEUED, Status.RUNNING, Actor.WORKER)
        await move(store, claim)
        assert await active() == [Status.RUNNING]
        end = Move(execution.id, Status.RUNNING, Status.SUCCESS, Actor.WORKER)
        await move(store, end)
        assert await active() == []

    async def test_counts_are_of_live_executions_of_the_platform_by_status(self, store: Store, now: datetime) -> None:
        await add(store, *(an_execution(now, status) for status in (*Status, Status.PENDING)))
        await add(store, an_execution(now, platform_id="other"))
        expected = {"pending": 2, "queued": 1, "running": 1, "retrying": 1, "waiting": 1}
        assert await store.read(lambda tx: tx.executions.counts(PLATFORM, 100)) == expected
        assert await store.read(lambda tx: tx.executions.pending_count(PLATFORM, 100)) == 2
        assert await store.read(lambda tx: tx.executions.counts("nobody", 100)) == {}
        assert await store.read(lambda tx: tx.executions.counts(PLATFORM, 1)) == dict.fromkeys(expected, 1)
        assert await store.read(lambda tx: tx.executions.pending_count(PLATFORM, 1)) == 1

    async def test_holding_executions_changes_none_and_passes_over_what_there_is_not(
        self, store: Store, now: datetime
    ) -> None:
        live, ended = an_execution(now, Status.QUEUED), an_execution(now, Status.SUCCESS)
        await add(store, live, ended)

        def work(tx: Tx) -> list[Execution | None]:
            tx.executions.hold([])
            tx.executions.hold([ended.id, live.id, "unknown", live.id])
            tx.dead_letters.hold(["unknown", live.id])
            return [tx.executions.get(one.id, lock=True) for one in (live, ended)]

        assert await store.write(work) == [live, ended]

    async def test_after_a_step_back_leases_and_timeouts_last_no_longer_than_they_may_and_retries_come_in_time(
        self, store: Store
    ) -> None:
        now = await store.read(lambda tx: tx.now)

        def running(lease: timedelta, rest: timedelta) -> Execution:
            return an_execution(now, Status.RUNNING, lease_until=now + lease, deadline_at=now + rest)

        def retrying(rest: timedelta) -> Execution:
            return an_execution(now, Status.RETRYING, available_at=now + rest)

        long, short = running(HOUR, HOUR + MINUTE), running(SECOND, MINUTE)
        planned, due, later = retrying(HOUR + MINUTE), retrying(-SECOND), retrying(MINUTE)
        untouched = [short, due, later, an_execution(now, Status.PENDING, available_at=now + 2 * HOUR)]
        await add(store, long, planned, *untouched)

        def make_up(tx: Tx) -> datetime:
            tx.executions.make_up_for(-HOUR, 2 * MINUTE, now + HOUR)
            return tx.now

        at, _ = [await store.write(make_up) for _ in range(2)]  # each of two dispatchers sees the step
        found = await fetch(store, long)
        assert (found.lease_until, found.deadline_at) == (at + 2 * MINUTE, at + long.timeout)
        assert (await fetch(store, planned)).available_at == now + MINUTE
        assert [await fetch(store, one) for one in untouched] == untouched

    async def test_after_a_step_forward_an_attempt_whose_time_seems_over_has_it_once_more(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)
        over = an_execution(now, Status.RUNNING, lease_until=now - MINUTE, deadline_at=now - MINUTE)
        other = an_execution(now, Status.RUNNING, lease_until=now + MINUTE, deadline_at=now + MINUTE)
        waiting = an_execution(now, Status.WAITING, deadline_at=now - MINUTE)
        await add(store, over, other, waiting)

        def make_up(tx: Tx) -> datetime:
            tx.executions.make_up_for(HOUR, MINUTE, now - HOUR)
            return tx.now

        at = await store.write(make_up)
        found = await fetch(store, over)
        assert (found.lease_until, found.deadline_at) == (over.lease_until, at + over.timeout)
        assert [await fetch(store, one) for one in (other, waiting)] == [other, waiting]

    # -- attempts and retention ------------------------------------------------------------------------------------

    async def test_ended_attempts_are_kept_by_fence_and_the_first_word_stands(
        self, store: Store, now: datetime
    ) -> None:
        execution = an_execution(now)
        await add(store, execution)
        error = {"type": "E", "message": "no", "traceback": ""}
        second = Attempt(execution.id, 2, 2, "lost", now, worker_id="w-1", started_at=now - MINUTE, error=error)
        first = Attempt(execution.id, 1, 1, "failed", now)
        await store.write(lambda tx: tx.executions.add_attempts([second, first]))
        again = [replace(first, outcome="timeout"), Attempt(execution.id, 3, 2, "failed", now)]
        await store.write(lambda tx: tx.executions.add_attempts(again))
        assert await store.read(lambda tx: tx.executions.attempts(execution.id)) == [first, second, again[1]]
        assert await store.read(lambda tx: tx.executions.attempts(new_id(now))) == []

    async def test_attempts_of_several_executions_come_by_execution_then_by_fence(
        self, store: Store, now: datetime
    ) -> None:
        one, two = an_execution(now), an_execution(now)
        await add(store, one, two)
        rows = [Attempt(e.id, fence, fence, "error", now) for e in (one, two) for fence in (1, 2)]
        await store.write(lambda tx: tx.executions.add_attempts(rows[::-1]))
        assert await store.read(lambda tx: tx.executions.attempts_of([two.id, one.id, new_id(now)])) == rows
        assert await store.read(lambda tx: tx.executions.attempts_of([])) == []

    async def test_retention_deletes_what_ended_before_an_instant_with_its_log_and_attempts(
        self, store: Store, by_row: None, now: datetime
    ) -> None:
        old, sharp = (an_execution(now, Status.FAILED, finished_at=at) for at in (now - SECOND, now))
        live = an_execution(now - HOUR, Status.RUNNING)
        await add(store, old, sharp, live)
        await store.write(lambda tx: tx.logs.append(old.id, lines(old, "one"), fence=None, cap=10))
        await store.write(lambda tx: tx.executions.add_attempts([Attempt(old.id, 1, 1, "failed", now)]))
        assert await store.write(lambda tx: tx.executions.delete_ended(now, 10)) == 1
        assert await find(store, ExecutionQuery()) == [live, sharp]
        assert await store.read(lambda tx: tx.logs.read(old.id)) == []
        assert await store.read(lambda tx: tx.executions.attempts(old.id)) == []

    async def test_retention_waits_until_every_event_of_an_execution_is_published(
        self, store: Store, by_row: None, now: datetime
    ) -> None:
        done, other = (an_execution(now - HOUR, Status.SUCCESS) for _ in range(2))
        await add(store, done, other)
        events = [an_event(now, subject=done.id), an_event(now, subject=done.id), an_event(now)]
        await store.write(lambda tx: tx.outbox.add(events))
        assert await store.write(lambda tx: tx.executions.delete_ended(now, 10)) == 1
        assert await store.read(lambda tx: tx.executions.get(other.id)) is None
        await store.write(lambda tx: tx.outbox.mark_published([events[0].id]))
        assert await store.write(lambda tx: tx.executions.delete_ended(now, 10)) == 0
        await store.write(lambda tx: tx.outbox.mark_published([events[1].id]))
        assert await store.write(lambda tx: tx.executions.delete_ended(now, 10)) == 1
        assert await find(store, ExecutionQuery()) == []

    async def test_retention_keeps_what_a_person_may_still_redrive(
        self, store: Store, by_row: None, now: datetime
    ) -> None:
        dead = an_execution(now - HOUR, Status.FAILED)
        await add(store, dead)
        await store.write(lambda tx: tx.dead_letters.add([a_letter(dead)]))
        assert await store.write(lambda tx: tx.executions.delete_ended(now, 10)) == 0
        await store.write(lambda tx: tx.dead_letters.resolve(dead.id, status="discarded", reason="seen"))
        assert await store.write(lambda tx: tx.executions.delete_ended(now, 10)) == 1

    async def test_retention_deletes_at_most_its_limit(self, store: Store, by_row: None, now: datetime) -> None:
        await add(store, *(an_execution(now - HOUR, Status.EXPIRED) for _ in range(5)))
        deleted = [await store.write(lambda tx: tx.executions.delete_ended(now, 2)) for _ in range(4)]
        assert deleted == [2, 2, 1, 0]

    # -- cancelling and progress -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("status", Status)
    async def test_a_cancel_is_asked_for_once_and_only_of_what_runs_or_waits(
        self, store: Store, now: datetime, status: Status
    ) -> None:
        execution = an_execution(now, status)
        await add(store, execution)
        asked, at = await store.write(lambda tx: (tx.executions.request_cancel(execution.id, "first"), tx.now))
        assert asked is (status in (Status.RUNNING, Status.WAITING))
        assert not await store.write(lambda tx: tx.executions.request_cancel(execution.id, "second"))
        expected = replace(execution, cancel_requested_at=at, cancel_reason="first") if asked else execution
        assert await fetch(store, execution) == expected

    async def test_a_cancel_of_an_unknown_execution_is_refused(self, store: Store, now: datetime) -> None:
        assert not await store.write(lambda tx: tx.executions.request_cancel(new_id(now), "why"))

    async def test_progress_is_written_only_under_the_current_fence_of_what_runs(
        self, store: Store, now: datetime
    ) -> None:
        running, stale, waiting = (
            an_execution(now, status, fence=2) for status in (Status.RUNNING, Status.RUNNING, Status.WAITING)
        )
        await add(store, running, stale, waiting)
        progress = [(running.id, 2, {"done": 1}), (stale.id, 1, {"done": 1}), (waiting.id, 2, {"done": 1})]
        await store.write(lambda tx: tx.executions.put_progress([*progress, (new_id(now), 1, {})]))
        found = [(await fetch(store, e)).progress for e in (running, stale, waiting)]
        assert found == [{"done": 1}, None, None]

    # -- leases and deadlines --------------------------------------------------------------------------------------

    async def test_renewing_extends_every_lease_of_one_worker_and_names_them(self, store: Store, now: datetime) -> None:
        held = an_execution(now, Status.RUNNING, fence=3)
        told = an_execution(now, Status.RUNNING, cancel_requested_at=now, lease_until=now - MINUTE)
        others = [
            an_execution(now, Status.RUNNING, worker_id="w-2"),
            an_execution(now, Status.WAITING, worker_id="w-1"),
            an_execution(now, Status.SUCCESS, worker_id="w-1"),
        ]
        await add(store, held, told, *others)
        renewed = await store.write(lambda tx: tx.executions.renew("w-1", now + HOUR))
        assert sorted(renewed) == [(held.id, 3, False), (told.id, 1, True)]
        assert [(await fetch(store, e)).lease_until for e in (held, told)] == [now + HOUR, now + HOUR]
        assert [await fetch(store, e) for e in others] == others
        assert await store.write(lambda tx: tx.executions.renew("w-3", now + HOUR)) == []

    async def test_a_lease_is_over_when_its_instant_has_come(self, store: Store, now: datetime) -> None:
        over, sharp, held = (
            an_execution(now, Status.RUNNING, lease_until=at) for at in (now - MINUTE, now, now + HOUR)
        )
        await add(store, over, sharp, held, an_execution(now, Status.QUEUED, lease_until=now - MINUTE))
        assert ids(await store.write(lambda tx: tx.executions.lease_over(10))) == ids([over, sharp])
        assert len(await store.write(lambda tx: tx.executions.lease_over(1))) == 1

    async def test_every_lease_made_before_an_instant_is_over_if_asked(self, store: Store, now: datetime) -> None:
        before, after, over = (
            an_execution(now, Status.RUNNING, started_at=started, lease_until=until)
            for started, until in ((now - MINUTE, now + HOUR), (now, now + HOUR), (now, now - SECOND))
        )
        await add(store, before, after, over, an_execution(now, Status.WAITING, started_at=now - MINUTE))
        found = await store.write(lambda tx: tx.executions.lease_over(10, older_than=now))
        assert ids(found) == ids([before, over])

    async def test_overdue_is_what_had_its_grace_after_deadline_or_cancel(self, store: Store, now: datetime) -> None:
        grace = 30 * SECOND
        late = [
            an_execution(now, Status.RUNNING, deadline_at=now - grace),
            an_execution(now, Status.WAITING, deadline_at=now - HOUR),
            an_execution(now, Status.RUNNING, cancel_requested_at=now - grace),
            an_execution(now, Status.WAITING, cancel_requested_at=now - HOUR),
        ]
        in_time = [
            an_execution(now, Status.RUNNING, deadline_at=now - SECOND),
            an_execution(now, Status.RUNNING, cancel_requested_at=now - SECOND),
            an_execution(now, Status.RUNNING, deadline_at=None),
            an_execution(now, Status.RETRYING, deadline_at=now - HOUR),
            an_execution(now, Status.FAILED, cancel_requested_at=now - HOUR),
        ]
        await add(store, *late, *in_time)
        assert ids(await store.write(lambda tx: tx.executions.overdue(grace, 10))) == ids(late)
        assert len(await store.write(lambda tx: tx.executions.overdue(grace, 3))) == 3

    async def test_what_is_over_next_is_a_lease_or_a_deadline_or_a_cancel_with_its_grace(
        self, store: Store, now: datetime
    ) -> None:
        grace = 30 * SECOND
        assert await store.read(lambda tx: tx.executions.next_over(grace)) is None
        await add(store, an_execution(now, Status.QUEUED), an_execution(now, Status.FAILED, deadline_at=now - HOUR))
        assert await store.read(lambda tx: tx.executions.next_over(grace)) is None
        for execution, over_at in (
            (an_execution(now, Status.WAITING, deadline_at=now + HOUR), now + HOUR + grace),
            (an_execution(now, Status.RUNNING, lease_until=now + MINUTE, deadline_at=now + HOUR), now + MINUTE),
            (an_execution(now, Status.RUNNING, cancel_requested_at=now), now + grace),
            (an_execution(now, Status.RUNNING, lease_until=now - SECOND), now - SECOND),
        ):
            await add(store, execution)
            assert await store.read(lambda tx: tx.executions.next_over(grace)) == over_at

    async def test_a_start_deadline_ends_what_has_not_started(self, store: Store, now: datetime) -> None:
        waits = (Status.PENDING, Status.QUEUED, Status.RETRYING)
        late = [an_execution(now, status, start_deadline_at=now) for status in waits]
        rest = [an_execution(now, status, start_deadline_at=now - HOUR) for status in Status if status not in waits]
        soon = [an_execution(now, start_deadline_at=now + HOUR), an_execution(now)]
        await add(store, *late, *rest, *soon)
        assert ids(await store.write(lambda tx: tx.executions.start_expired(10))) == ids(late)
        assert len(await store.write(lambda tx: tx.executions.start_expired(2))) == 2

    async def test_time_alone_makes_leases_deadlines_and_starts_come_due(
        self, store: Store, now: datetime, advance: Callable[[timedelta], datetime]
    ) -> None:
        running = an_execution(now, Status.RUNNING, lease_until=now + MINUTE, deadline_at=now + HOUR)
        pending = an_execution(now, available_at=now + MINUTE, start_deadline_at=now + HOUR)
        await add(store, running, pending)
        seen = []
        for _ in range(3):
            seen.append(
                await store.write(
                    lambda tx: (
                        len(tx.executions.lease_over(10)),
                        len(tx.executions.overdue(timedelta(0), 10)),
                        len(tx.executions.promotable(10)),
                        len(tx.executions.start_expired(10)),
                    )
                )
            )
            advance(MINUTE if len(seen) == 1 else HOUR)
        assert seen == [(0, 0, 0, 0), (1, 0, 1, 0), (1, 1, 1, 1)]


def ids(executions: list[Execution]) -> list[str]:
    """Return ids in ascending order: where the port names no order, none is tested."""
    return sorted(execution.id for execution in executions)


def every_field_set(now: datetime, **values: Any) -> Execution:
    """Return an execution none of whose fields has its default."""
    return Execution(
        **{
            "id": new_id(now),
            "platform_id": PLATFORM,
            "handler": "agent:writer",
            "status": Status.RUNNING,
            "cause": Cause.BACKFILL,
            "created_at": now - HOUR,
            "available_at": now - timedelta(microseconds=1),
            "handler_type": "agent",
            "job_name": "tidy",
            "job_revision": 3,
            "payload": {"n": 1.5, "list": [1, None, {"x": True}], "text": "ü"},
            "event": {"id": "e-1", "data": {"k": "v"}},
            "chain_depth": 2,
            "scheduled_at": now - 2 * HOUR,
            "start_deadline_at": now + HOUR,
            "priority": 9,
            "queue": "mail",
            "concurrency_key": "tenant-1",
            "concurrency_limit": 2,
            "timeout": timedelta(milliseconds=1500),
            "retry": RetryPolicy(3, timedelta(milliseconds=1500), 1.5, timedelta(minutes=9), RetryJitter.NONE),
            "isolation": "process",
            "idempotency_key": "k-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "buffered": True,
            "blocked_by": "queue:mail",
            "queued_at": now - 3 * MINUTE,
            "started_at": now - 2 * MINUTE,
            "finished_at": now - MINUTE,
            "deadline_at": now + MINUTE,
            "lease_until": now + SECOND,
            "worker_id": "w-1",
            "attempt": 4,
            "failures": 2,
            "losses": 1,
            "fence": 7,
            "cancel_requested_at": now - SECOND,
            "cancel_reason": "no longer needed",
            "external_ref": "workflow/17",
            "failure": Failure.POISONED,
            "result": {"rows": [1, 2]},
            "error": {"type": "E", "message": "no", "traceback": "line 1\nline 2"},
            "progress": {"done": 0.5},
            "usage": {"tokens": 12},
            **values,
        }
    )
