"""What a store promises of the ledger: one decision per instant and key, ranges that cover, newest first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from mainspring.errors import ConflictError
from mainspring.model.decision import Decision, Verdict
from mainspring.model.job import Job
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import (
    HOUR,
    MINUTE,
    PLATFORM,
    SECOND,
    a_decision,
    a_job,
    add,
    add_job,
    an_execution,
    new_id,
)


class DecisionContract:
    """`DecisionTable`."""

    async def test_a_decision_comes_back_whole(self, store: Store, now: datetime) -> None:
        job, execution = await add_job(store, a_job(now)), an_execution(now)
        await add(store, execution)
        decision = Decision(
            job_id=job.id,
            platform_id=job.platform_id,
            scheduled_at=now,
            decision=Verdict.COALESCED,
            decided_at=now + MINUTE,
            revision=3,
            key="shop/e-1",
            late=timedelta(milliseconds=1250),
            reason={"blocking": "x", "deep": {"n": [1]}},
            dispatcher_id="d-1",
            execution_id=execution.id,
            into_at=now + HOUR,
            until_at=now + MINUTE,
            count=None,
        )
        await store.write(lambda tx: tx.decisions.add([decision]))
        assert await store.read(lambda tx: tx.decisions.get(job.id, now, "shop/e-1")) == decision

    @pytest.mark.parametrize("verdict", Verdict)
    async def test_every_verdict_can_be_stored(self, store: Store, now: datetime, verdict: Verdict) -> None:
        job = await add_job(store, a_job(now))
        decision = a_decision(job, now, verdict)
        await store.write(lambda tx: tx.decisions.add([decision]))
        assert await store.read(lambda tx: tx.decisions.get(job.id, now)) == decision

    async def test_a_second_decision_of_the_same_instant_and_key_is_a_conflict(
        self, store: Store, now: datetime
    ) -> None:
        job, other = await add_job(store, a_job(now)), await add_job(store, a_job(now, "other"))
        first = a_decision(job, now, Verdict.SKIPPED_PAUSED)
        await store.write(lambda tx: tx.decisions.add([first]))
        batch = [a_decision(job, now + MINUTE), a_decision(job, now)]
        with pytest.raises(ConflictError):
            await store.write(lambda tx: tx.decisions.add(batch))
        assert await store.read(lambda tx: tx.decisions.find(job.id)) == [first]
        different = [a_decision(other, now), a_decision(job, now, key="shop/e-1"), a_decision(job, now + MINUTE)]
        await store.write(lambda tx: tx.decisions.add(different))
        assert await store.read(lambda tx: tx.decisions.get(job.id, now)) == first

    async def test_a_range_covers_every_instant_up_to_its_end(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        covering = a_decision(job, now, Verdict.SKIPPED_PAUSED, until_at=now + HOUR, count=None)
        inside = a_decision(job, now + MINUTE, Verdict.BACKFILLED)
        later = a_decision(job, now + 3 * HOUR, Verdict.SKIPPED_PAUSED, until_at=now + 4 * HOUR)
        await store.write(lambda tx: tx.decisions.add([covering, inside, later]))
        expected = {
            now - MINUTE: None,
            now: covering,
            now + MINUTE: inside,
            now + 2 * MINUTE: covering,
            now + HOUR: covering,
            now + HOUR + MINUTE: None,
            now + 3 * HOUR + MINUTE: later,
        }
        for at, decision in expected.items():
            assert await decided(store, job, at) == decision, at

    async def test_a_range_covers_only_its_own_job_and_key(self, store: Store, now: datetime) -> None:
        job, other = await add_job(store, a_job(now)), await add_job(store, a_job(now, "other"))
        await store.write(lambda tx: tx.decisions.add([a_decision(job, now, until_at=now + HOUR)]))
        assert await store.read(lambda tx: tx.decisions.get(other.id, now + MINUTE)) is None
        assert await store.read(lambda tx: tx.decisions.get(job.id, now + MINUTE, "shop/e-1")) is None

    async def test_find_lists_newest_first_from_since_up_to_before_until(self, store: Store, now: datetime) -> None:
        job, other = await add_job(store, a_job(now)), await add_job(store, a_job(now, "other"))
        rows = [a_decision(job, now + n * MINUTE) for n in range(5)]
        await store.write(lambda tx: tx.decisions.add([rows[3], rows[0], rows[4], rows[1], rows[2]]))
        await store.write(lambda tx: tx.decisions.add([a_decision(other, now)]))
        assert await store.read(lambda tx: tx.decisions.find(job.id)) == rows[::-1]
        assert await store.read(lambda tx: tx.decisions.find(job.id, limit=2)) == [rows[4], rows[3]]
        since, until = now + MINUTE, now + 3 * MINUTE
        assert await store.read(lambda tx: tx.decisions.find(job.id, since=since, until=until)) == [rows[2], rows[1]]

    async def test_the_decision_of_an_execution_is_found_by_it(self, store: Store, now: datetime) -> None:
        job, execution = await add_job(store, a_job(now)), an_execution(now)
        await add(store, execution)
        decision = a_decision(job, now, Verdict.DISPATCHED, execution_id=execution.id)
        await store.write(lambda tx: tx.decisions.add([decision, a_decision(job, now + MINUTE)]))
        assert await store.read(lambda tx: tx.decisions.of_execution(execution.id)) == decision
        assert await store.read(lambda tx: tx.decisions.of_execution(new_id(now))) is None

    async def test_a_stored_decision_shares_nothing_with_what_was_given_or_returned(
        self, store: Store, now: datetime
    ) -> None:
        job = await add_job(store, a_job(now))
        decision = a_decision(job, now, reason={"ids": ["a"]})
        await store.write(lambda tx: tx.decisions.add([decision]))
        given = replace(decision, reason={"ids": ["a"]})
        decision.reason["ids"].append("b")
        found = await store.read(lambda tx: tx.decisions.get(job.id, now))
        assert found == given
        found.reason["ids"].append("c")
        assert await store.read(lambda tx: tx.decisions.get(job.id, now)) == given

    async def test_what_ran_is_counted_from_the_newest_on_up_to_a_limit(self, store: Store, now: datetime) -> None:
        job, other = new_id(now), new_id(now)
        verdicts = [Verdict.DISPATCHED, Verdict.BUFFERED, Verdict.SKIPPED_LIMIT, Verdict.DISPATCHED, Verdict.COALESCED]
        rows = [
            Decision(job, PLATFORM, now + n * MINUTE, verdict, now, 1, key=f"shop#{n}")
            for n, verdict in enumerate(verdicts)
        ]
        await store.write(lambda tx: tx.decisions.add([*rows, replace(rows[0], job_id=other)]))

        async def ran(since: datetime, limit: int) -> tuple[int, datetime | None]:
            return await store.read(lambda tx: tx.decisions.ran_since(job, since, limit))

        assert await ran(now - SECOND, 10) == (3, now)
        assert await ran(now, 10) == (2, now + MINUTE)
        assert await ran(now - SECOND, 2) == (2, now + MINUTE)
        assert await ran(now + HOUR, 10) == (0, None)

    async def test_the_ledger_is_paged_in_the_order_of_its_key(self, store: Store, now: datetime) -> None:
        job, other = await add_job(store, a_job(now)), await add_job(store, a_job(now, "other"))
        foreign = await add_job(store, replace(a_job(now), id=new_id(now), platform_id="other"))
        rows = [a_decision(j, now + n * MINUTE) for j in (job, other) for n in range(3)]
        rows += [a_decision(job, now, key=key) for key in ("a", "b/1")]
        # Decided by a clock that has gone back since: in its future, and nonetheless there.
        rows.append(replace(a_decision(job, now + HOUR), decided_at=now + HOUR))
        await store.write(lambda tx: tx.decisions.add([*rows, a_decision(foreign, now)]))

        def key(decision: Decision) -> tuple[str, datetime, str]:
            return decision.job_id, decision.scheduled_at, decision.key

        paged = list[Decision]()
        while True:
            page = await store.read(partial(first_three, after=key(paged[-1]) if paged else None))
            paged += page
            if len(page) < 3:
                break
        assert paged == sorted(rows, key=key)
        one = await store.read(lambda tx: tx.decisions.page(PLATFORM, job_id=other.id, limit=9))
        assert one == [row for row in sorted(rows, key=key) if row.job_id == other.id]


def first_three(tx: Tx, after: tuple[str, datetime, str] | None) -> list[Decision]:
    return tx.decisions.page(PLATFORM, after=after, limit=3)


async def decided(store: Store, job: Job, at: datetime) -> Decision | None:
    """Return what was decided of an instant."""
    return await store.read(lambda tx: tx.decisions.get(job.id, at))
