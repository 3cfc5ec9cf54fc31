"""PostgreSQL's partitions by time: made ahead, filled from the default one, and dropped with all that may go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.sql import history
from mainspring.adapters.sql.partitions import FAMILIES, LEDGER, Family, prepare
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.adapters.sql.types import micros
from mainspring.errors import StoreUnavailableError
from mainspring.model.decision import Verdict
from mainspring.model.execution import Attempt, Execution, Status
from mainspring.model.ids import uuid7
from mainspring.moves.retain import Retention, drop_partitions
from mainspring.ports.store import Dropped, Tx
from tests.contracts.store_rows import a_decision, a_job, a_letter, add_job, an_event, an_execution, lines
from tests.integration.postgres_rig import migrated, store

__all__ = ["store"]

DAY = timedelta(days=1)
RETENTION = Retention()


@pytest.fixture(params=[15, 18])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with migrated(request.getfixturevalue(f"postgres{request.param}_url")) as url:
        yield url


@pytest.fixture
async def now(store: PostgresStore) -> datetime:
    return await store.read(lambda tx: tx.now)


def said(tx: Tx, statement: str, **parameters: Any) -> list[Any]:
    """Ask the database itself, in the transaction of a store."""
    connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
    return [row[0] for row in connection.execute(sa.text(statement), parameters)]


async def partitions(store: PostgresStore, parent: str) -> list[str]:
    by_time = "SELECT relname FROM pg_class WHERE relname ~ :name AND relkind = 'r' ORDER BY 1"
    return await store.read(lambda tx: said(tx, by_time, name=f"^{parent}_[0-9]{{8}}_[0-9]{{8}}$"))


async def where(store: PostgresStore, execution: Execution) -> list[str]:
    statement = "SELECT tableoid::regclass::text FROM executions WHERE id = :id".replace("::", r"\:\:")
    return await store.read(lambda tx: said(tx, statement, id=execution.id))


async def without_partitions(store: PostgresStore) -> None:
    for family in FAMILIES:
        for name in await partitions(store, family.parent):
            await store.write(lambda tx, name=name: tx.executions._run(sa.text(f"DROP TABLE {name}")))  # type: ignore[misc]


async def with_old_ones(store: PostgresStore, now: datetime, days: int, families: Sequence[Family] = FAMILIES) -> None:
    def work(tx: Tx) -> None:
        connection = tx.executions._session.connection  # type: ignore[attr-defined]
        prepare(connection, now, 7, since=now - days * DAY, families=families)

    await store.write(work)


def old(at: datetime, status: Status = Status.SUCCESS, **values: Any) -> Execution:
    return an_execution(at, status, id=uuid7(at, Random()), **values)


async def dropped(store: PostgresStore) -> list[Dropped]:
    """Drop until nothing is left to."""
    found = [await store.write(lambda tx: drop_partitions(tx, RETENTION))]
    while found[-1].partitions:
        found.append(await store.write(lambda tx: drop_partitions(tx, RETENTION)))
    return found


async def test_there_are_partitions_for_now_and_for_two_periods_more(store: PostgresStore, now: datetime) -> None:
    assert await store.write(lambda tx: tx.history.prepare(7)) == []
    await without_partitions(store)
    made = await store.write(lambda tx: tx.history.prepare(7))
    assert len(made) == 3 * len(FAMILIES)
    low, high = (datetime.strptime(part, "%Y%m%d").replace(tzinfo=now.tzinfo) for part in made[0].split("_")[2:])
    assert low <= now < high
    assert high - low == 7 * DAY


async def test_an_execution_moves_where_it_belongs_when_it_ends(store: PostgresStore, now: datetime) -> None:
    live, done = an_execution(now), an_execution(now, Status.FAILED)
    await store.write(lambda tx: tx.executions.add([live, done]))
    assert await where(store, live) == ["executions_live"]
    assert (await where(store, done))[0] in await partitions(store, "executions_ended")


async def test_rows_in_the_default_partition_move_when_theirs_is_made(store: PostgresStore, now: datetime) -> None:
    await without_partitions(store)
    job = await add_job(store, a_job(now))
    rows = [old(now - days * DAY) for days in (0, 3, 20)]
    decided = [a_decision(job, now - days * DAY) for days in (0, 3, 40)]

    def write(tx: Tx) -> None:
        tx.executions.add(rows)
        tx.executions.add_attempts([Attempt(e.id, 1, 1, "failed", now) for e in rows])
        tx.decisions.add(decided)

    await store.write(write)
    assert [await where(store, row) for row in rows] == [["executions_ended_default"]] * 3
    await with_old_ones(store, now, 30)
    made = await partitions(store, "executions_ended")
    assert all([(await where(store, row))[0] in made for row in rows])
    for table in ("executions_ended_default", "attempts_default"):
        assert await store.read(lambda tx, t=table: said(tx, f"SELECT count(*) FROM {t}")) == [0]  # type: ignore[misc]
    assert [e.id for e in await store.read(lambda tx: [tx.executions.get(e.id) for e in rows]) if e] == [
        e.id for e in rows
    ]
    assert [len(a) for a in await store.read(lambda tx: [tx.executions.attempts(e.id) for e in rows])] == [1, 1, 1]
    assert len(await store.read(lambda tx: tx.decisions.find(job.id))) == 3


async def test_any_number_may_make_partitions_at_once(store: PostgresStore, url: str) -> None:
    await without_partitions(store)
    others = [PostgresStore(url, random=Random(n)) for n in range(4)]
    for other in others:
        await other.open()
    made = await asyncio.gather(*(other.write(lambda tx: tx.history.prepare(7)) for other in others))
    for other in others:
        await other.close()
    names = [name for some in made for name in some]
    assert len(names) == len(set(names)) == 3 * len(FAMILIES)


async def test_a_period_changed_later_fits_between_what_there_is(store: PostgresStore, now: datetime) -> None:
    made = await store.write(lambda tx: tx.history.prepare(30))
    assert any(name.startswith("executions_ended") for name in made)
    row = old(now + 50 * DAY)
    await store.write(lambda tx: tx.executions.add([row]))
    assert (await where(store, row))[0] in await partitions(store, "executions_ended")


async def test_retention_drops_partitions_and_keeps_what_must_stay(store: PostgresStore, now: datetime) -> None:
    await with_old_ones(store, now, 70)
    long_ago = now - 60 * DAY
    gone = [old(long_ago + n * DAY) for n in range(5)]
    dead = old(long_ago, Status.FAILED)
    announced = old(long_ago, Status.CANCELLED)
    ended_later = old(long_ago, finished_at=now - DAY)
    waiting = old(long_ago, Status.WAITING)
    kept = [dead, announced, ended_later, waiting]

    def write(tx: Tx) -> None:
        tx.executions.add([*gone, *kept])
        tx.dead_letters.add([a_letter(dead), replace(a_letter(gone[0]), status="discarded")])
        tx.outbox.add([an_event(now, subject=announced.id)])
        for execution in [*gone, *kept]:
            tx.executions.add_attempts([Attempt(execution.id, 1, 1, "failed", now)])
            tx.logs.append(execution.id, lines(execution, "a", "b"), fence=None, cap=10)

    await store.write(write)
    before = await partitions(store, "executions_ended")
    names = [name for some in await dropped(store) for name in some.partitions]
    after = await partitions(store, "executions_ended")
    assert set(before) - set(after) == {name for name in names if name.startswith("executions_ended")}
    assert all(name.rpartition("_")[2] > f"{now - 30 * DAY:%Y%m%d}" for name in after)

    def left(tx: Tx) -> list[tuple[bool, int, int]]:
        return [
            (tx.executions.get(e.id) is not None, len(tx.executions.attempts(e.id)), len(tx.logs.read(e.id)))
            for e in [*gone, *kept]
        ]

    assert await store.read(left) == [(False, 0, 0)] * 5 + [(True, 1, 2)] * 4
    assert await where(store, dead) == ["executions_ended_default"]
    await store.write(lambda tx: tx.dead_letters.resolve(dead.id, status="discarded"))
    assert await store.write(lambda tx: tx.executions.delete_ended(now - 30 * DAY, 10)) == 1
    assert await store.read(lambda tx: (tx.executions.get(dead.id), tx.logs.read(dead.id))) == (None, [])


async def test_what_ends_after_its_partition_went_is_deleted_in_its_turn(store: PostgresStore, now: datetime) -> None:
    execution = old(now - 60 * DAY, Status.QUEUED)
    await store.write(lambda tx: tx.executions.add([execution]))
    done = replace(execution, status=Status.CANCELLED, finished_at=now - 31 * DAY)
    await store.write(lambda tx: tx.executions._run(sa.text("DELETE FROM executions WHERE id = :id"), {"id": done.id}))  # type: ignore[attr-defined]
    await store.write(lambda tx: tx.executions.add([done]))
    assert await where(store, done) == ["executions_ended_default"]
    assert await store.write(lambda tx: tx.executions.delete_ended(now - 30 * DAY, 10)) == 1


async def test_published_events_go_with_their_partition_and_others_stay(store: PostgresStore, now: datetime) -> None:
    await with_old_ones(store, now, 30)
    events = [an_event(now - 20 * DAY) for _ in range(4)]

    def write(tx: Tx) -> None:
        tx.outbox.add(events)
        tx.outbox.mark_published([event.id for event in events[:3]])
        for event, at in ((events[0], now - 100 * DAY), (events[1], now - 20 * DAY)):
            publish = "UPDATE outbox SET published_at = :at WHERE id = :id RETURNING 1"
            said(tx, publish, at=micros(at), id=event.id)

    await store.write(write)
    names = [name for some in await dropped(store) for name in some.partitions]
    assert any(name.startswith("outbox_published") for name in names)
    assert await store.read(lambda tx: sorted(said(tx, "SELECT id FROM outbox"))) == sorted(
        event.id for event in (events[0], events[2], events[3])
    )
    assert await store.write(lambda tx: tx.outbox.delete_published(now - 7 * DAY, 10)) == 1, "the stray one, by row"
    assert [e.id for e in await store.read(lambda tx: tx.outbox.unpublished(10))] == [events[3].id]


async def test_the_ledger_forgets_by_the_partition_but_for_what_was_decided_lately(
    store: PostgresStore, now: datetime
) -> None:
    await with_old_ones(store, now, 500, [LEDGER])
    long_ago = now - 450 * DAY
    job = await add_job(store, a_job(now))
    forgotten = replace(a_decision(job, long_ago), decided_at=long_ago)
    backfilled = replace(a_decision(job, long_ago + DAY, Verdict.BACKFILLED), decided_at=now)
    await store.write(lambda tx: tx.decisions.add([forgotten, backfilled]))
    await dropped(store)
    assert await store.read(lambda tx: tx.decisions.find(job.id)) == [backfilled]


async def test_a_partition_with_too_much_to_keep_stays_and_is_named(
    store: PostgresStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT_AT_MOST", 1)
    await with_old_ones(store, now, 70)
    dead = [old(now - 60 * DAY, Status.FAILED) for _ in range(2)]
    await store.write(lambda tx: tx.executions.add(dead))
    await store.write(lambda tx: tx.dead_letters.add([a_letter(e) for e in dead]))
    found = await dropped(store)
    assert {name for some in found for name in some.crowded if name.startswith("executions_ended")} == {
        (await where(store, dead[0]))[0]
    }
    assert len(await store.read(lambda tx: [e for e in dead if tx.executions.get(e.id)])) == 2


async def test_dropping_waits_for_nobody_long_and_holds_nobody_up(
    store: PostgresStore, url: str, now: datetime
) -> None:
    await with_old_ones(store, now, 70)
    oldest = (await partitions(store, "executions_ended"))[0]
    with psycopg.connect(url) as writer:
        writer.execute(f"LOCK TABLE {oldest} IN ROW EXCLUSIVE MODE")
        dropping = asyncio.create_task(store.write(lambda tx: drop_partitions(tx, RETENTION)))
        done = an_execution(now, Status.SUCCESS)
        await store.write(lambda tx: tx.executions.add([done]))
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            await dropping
    assert oldest in (await store.write(lambda tx: drop_partitions(tx, RETENTION))).partitions
    assert oldest not in await partitions(store, "executions_ended")


async def test_whoever_comes_while_another_lays_out_leaves_it_to_him(store: PostgresStore, url: str) -> None:
    inside, leave = threading.Event(), threading.Event()

    def first(tx: Tx) -> list[str]:
        made = list(tx.history.prepare(7))
        inside.set()
        leave.wait(30)
        return made

    await without_partitions(store)
    working = asyncio.create_task(store.write(first))
    await asyncio.to_thread(inside.wait, 30)
    assert not await store.write(lambda tx: tx.history.prepare(7))
    leave.set()
    assert await working
