"""Databases of the first version come to the present one with all they hold, however often the way is interrupted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.sql.postgres import PostgresStore, driver_url
from mainspring.adapters.sql.schema import HEAD
from mainspring.adapters.sql.sqlite import SqliteSettings
from mainspring.adapters.sql.sqlite_schema import prepare_sqlite
from mainspring.errors import SchemaError, StoreUnavailableError
from tests import servers
from tests.integration import first_schema

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def url(postgres18_url: str) -> Iterator[str]:
    """A database of 0001 with rows in every table."""
    yield from filled(postgres18_url)


@pytest.fixture(params=[15, 16, 18])
def each(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same on each PostgreSQL."""
    yield from filled(request.getfixturevalue(f"postgres{request.param}_url"))


def filled(server_url: str) -> Iterator[str]:
    with servers.new_database(server_url) as url:
        with connected(url) as connection:
            first_schema.make(connection)
            first_schema.fill(connection, NOW, Random(7))
        yield url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The same as a SQLite file."""
    path = tmp_path / "jobs.db"
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        first_schema.make(connection)
        first_schema.fill(connection, NOW, Random(7))
    return path


def connected(url: str) -> Any:
    return sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool).begin()


def postgres(url: str) -> PostgresStore:
    return PostgresStore(url, random=Random(1))


def held_by(url: str) -> first_schema.Rows:
    with connected(url) as connection:
        return first_schema.dump(connection)


def without_the_beginning_of_the_rollups(tables: dict[str, list[Any]]) -> None:
    """Take out the note that says since when all is counted, which is to be in a database with a past."""
    noted = [row for row in tables["notes"] if "rollups_since" in row]
    assert len(noted) == 1
    tables["notes"].remove(noted[0])


def test_postgres_rows_of_every_table_come_along_and_lie_where_they_belong(each: str) -> None:
    before = held_by(each)
    assert asyncio.run(postgres(each).migrate()) == "0001"
    with connected(each) as connection:
        after = first_schema.dump(connection, like=before)
        without_the_beginning_of_the_rollups(after)
        assert {n: rows for n, rows in after.items() if n != "mainspring_schema"} == {
            n: rows for n, rows in before.items() if n != "mainspring_schema"
        }
        assert connection.scalar(sa.text("SELECT count(*) FROM executions_live WHERE status = 'success'")) == 0
        assert connection.scalar(sa.text("SELECT count(*) FROM executions_live")) > 0
        assert connection.scalar(sa.text("SELECT count(*) FROM outbox_unpublished")) == 14
        strays = "SELECT count(*) FROM decisions_default WHERE scheduled_at > (SELECT max(scheduled_at) FROM decisions)"
        assert connection.scalar(sa.text(strays)) == 0
        admitted = sa.text("SELECT sum(count) FROM admissions")
        assert connection.scalar(admitted) == first_schema.ROWS, "what rates let through still counts"
    assert asyncio.run(postgres(each).migrate()) == HEAD, "and a second time nothing happens"


def test_events_added_after_a_migration_get_numbers_after_those_before(url: str) -> None:
    asyncio.run(postgres(url).migrate())
    with connected(url) as connection:
        connection.execute(sa.text("SELECT setval('outbox_number_seq', 1000)"))
        statement = (
            "INSERT INTO outbox (id, type, platform_id, at, source, data) VALUES ('x', 't', 'p', 1, '', '')"
            " RETURNING number"
        )
        assert connection.scalar(sa.text(statement)) == 1001


def test_a_migration_cut_off_in_the_middle_has_not_happened_and_is_made_up_for(url: str) -> None:
    before, failed = held_by(url), []

    def migrate() -> None:
        try:
            asyncio.run(postgres(url).migrate())
        except StoreUnavailableError as error:
            failed.append(error)

    migrating = threading.Thread(target=migrate)
    with psycopg.connect(url) as reader, psycopg.connect(url, autocommit=True) as admin:
        reader.execute("LOCK TABLE decisions IN ACCESS SHARE MODE")  # the last of the tables it takes away
        migrating.start()
        waits = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%decisions%'"
        while (waiting := admin.execute(waits).fetchone()) is None:
            assert migrating.is_alive()
        admin.execute("SELECT pg_terminate_backend(%s)", waiting)
        migrating.join()
    assert failed
    assert held_by(url) == before
    assert asyncio.run(postgres(url).migrate()) == "0001"
    with connected(url) as connection:
        assert first_schema.dump(connection, like=before)["executions"] == before["executions"]


def test_of_two_that_migrate_at_once_one_does_and_the_other_finds_it_done(url: str) -> None:
    async def both() -> list[str | None]:
        return list(await asyncio.gather(postgres(url).migrate(), postgres(url).migrate()))

    assert sorted(map(str, asyncio.run(both()))) == ["0001", HEAD]


async def test_an_older_version_refuses_a_newer_schema_and_says_why(url: str) -> None:
    await postgres(url).migrate()
    with connected(url) as connection:
        connection.execute(sa.text("UPDATE mainspring_schema SET version_num = '9999'"))
    for step in (postgres(url).open, postgres(url).migrate, postgres(url).schema_version):
        with pytest.raises(SchemaError, match=r"9999.*newer version"):
            await step()


async def test_a_database_behind_is_refused_until_it_is_migrated(url: str) -> None:
    store = postgres(url)
    with pytest.raises(SchemaError, match=r"0001.*mainspring migrate"):
        await store.open()
    await store.migrate()
    await store.open()
    await store.close()


def test_sqlite_rows_of_every_table_come_along(file: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        before = first_schema.dump(connection)
    prepare_sqlite(SqliteSettings(file))
    with engine.begin() as connection:
        after = first_schema.dump(connection, like=before)
        assert connection.scalar(sa.text("SELECT sum(count) FROM admissions")) == first_schema.ROWS
    without_the_beginning_of_the_rollups(after)
    for name in before.keys() - {"mainspring_schema"}:
        assert after[name] == before[name]


def test_a_sqlite_migration_killed_at_any_statement_is_made_up_for_at_the_next_start(
    file: Path, tmp_path: Path, seed: int
) -> None:
    script = tmp_path / "migrate.py"
    script.write_text(textwrap.dedent(DYING))
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        before = first_schema.dump(connection)
    random, died = Random(seed), 0
    for statement in sorted(random.sample(range(1, 60), 4)):
        code = subprocess.run([sys.executable, script, str(file), str(statement)], check=False).returncode
        died += code == 9
        with engine.begin() as connection:
            after = first_schema.dump(connection, like=before)
        assert after["executions"] == before["executions"]
        assert after["mainspring_schema"][1] in [("0001",), (HEAD,)]
    assert died
    prepare_sqlite(SqliteSettings(file))
    with engine.begin() as connection:
        assert first_schema.dump(connection, like=before)["decisions"] == before["decisions"]


DYING = """
    import os, sys
    from pathlib import Path

    import sqlalchemy as sa

    from mainspring.adapters.sql.sqlite_schema import prepare_sqlite
    from mainspring.adapters.sql.sqlite import SqliteSettings

    seen, last = 0, int(sys.argv[2])

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def die(*_):
        global seen
        seen += 1
        if seen == last:
            os._exit(9)

    prepare_sqlite(SqliteSettings(Path(sys.argv[1])))
"""
