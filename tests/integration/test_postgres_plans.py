"""What the hot statements touch: never what has ended, and of what is live only the rows they are about."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.model.execution import Actor, Execution
from mainspring.model.outcome import Released, Succeeded
from mainspring.moves.admit import promote
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.reap import reap
from mainspring.ports.store import Claimable, Tx
from tests.integration.postgres_rig import migrated, of_one_connection

LEASE = timedelta(minutes=10)
#: Partitions of what has ended, of what was published, and those of the rest.
PAST = re.compile(r"executions_ended|outbox_published|_default$")
_LOCKED = """
    SELECT DISTINCT c.relname FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p')
"""
_READ = """
    SELECT coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'executions_live'
"""


@pytest.fixture(params=[15, 18])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with migrated(request.getfixturevalue(f"postgres{request.param}_url")) as url:
        yield url


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """A store of one connection, so that what was prepared in it is used."""
    async with of_one_connection(url) as store:
        yield store


def rows(tx: Tx, statement: str) -> list[Any]:
    connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
    return [tuple(row) for row in connection.execute(sa.text(statement))]


async def locked(store: PostgresStore, step: Callable[[Tx], object]) -> set[str]:
    """Run a step; return the tables it has so much as opened."""

    def work(tx: Tx) -> set[str]:
        step(tx)
        return {row[0] for row in rows(tx, _LOCKED)}

    return await store.write(work)


def requests(count: int) -> list[EnqueueRequest]:
    return [EnqueueRequest("work", {"n": n}) for n in range(count)]


def claim_some(tx: Tx, limit: int) -> list[Execution]:
    return claim(tx, "w", queues={"default": limit}, handlers=["work", "other"], limit=limit, lease=LEASE)


def settle(tx: Tx, executions: list[Execution], outcome: Any = None) -> None:
    ended = [Ended(e, outcome or Succeeded(e.payload["n"])) for e in executions]
    assert len(settle_attempts(tx, ended, Actor.WORKER)) == len(executions)


async def test_no_hot_statement_opens_what_has_ended(store: PostgresStore) -> None:
    for _ in range(8):  # often enough for its statements to be prepared and planned for good
        await one_round(store)


async def one_round(store: PostgresStore) -> None:
    held: list[Execution] = []

    def beat(tx: Tx) -> None:
        tx.executions.renew("w", tx.now + LEASE)
        tx.executions.put_progress([(e.id, e.fence, {"share": 0.5}) for e in held])
        tx.logs.append(held[0].id, [], fence=held[0].fence, cap=10)
        tx.executions.request_cancel(held[1].id, "enough")

    steps: list[Callable[[Tx], object]] = [
        lambda tx: enqueue(tx, requests(3)),
        lambda tx: held.extend(claim_some(tx, 3)),
        beat,
        promote,
        lambda tx: reap(tx, grace=LEASE, draws=[0.5]),
        lambda tx: tx.executions.active_of(["j"]),
        lambda tx: tx.executions.get(held[0].id, lock=True),
        lambda tx: settle(tx, held[:1], Released()),
        lambda tx: tx.outbox.unpublished(10),
        lambda tx: tx.executions.next_available_at(),
        lambda tx: tx.outlook(),
        lambda tx: tx.over_at(LEASE),
    ]
    for number, step in enumerate(steps):
        assert (number, {table for table in await locked(store, step) if PAST.search(table)}) == (number, set())
    opened = await locked(store, lambda tx: settle(tx, held[2:]))
    assert len({table for table in opened if re.search(r"executions_ended_2\d+", table)}) == 1, "only the present one"
    assert "executions_ended_default" not in opened


async def test_plans_made_on_a_small_table_stay_good_while_it_grows(store: PostgresStore, url: str) -> None:
    """A batch reads some rows per row of its own, not the table; whatever the statistics say, and said."""

    def cycle(tx: Tx, count: int) -> int:
        before = rows(tx, _READ)[0][0]
        claimed = claim_some(tx, count)
        assert len(claimed) == count
        again = Claimable({"default": count}, ["work"], count, [e.id for e in claimed])
        assert tx.executions.claim("w", LEASE, again) == []
        tx.executions.put_progress([(e.id, e.fence, {"n": e.payload["n"]}) for e in claimed])
        settle(tx, claimed)
        return int(rows(tx, _READ)[0][0] - before)

    for _ in range(12):
        await store.write(lambda tx: enqueue(tx, requests(2)))
        await store.write(lambda tx: cycle(tx, 2))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE executions")  # an empty table, as a quiet night leaves it
    for _ in range(8):
        await store.write(lambda tx: enqueue(tx, requests(2)))
        await store.write(lambda tx: cycle(tx, 2))
    for _ in range(8):
        await store.write(lambda tx: enqueue(tx, requests(500)))
    read = [await store.write(lambda tx: cycle(tx, 20)) for _ in range(8)]
    assert max(read) < 20 * 20
    assert await store.read(lambda tx: counted(tx, 100)) <= 300, "a count goes no further than it is asked to"


def counted(tx: Tx, most: int) -> int:
    """Count what is live in each way, of some thousands; return how many rows were read for it."""
    before = rows(tx, _READ)[0][0]
    assert tx.executions.counts("default", most) == {"queued": most}
    assert tx.executions.pending_count("default", most) == 0
    assert tx.executions.occupying("default", "queue", ["default"], most=most) == {"default": most}
    assert tx.executions.occupying("default", "platform", [""], most=most) == {"": most}
    return int(rows(tx, _READ)[0][0] - before)


async def test_the_hot_tables_are_set_up_to_be_rewritten_all_the_time(store: PostgresStore) -> None:
    found = dict(
        await store.read(lambda tx: rows(tx, "SELECT relname, array_to_string(reloptions, ' ') FROM pg_class"))
    )
    for table in ("executions_live", "outbox_unpublished"):
        assert "autovacuum_vacuum_scale_factor=0" in found[table]
        assert "autovacuum_vacuum_cost_delay=0" in found[table]
    assert "fillfactor=60" in found["executions_live"]


@pytest.mark.parametrize("vacuumed", [False, True])
async def test_what_is_active_of_a_job_is_found_by_the_job_however_much_is_live(
    store: PostgresStore, url: str, vacuumed: bool
) -> None:
    if vacuumed:  # statistics of an empty table, which is what a young database has
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE executions")
    for _ in range(6):
        await store.write(lambda tx: enqueue(tx, requests(500)))

    def ask(tx: Tx) -> int:
        before = rows(tx, _READ)[0][0]
        assert tx.executions.active_of(["nobody's"]) == []
        return int(rows(tx, _READ)[0][0] - before)

    assert max([await store.write(ask) for _ in range(8)]) < 50
