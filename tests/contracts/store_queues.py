"""What a store promises of waiting and of queues: who is next, what blocks whom, how many are under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from mainspring.model.dispatch import dispatch_of
from mainspring.model.execution import Actor, Execution, Move, Status, Transition
from mainspring.moves.claim import claim
from mainspring.ports.store import Claimable, Store, Tx
from tests.contracts.store_rows import (
    HOUR,
    MINUTE,
    PLATFORM,
    SECOND,
    a_job,
    add,
    add_job,
    an_execution,
    fetch,
    move,
    new_id,
    of_job,
)


class QueueContract:
    """The part of `ExecutionTable` that promoting and claiming ask."""

    # -- promoting -------------------------------------------------------------------------------------------------

    async def test_promotable_are_those_whose_time_has_come_and_that_nothing_blocks(
        self, store: Store, now: datetime
    ) -> None:
        due = [an_execution(now), an_execution(now, Status.RETRYING, available_at=now - HOUR)]
        rest = [
            an_execution(now, available_at=now + HOUR),
            an_execution(now, blocked_by="queue:mail"),
            *(an_execution(now, status) for status in Status if status not in (Status.PENDING, Status.RETRYING)),
        ]
        await add(store, *rest, *due)
        assert await store.write(lambda tx: tx.executions.promotable(10)) == [due[1], due[0]]

    async def test_promotable_come_by_priority_then_by_when_they_became_available_then_by_id(
        self, store: Store, now: datetime
    ) -> None:
        order = [
            an_execution(now, priority=9, available_at=now),
            an_execution(now, priority=5, available_at=now - HOUR),
            an_execution(now, priority=5, available_at=now - MINUTE),
            an_execution(now, priority=5, available_at=now - MINUTE),
            an_execution(now, priority=0, available_at=now - 2 * HOUR),
        ]
        await add(store, order[3], order[4], order[1], order[0], order[2])
        assert await store.write(lambda tx: tx.executions.promotable(10)) == order
        assert await store.write(lambda tx: tx.executions.promotable(2)) == order[:2]

    async def test_next_available_is_the_earliest_that_nothing_blocks(self, store: Store, now: datetime) -> None:
        assert await store.read(lambda tx: tx.executions.next_available_at()) is None
        await add(
            store,
            an_execution(now, available_at=now + HOUR),
            an_execution(now, Status.RETRYING, available_at=now + MINUTE),
            an_execution(now, available_at=now, blocked_by="overlap"),
            an_execution(now, Status.QUEUED),
            an_execution(now, Status.SUCCESS),
        )
        assert await store.read(lambda tx: tx.executions.next_available_at()) == now + MINUTE

    async def test_held_back_tells_whether_anything_is_blocked_and_what_becomes_available_next(
        self, store: Store, now: datetime
    ) -> None:
        async def held_back() -> tuple[bool, datetime | None]:
            return await store.read(lambda tx: tx.executions.held_back())

        assert await held_back() == (False, None)
        await add(store, an_execution(now, Status.QUEUED), an_execution(now, Status.FAILED, blocked_by="job"))
        assert await held_back() == (False, None)
        await add(store, an_execution(now, Status.RETRYING, available_at=now + MINUTE))
        assert await held_back() == (False, now + MINUTE)
        await add(store, an_execution(now, available_at=now, blocked_by="queue:mail"))
        assert await held_back() == (True, now + MINUTE)

    # -- blockers --------------------------------------------------------------------------------------------------

    async def test_blockers_are_named_once_and_with_the_job_where_it_is_the_job(
        self, store: Store, now: datetime
    ) -> None:
        one, two = await add_job(store, a_job(now, "one")), await add_job(store, a_job(now, "two"))
        await add(
            store,
            an_execution(now, blocked_by="overlap", buffered=True, **of_job(one)),
            an_execution(now, blocked_by="overlap", buffered=True, **of_job(one)),
            an_execution(now, blocked_by="overlap", buffered=True, **of_job(two)),
            an_execution(now, Status.RETRYING, blocked_by="job", **of_job(two)),
            an_execution(now, blocked_by="queue:mail", **of_job(one)),
            an_execution(now, blocked_by="queue:mail", **of_job(two)),
            an_execution(now, blocked_by="queue:mail", platform_id="other"),
            an_execution(now, blocked_by="platform"),
            an_execution(now),
        )
        found = await store.read(lambda tx: tx.executions.blockers(10))
        assert sorted(found, key=str) == sorted(
            [
                (PLATFORM, "job", two.id),
                (PLATFORM, "overlap", one.id),
                (PLATFORM, "overlap", two.id),
                (PLATFORM, "platform", None),
                (PLATFORM, "queue:mail", None),
                ("other", "queue:mail", None),
            ],
            key=str,
        )
        assert len(await store.read(lambda tx: tx.executions.blockers(4))) == 4

    async def test_what_has_ended_or_moved_on_is_blocked_by_nothing(self, store: Store, now: datetime) -> None:
        done, cancelled = (
            an_execution(now, Status.CANCELLED, blocked_by="platform"),
            an_execution(now, blocked_by="platform"),
        )
        await add(store, done, cancelled)
        await move(store, Move(cancelled.id, Status.PENDING, Status.CANCELLED, Actor.API))
        assert await store.read(lambda tx: tx.executions.blockers(10)) == []
        blocked = await store.write(lambda tx: tx.executions.blocked(PLATFORM, "platform", job_id=None, limit=10))
        assert blocked == []

    async def test_blocked_come_by_priority_then_older_instant_then_id(self, store: Store, now: datetime) -> None:
        order = [
            an_execution(now, blocked_by="queue:mail", priority=9, scheduled_at=now),
            an_execution(now, blocked_by="queue:mail", scheduled_at=now - HOUR),
            an_execution(now, Status.RETRYING, blocked_by="queue:mail", scheduled_at=now - MINUTE),
            an_execution(now, blocked_by="queue:mail", scheduled_at=now - MINUTE),
            an_execution(now, blocked_by="queue:mail", priority=1, scheduled_at=now - 2 * HOUR),
        ]
        others = [
            an_execution(now, blocked_by="queue:other"),
            an_execution(now, blocked_by="queue:mail", platform_id="b"),
        ]
        await add(store, *others, order[4], order[3], order[0], order[2], order[1])

        async def blocked(limit: int) -> list[Execution]:
            return await store.write(lambda tx: tx.executions.blocked(PLATFORM, "queue:mail", job_id=None, limit=limit))

        assert await blocked(10) == order
        assert await blocked(3) == order[:3]
        assert await blocked(0) == []

    async def test_blocked_by_a_job_are_those_of_that_job(self, store: Store, now: datetime) -> None:
        one, two = await add_job(store, a_job(now, "one")), await add_job(store, a_job(now, "two"))
        mine, other = (an_execution(now, blocked_by="overlap", **of_job(job)) for job in (one, two))
        limited = an_execution(now, blocked_by="queue:mail", **of_job(one))
        await add(store, mine, other, limited)
        found = await store.write(lambda tx: tx.executions.blocked(PLATFORM, "overlap", job_id=one.id, limit=10))
        assert found == [mine]

    async def test_set_blocked_writes_only_what_has_not_been_queued(self, store: Store, now: datetime) -> None:
        rows = {status: an_execution(now, status, blocked_by=None) for status in Status}
        await add(store, *rows.values())
        await store.write(lambda tx: tx.executions.set_blocked({e.id: "queue:mail" for e in rows.values()}))
        written = {status for status, e in rows.items() if (await fetch(store, e)).blocked_by == "queue:mail"}
        assert written == {Status.PENDING, Status.RETRYING}

    async def test_set_blocked_makes_buffered_what_overlap_holds_and_nothing_else(
        self, store: Store, now: datetime
    ) -> None:
        freed, moved, held = (
            an_execution(now, blocked_by="overlap", buffered=True),
            an_execution(now, blocked_by="overlap", buffered=True),
            an_execution(now),
        )
        await add(store, freed, moved, held)
        blocked = {freed.id: None, moved.id: "queue:mail", held.id: "overlap", new_id(now): "job"}
        await store.write(lambda tx: tx.executions.set_blocked(blocked))
        assert [await fetch(store, e) for e in (freed, moved, held)] == [
            replace(freed, blocked_by=None, buffered=False),
            replace(moved, blocked_by="queue:mail", buffered=False),
            replace(held, blocked_by="overlap", buffered=True),
        ]

    # -- counting --------------------------------------------------------------------------------------------------

    async def test_occupying_counts_queued_and_running_by_name(self, store: Store, now: datetime) -> None:
        for status in Status:
            await add(store, an_execution(now, status, queue="mail", concurrency_key="k1"))
        await add(
            store,
            an_execution(now, Status.RUNNING, queue="web", concurrency_key="k1"),
            an_execution(now, Status.QUEUED, queue="web"),
            an_execution(now, Status.RUNNING, queue="mail", concurrency_key="k1", platform_id="other"),
        )

        async def occupying(scope: str, *names: str, most: int | None = None) -> dict[str, int]:
            found = await store.read(lambda tx: tx.executions.occupying(PLATFORM, scope, names, most=most))
            return {name: count for name, count in found.items() if count}

        assert await occupying("queue", "mail", "web", "none") == {"mail": 2, "web": 2}
        assert await occupying("queue", "mail") == {"mail": 2}
        assert await occupying("key", "k1", "k2") == {"k1": 3}
        assert await occupying("platform", "") == {"": 4}
        assert await occupying("queue", "mail", "web", "none", most=1) == {"mail": 1, "web": 1}
        assert await occupying("key", "k1", "k2", most=2) == {"k1": 2}
        assert await occupying("platform", "", most=3) == {"": 3}

    async def test_holders_are_those_that_count_oldest_first(self, store: Store, now: datetime) -> None:
        rows = [
            an_execution(now, status, queue=queue, concurrency_key=key)
            for status, queue, key in (
                (Status.QUEUED, "mail", "k1"),
                (Status.RUNNING, "mail", None),
                (Status.RUNNING, "web", "k1"),
                (Status.WAITING, "mail", "k1"),
                (Status.PENDING, "mail", "k1"),
            )
        ]
        await add(store, *reversed(rows), an_execution(now, Status.QUEUED, queue="mail", platform_id="other"))
        first, second, third = (row.id for row in rows[:3])

        async def holders(scope: str, name: str, limit: int) -> list[str]:
            return await store.read(lambda tx: tx.executions.holders(PLATFORM, scope, name, limit))

        assert await holders("queue", "mail", 10) == [first, second]
        assert await holders("key", "k1", 10) == [first, third]
        assert await holders("platform", "", 10) == [first, second, third]
        assert await holders("platform", "", 2) == [first, second]

    async def test_what_a_rate_let_through_counts_from_an_instant_on(self, store: Store, now: datetime) -> None:
        def record(tx: Tx) -> datetime:
            for queue, count in (("mail", 3), ("mail", 1), ("web", 7)):
                tx.platforms.record_admitted(PLATFORM, queue, count, at=tx.now, forget_before=tx.now)
            tx.platforms.record_admitted("other", "mail", 9, at=tx.now, forget_before=tx.now)
            return tx.now

        at = await store.write(record)

        async def counted(since: datetime) -> int:
            return await store.read(lambda tx: tx.platforms.admitted_since(PLATFORM, "mail", since))

        assert await counted(at) == 4
        assert await counted(at - SECOND) == 4
        assert await counted(at + SECOND) == 0
        await store.write(lambda tx: tx.platforms.record_admitted(PLATFORM, "mail", 2, at=at, forget_before=at + HOUR))
        assert await counted(at - HOUR) == 2, "what is older than the rate looks back is forgotten"

    async def test_after_a_step_back_what_a_rate_let_through_is_as_long_ago_as_it_was(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)

        def record(tx: Tx) -> None:
            for at, count in ((now, 1), (now + HOUR - MINUTE, 2)):
                tx.platforms.record_admitted(PLATFORM, "mail", count, at=at, forget_before=now)

        async def counted(since: datetime) -> int:
            return await store.read(lambda tx: tx.platforms.admitted_since(PLATFORM, "mail", since))

        await store.write(record)
        for _ in range(2):  # each of two dispatchers sees the step
            await store.write(lambda tx: tx.platforms.make_up_for(-HOUR))
        assert await counted(now - MINUTE) == 3
        assert await counted(now) == 1
        await store.write(lambda tx: tx.platforms.make_up_for(HOUR))
        assert await counted(now - MINUTE) == 3

    async def test_the_clock_of_a_transaction_goes_on_while_its_now_stands_still(self, store: Store) -> None:
        first, now, second = await store.write(lambda tx: (tx.clock(), tx.now, tx.clock()))
        assert now <= first <= second
        assert await store.read(lambda tx: tx.clock()) >= second

    # -- claiming --------------------------------------------------------------------------------------------------

    async def test_claimable_come_by_priority_then_by_instant_or_creation_then_by_id(
        self, store: Store, now: datetime
    ) -> None:
        order = [
            an_execution(now, Status.QUEUED, priority=9),
            an_execution(now, Status.QUEUED, scheduled_at=now - HOUR),
            an_execution(now, Status.QUEUED, created_at=now - MINUTE),
            an_execution(now, Status.QUEUED, scheduled_at=now - SECOND),
            an_execution(now, Status.QUEUED, scheduled_at=now - SECOND, created_at=now - HOUR),
            an_execution(now, Status.QUEUED, priority=0, scheduled_at=now - 2 * HOUR),
        ]
        await add(store, order[5], order[4], order[2], order[3], order[0], order[1])
        assert await claimable(store, default=10) == order
        assert await claimable(store, limit=2, default=10) == order[:2]
        assert await claimable(store, limit=0, default=10) == []

    async def test_claimable_are_at_most_the_slots_of_each_queue(self, store: Store, now: datetime) -> None:
        mail = [an_execution(now, Status.QUEUED, queue="mail", priority=9) for _ in range(3)]
        web = [an_execution(now, Status.QUEUED, queue="web") for _ in range(3)]
        await add(store, *web, *mail, an_execution(now, Status.QUEUED, queue="other"))
        assert await claimable(store, mail=2, web=1) == [*mail[:2], web[0]]
        assert await claimable(store, mail=2, web=3, limit=3) == [*mail[:2], web[0]]
        assert await claimable(store, mail=0, web=2) == web[:2]
        assert await claimable(store, none=5) == []

    async def test_what_a_worker_has_no_handler_for_takes_none_of_its_slots(self, store: Store, now: datetime) -> None:
        unknown = [an_execution(now, Status.QUEUED, handler="h2", priority=9) for _ in range(3)]
        known = an_execution(now, Status.QUEUED)
        await add(store, *unknown, known)
        assert await claimable(store, default=1) == [known]

    async def test_what_must_not_start_any_more_is_not_claimable_and_takes_no_slot(
        self, store: Store, now: datetime
    ) -> None:
        cancelled = an_execution(now, Status.QUEUED, priority=9, cancel_requested_at=now)
        too_late = an_execution(now, Status.QUEUED, priority=9, start_deadline_at=now)
        in_time = an_execution(now, Status.QUEUED, start_deadline_at=now + HOUR)
        await add(store, cancelled, too_late, in_time)
        assert await claimable(store, default=1) == [in_time]

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.QUEUED])
    async def test_only_what_is_queued_is_claimable(self, store: Store, now: datetime, status: Status) -> None:
        execution = an_execution(now, status)
        await add(store, execution)
        assert await claimable(store, default=10) == []
        assert await claimable_of(store, execution.id) == []

    # -- what a transport offers -----------------------------------------------------------------------------------

    async def test_claimable_of_these_ids_come_in_their_turn_and_nothing_else_does(
        self, store: Store, now: datetime
    ) -> None:
        order = [an_execution(now, Status.QUEUED, priority=priority) for priority in (9, 5, 0)]
        others = [
            an_execution(now, Status.QUEUED),
            an_execution(now, Status.QUEUED, queue="other"),
            an_execution(now, Status.QUEUED, handler="h2"),
            an_execution(now, Status.QUEUED, cancel_requested_at=now),
            an_execution(now, Status.QUEUED, start_deadline_at=now),
        ]
        await add(store, *reversed(order), *others)
        ids = [e.id for e in [order[1], order[2], order[0], *others[1:]]]
        assert await claimable_of(store, *ids, ids[0], new_id(now)) == order
        assert await claimable_of(store) == []

    async def test_ids_that_are_none_find_nothing(self, store: Store, now: datetime) -> None:
        execution = an_execution(now, Status.QUEUED)
        await add(store, execution)
        garbage = ["", "x", "'; DROP TABLE executions --", "{}", "\\", "%", execution.id.upper(), execution.id[:-1]]
        assert await claimable_of(store, *garbage) == []

    async def test_a_claim_of_what_was_offered_passes_no_queues_room(self, store: Store, now: datetime) -> None:
        mail = [an_execution(now, Status.QUEUED, queue="mail") for _ in range(3)]
        web = [an_execution(now, Status.QUEUED, queue="web") for _ in range(3)]
        await add(store, *mail, *web)
        offered = [e.id for e in [*mail, *web]]

        def work(tx: Tx) -> list[str]:
            room = {"mail": 1, "web": 2}
            return [
                e.id for e in claim(tx, "w", queues=room, handlers=["kb:tidy"], limit=9, lease=HOUR, offered=offered)
            ]

        assert await store.write(work) == [mail[0].id, web[0].id, web[1].id]

    async def test_queues_waiting_are_those_with_something_queued_by_name(self, store: Store, now: datetime) -> None:
        assert await store.read(lambda tx: tx.executions.queues_waiting(10)) == []
        await add(
            store,
            an_execution(now, Status.QUEUED, queue="web"),
            *(an_execution(now, Status.QUEUED, queue="mail", priority=p) for p in range(3)),
            an_execution(now, Status.QUEUED),
            an_execution(now, Status.RUNNING, queue="other"),
        )
        assert await store.read(lambda tx: tx.executions.queues_waiting(10)) == ["default", "mail", "web"]
        assert await store.read(lambda tx: tx.executions.queues_waiting(2)) == ["default", "mail"]

    async def test_unclaimed_is_what_was_queued_before_an_instant_in_its_turn(
        self, store: Store, now: datetime
    ) -> None:
        trace = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
        old = [
            an_execution(now, Status.QUEUED, queued_at=now - MINUTE, priority=9, **trace),
            an_execution(now, Status.QUEUED, queued_at=now - HOUR),
        ]
        await add(
            store,
            *reversed(old),
            an_execution(now, Status.QUEUED, queued_at=now, priority=9),
            an_execution(now, Status.QUEUED, queued_at=now - HOUR, queue="mail"),
            an_execution(now, Status.RUNNING, queued_at=now - HOUR),
        )
        expected = [dispatch_of(e) for e in old]
        assert await store.read(lambda tx: tx.executions.unclaimed("default", now - SECOND, 10)) == expected
        assert await store.read(lambda tx: tx.executions.unclaimed("default", now - SECOND, 1)) == expected[:1]
        assert await store.read(lambda tx: tx.executions.unclaimed("none", now, 10)) == []
        assert expected[0].trace == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    async def test_of_what_is_offered_each_queue_gets_what_there_is_room_for(self, store: Store, now: datetime) -> None:
        mail = [an_execution(now, Status.QUEUED, queue="mail", priority=priority) for priority in (9, 5, 1)]
        rest = [an_execution(now, Status.QUEUED, priority=priority) for priority in (7, 3)]
        await add(store, *mail, *rest)
        ids = [execution.id for execution in (*mail, *rest)]
        assert await claimable_of(store, *ids, mail=2) == [mail[0], rest[0], mail[1], rest[1]]
        assert await claimable_of(store, *ids, mail=2, limit=3) == [mail[0], rest[0], mail[1]]
        assert await claimable_of(store, *ids, mail=0) == rest
        only_mail = Claimable({"mail": 1}, ["kb:tidy"], 10, ids)
        assert await would_claim(store, only_mail) == mail[:1]

    @pytest.mark.parametrize("offered", [False, True])
    async def test_a_claim_writes_the_lease_and_the_deadline_by_the_stores_clock(
        self, store: Store, now: datetime, offered: bool
    ) -> None:
        first = an_execution(now, Status.QUEUED, timeout=HOUR)
        again = an_execution(now, Status.QUEUED, attempt=2, fence=7, failures=1, queue="mail")
        await add(store, first, again)
        for queues in ({"default": 5}, {"default": 5, "mail": 5}):
            wanted = Claimable(queues, ["kb:tidy"], 10, [first.id, again.id] if offered else None)

            def work(tx: Tx, wanted: Claimable = wanted) -> tuple[list[Execution], datetime]:
                return tx.executions.claim("w", MINUTE, wanted), tx.now

            (claimed,), at = await store.write(work)
            row = first if len(queues) == 1 else again
            assert (
                claimed
                == await fetch(store, row)
                == replace(
                    row,
                    status=Status.RUNNING,
                    worker_id="w",
                    attempt=row.attempt + 1,
                    fence=row.fence + 1,
                    started_at=at,
                    lease_until=at + MINUTE,
                    deadline_at=at + row.timeout,
                )
            )
            (_, moved) = await store.read(lambda tx, row=row: tx.executions.transitions(row.id))  # type: ignore[misc]
            assert moved == Transition(row.id, Status.QUEUED, Status.RUNNING, Actor.WORKER, row.fence + 1, at)

    async def test_executions_of_every_platform_are_claimable(self, store: Store, now: datetime) -> None:
        rows = [an_execution(now, Status.QUEUED, platform_id=platform) for platform in ("a", "b")]
        await add(store, *rows)
        assert await claimable(store, default=10) == rows

    async def test_depths_count_what_is_queued_by_queue_up_to_a_limit(self, store: Store, now: datetime) -> None:
        queued = [an_execution(now, Status.QUEUED, platform_id=platform) for platform in ("acme", "acme", "other")]
        await add(store, *queued, an_execution(now, Status.QUEUED, queue="mail"), an_execution(now, Status.RUNNING))
        assert await store.read(lambda tx: tx.executions.depths()) == {"default": 3, "mail": 1}
        assert sum((await store.read(lambda tx: tx.executions.depths(2))).values()) == 2

    async def test_queued_handlers_name_each_queue_and_handler_with_its_oldest(
        self, store: Store, now: datetime
    ) -> None:
        await add(
            store,
            an_execution(now, Status.QUEUED, queued_at=now),
            an_execution(now, Status.QUEUED, queued_at=now - HOUR),
            an_execution(now, Status.QUEUED, queued_at=now, queue="mail"),
            an_execution(now, Status.QUEUED, queued_at=now - MINUTE, handler="h2"),
            an_execution(now, Status.RUNNING, handler="h3"),
        )
        found = await store.read(lambda tx: tx.executions.queued_handlers(10))
        assert sorted(found) == [
            ("default", "h2", now - MINUTE),
            ("default", "kb:tidy", now - HOUR),
            ("mail", "kb:tidy", now),
        ]
        assert len(await store.read(lambda tx: tx.executions.queued_handlers(2))) == 2
        assert await store.read(lambda tx: tx.executions.queued_handlers(10, platform_id=PLATFORM)) == found
        assert await store.read(lambda tx: tx.executions.queued_handlers(10, platform_id="another")) == []


async def claimable(store: Store, *, limit: int = 100, **queues: int) -> list[Execution]:
    """Return, as they are stored, what a worker with the two usual handlers and these slots would claim."""
    return await would_claim(store, Claimable(queues, ["kb:tidy", "other"], limit))


async def claimable_of(store: Store, *ids: str, mail: int = 100, limit: int = 100) -> list[Execution]:
    """Do the same of these executions, for a worker that also has slots for mail."""
    queues = {"default": 100, "mail": mail}
    return await would_claim(store, Claimable(queues, ["kb:tidy", "other"], limit, ids))


class Undone(Exception):
    """The claim is not to last."""


async def would_claim(store: Store, wanted: Claimable) -> list[Execution]:
    """Claim, and undo it."""
    ids: list[str] = []

    def work(tx: Tx) -> None:
        ids[:] = [execution.id for execution in tx.executions.claim("w", MINUTE, wanted)]
        raise Undone

    with pytest.raises(Undone):
        await store.write(work)
    rows = [await store.read(lambda tx, one=one: tx.executions.get(one)) for one in ids]  # type: ignore[misc]
    return [row for row in rows if row is not None]
