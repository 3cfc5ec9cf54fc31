"""Row-level security on PostgreSQL: with no condition in any query, a confined transaction sees its own rows alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring import Mainspring
from mainspring.adapters.sql.dialect import API_ROLE
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.adapters.sql.tables import metadata
from mainspring.adapters.sql.walls import condition_of, rights_of
from mainspring.errors import StoreError
from mainspring.ports.store import Tx
from tests import servers
from tests.integration.api.conftest import serving
from tests.integration.api.seeds import seeded


@pytest.fixture(scope="module")
def database(postgres16_url: str) -> Iterator[str]:
    """A database with two platforms, one of everything on each."""
    with servers.new_database(postgres16_url) as url:

        async def fill() -> None:
            await PostgresStore(url, random=Random(1)).migrate()
            app = Mainspring(url)
            await seeded(app, "acme")
            await seeded(app, "beta")
            await app.close()

        asyncio.run(fill())
        yield url


def test_of_every_table_it_is_said_whose_its_rows_are() -> None:
    for table in metadata.sorted_tables:
        condition_of(table)  # raises where nobody has said
    assert rights_of(metadata.tables["audit_entries"]) == "SELECT, INSERT"
    assert rights_of(metadata.tables["notes"]) == "SELECT"
    assert rights_of(metadata.tables["leases"]) is None


def test_without_any_condition_a_confined_transaction_sees_its_own_platform_alone(database: str) -> None:
    with psycopg.connect(database) as connection:
        for table in metadata.sorted_tables:
            if condition_of(table) is None:
                continue
            connection.execute("SELECT set_config('mainspring.platform', 'beta', true)")
            connection.execute(f"SET LOCAL ROLE {API_ROLE}")
            text = str(connection.execute(f"SELECT * FROM {table.name}").fetchall())
            assert "acme" not in text, table.name
            connection.rollback()


def test_without_a_platform_a_confined_transaction_sees_nothing(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(f"SET LOCAL ROLE {API_ROLE}")
        for table in metadata.sorted_tables:
            if condition_of(table) is not None and table.name not in ("handlers", "notes"):
                assert connection.execute(f"SELECT count(*) FROM {table.name}").fetchone() == (0,), table.name


def test_a_confined_transaction_cannot_write_into_another_platform_nor_change_the_trail(database: str) -> None:
    attempts = [
        "INSERT INTO platforms (id) VALUES ('gamma')",
        "UPDATE jobs SET platform_id = 'acme'",
        "DELETE FROM audit_entries",
        "UPDATE audit_entries SET actor = 'nobody'",
        "UPDATE notes SET value = ''",
        "SELECT * FROM leases",
        "DROP TABLE jobs",
    ]
    with psycopg.connect(database) as connection:
        for statement in attempts:
            connection.execute("SELECT set_config('mainspring.platform', 'beta', true)")
            connection.execute(f"SET LOCAL ROLE {API_ROLE}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_the_secret_of_callbacks_is_nothing_a_request_can_read(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT 1 FROM notes WHERE name = 'callback_secret'").fetchone() == (1,)
        connection.execute(f"SET LOCAL ROLE {API_ROLE}")
        assert connection.execute("SELECT 1 FROM notes WHERE name = 'callback_secret'").fetchone() is None


async def test_every_request_is_confined_and_the_next_transaction_is_not(database: str) -> None:
    app = Mainspring(database)
    async with serving(app) as api:

        def who(tx: Any) -> Any:
            return tx._session.connection.execute(
                sa.text("SELECT current_user, current_setting('mainspring.platform', true)")
            ).one()

        def confined(tx: Tx) -> Any:
            tx.scope("beta")
            told = who(tx)
            found = tx.jobs.get("acme", "marker-of-acme-nightly")
            tx.scope(None)
            return told, found, who(tx)

        inside, found, after = await app.store.read(confined)
        assert tuple(inside) == (API_ROLE, "beta")
        assert found is None  # its query asks for acme; the wall does not let it
        assert after[0] != API_ROLE
        key = await api.key("admin", "beta")
        answer = await api.get("/api/v1/platforms/beta/jobs", key=key)
        assert {job["platform_id"] for job in answer.json()["data"]} == {"beta"}

        def fails(tx: Tx) -> None:
            tx.scope("beta")
            tx.platforms.put_note("colour", "green")

        with pytest.raises(StoreError):
            await app.store.write(fails)
        assert (await app.store.read(who)).current_user != API_ROLE


async def test_a_user_who_may_not_make_roles_migrates_all_the_same(postgres16_url: str, tmp_path: Path) -> None:
    with servers.new_database(postgres16_url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [API_ROLE]).fetchone() is None:
            connection.execute(f"CREATE ROLE {API_ROLE} NOLOGIN")  # as an administrator does
        try:
            connection.execute("GRANT ALL ON SCHEMA public TO plain")
            connection.execute(f"REVOKE {API_ROLE} FROM plain")
            plain = sa.make_url(url).set(username="plain", password="plain").render_as_string(hide_password=False)
            await PostgresStore(plain, random=Random(1)).migrate()
            async with serving(Mainspring(plain)) as api:
                assert (await api.get("jobs")).status_code == 200
        finally:
            connection.execute("DROP OWNED BY plain CASCADE")
            connection.execute("DROP ROLE plain")
