"""What else goes on in a PostgreSQL server is seen: forgotten transactions, what holds dead rows, neglected tables."""

from __future__ import annotations

import asyncio
from random import Random

import psycopg
import pytest

from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.ports.activity import Activity
from tests.integration.postgres_rig import store, url

__all__ = ["store", "url"]


async def seen(store: PostgresStore, name: str) -> Activity:
    """Return what is seen of one application; others may use the server at the same time."""
    found = await store.activity()
    return Activity(
        tuple(one for one in found.transactions if one.application == name),
        tuple(one for one in found.holders if name in one.name),
        found.dead,
        found.vacuums,
        found.hidden,
    )


async def test_a_transaction_somebody_forgot_is_seen_until_it_ends(store: PostgresStore, url: str) -> None:
    with psycopg.connect(url, application_name="forgotten") as foreign:
        foreign.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        foreign.execute("SELECT count(*) FROM executions")
        before = await seen(store, "forgotten")
        (one,) = before.transactions
        assert one.pid == foreign.info.backend_pid
        assert one.idle is not None
        assert one.idle <= one.age
        (holder,) = before.holders
        assert holder.kind == "transaction"
        for _ in range(5):
            with psycopg.connect(url, autocommit=True) as busy:
                busy.execute("SELECT pg_current_xact_id()")
        assert (await seen(store, "forgotten")).holders[0].transactions >= holder.transactions + 5
        assert before.vacuums
        foreign.rollback()
        after = await seen(store, "forgotten")
        assert (after.transactions, after.holders) == ((), ())


async def test_a_statement_that_runs_is_not_idle(store: PostgresStore, url: str) -> None:
    with psycopg.connect(url, application_name="busy") as foreign:
        running = asyncio.create_task(asyncio.to_thread(foreign.execute, "SELECT pg_sleep(300)"))
        async with asyncio.timeout(30):
            while True:
                found = (await seen(store, "busy")).transactions
                if found and found[0].idle is None:
                    break
        foreign.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await running


async def test_a_table_with_more_dead_rows_than_vacuuming_waits_for_is_seen(store: PostgresStore, url: str) -> None:
    own = "autovacuum_enabled = off, autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0"
    with psycopg.connect(url) as foreign:
        foreign.execute(f"CREATE TABLE neglected (n int) WITH ({own})".encode())
        foreign.execute("INSERT INTO neglected SELECT generate_series(1, 50)")
        foreign.commit()
        foreign.execute("DELETE FROM neglected")
        foreign.commit()
        foreign.execute("SELECT pg_stat_force_next_flush()")
    found = {one.table: one for one in (await store.activity()).dead}
    assert (found["neglected"].dead, found["neglected"].due_at) == (50, 10)
    assert found["neglected"].vacuumed is None


async def test_a_user_that_may_not_see_others_is_told_how_many_it_does_not_see(url: str) -> None:
    with psycopg.connect(url, autocommit=True, application_name="hidden") as admin:
        name = url.rpartition("/")[2]
        admin.execute("DROP ROLE IF EXISTS limited")
        admin.execute("CREATE ROLE limited LOGIN PASSWORD 'limited'")
        try:
            admin.execute("GRANT USAGE ON SCHEMA public TO limited")
            admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO limited")
            address = url.rpartition("@")[2].partition("/")[0] if "@" in url else url.split("//")[1].partition("/")[0]
            limited = PostgresStore(f"postgresql://limited:limited@{address}/{name}", random=Random(1))
            found = await limited.activity()
            assert found.hidden >= 1
            assert not [one for one in found.transactions if one.application == "hidden"]
        finally:
            admin.execute("DROP OWNED BY limited")
            admin.execute("DROP ROLE limited")
