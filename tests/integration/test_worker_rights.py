"""What a worker may do: claim what its queues and handlers are for, end what it holds, and in the database no more."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from random import Random

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from mainspring import Mainspring
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.app.wiring import Roles
from mainspring.control.scheduler import SchedulerService
from mainspring.model.execution import Actor, Status
from mainspring.model.outcome import Succeeded
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.store import Tx
from tests import servers
from tests.waiting import PATIENCE

LEASE = timedelta(minutes=5)
GUIDE = Path(__file__).parents[2] / "docs" / "operate" / "postgresql.md"


async def test_a_worker_gets_and_ends_nothing_that_is_anothers_even_where_it_is_offered(tmp_path: Path) -> None:
    app = Mainspring(tmp_path / "jobs.db")
    store = await app.open()
    try:
        service = SchedulerService(store)
        mine, queue, handler = await service.enqueue(
            [
                EnqueueRequest("ours:work", queue="ours"),
                EnqueueRequest("ours:work", queue="theirs"),
                EnqueueRequest("theirs:work", queue="ours"),
            ]
        )
        everything = [mine.id, queue.id, handler.id]

        def ours(tx: Tx) -> list[str]:
            found = claim(tx, "a", queues={"ours": 9}, handlers=["ours:work"], limit=9, lease=LEASE, offered=everything)
            return [one.id for one in found]

        assert await store.write(ours) == [mine.id]

        def theirs(tx: Tx) -> set[str]:
            """Claim the rest as another worker, and let the first report that it has ended it."""
            held = claim(
                tx, "b", queues={"ours": 9, "theirs": 9}, handlers=["ours:work", "theirs:work"], limit=9, lease=LEASE
            )
            assert {one.id for one in held} == {queue.id, handler.id}
            as_a = [one.changed(worker_id="a", fence=one.fence - 1) for one in held]
            return settle_attempts(tx, [Ended(one, Succeeded("forged")) for one in as_a], Actor.WORKER)

        assert await store.write(theirs) == set()
        for execution_id in (queue.id, handler.id):
            found = (await service.get_execution(execution_id)).execution
            assert (found.status, found.result) == (Status.RUNNING, None)
    finally:
        await app.close()


async def test_a_database_user_as_the_pages_grant_it_runs_work_and_changes_no_table(postgres18_url: str) -> None:
    with servers.new_database(postgres18_url) as url, psycopg.connect(url, autocommit=True) as owner:
        await PostgresStore(url, random=Random(1)).migrate()
        name = f"worker_{Random(url).getrandbits(40):x}"
        for statement in granted(name):
            owner.execute(statement)
        try:
            plain = sa.make_url(url).set(username=name, password="plain").render_as_string(hide_password=False)
            result = await run_as(url, plain)
            assert result == 42
            with psycopg.connect(plain) as connection:
                for forbidden in ("DROP TABLE jobs", "ALTER TABLE jobs ADD x int", "CREATE ROLE other"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(forbidden)
                    connection.rollback()
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def run_as(owner_url: str, worker_url: str) -> int:
    """Enqueue as the owner, work as the worker, and return the result."""
    asks, works = Mainspring(owner_url), Mainspring(worker_url, poll_ms=100)

    @works.handler(name="double")
    async def double(n: int) -> int:
        return 2 * n

    await asks.open()
    try:
        async with works.running(Roles(dispatcher=False)):
            (made,) = await asks.scheduler().enqueue([EnqueueRequest("double", {"n": 21})])
            async with asyncio.timeout(PATIENCE):
                found = await asks.scheduler().get_execution(made.id)
                while not found.execution.status.terminal:
                    await asyncio.sleep(0.05)
                    found = await asks.scheduler().get_execution(made.id)
        assert found.execution.status is Status.SUCCESS, found.execution.error
        return int(found.execution.result or 0)
    finally:
        await asks.close()


def granted(name: str) -> list[bytes]:
    """Return the statements of the page for operators, for a user of this name."""
    block = GUIDE.read_text("utf-8").partition("```sql\n")[2].partition("```")[0]
    statements = [line.partition("--")[0].strip() for line in block.splitlines() if line.strip()]
    assert len(statements) == 5
    found = [one.replace("mainspring_worker", name).replace("'…'", "'plain'") for one in statements]
    return [one.replace("FOR ROLE owner", "FOR ROLE CURRENT_USER").encode() for one in found]
