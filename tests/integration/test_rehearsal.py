"""A dispatcher that sees several jobs coming has made the statements it will need before they are due."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mainspring.adapters.sql import statements
from mainspring.adapters.sql.store import SqlStore
from mainspring.errors import StoreError
from mainspring.model.ids import id_time
from mainspring.model.wire import definition_from_wire
from mainspring.moves.ahead import Ahead
from mainspring.moves.jobs import create_jobs
from mainspring.moves.plan import Planned, plan_due
from mainspring.moves.rehearse import look
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import ExecutionQuery, Rehearsing
from mainspring.testing.clock import ManualClock

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Dispatcher:
    """What of a dispatcher plans and looks ahead, on a file of its own."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock(START)
        self.store = SqlStore(path, clock=self.clock, random=Random(1))
        self.schedules = Schedules()
        self.ahead = Ahead(self.schedules, "dispatcher")

    async def have(self, jobs: int, **fields: Any) -> None:
        wire = {"type": "one_time", "schedule": {"run_at": (START + SECOND).isoformat()}, "handler": "h", **fields}
        definitions = [definition_from_wire({**wire, "name": f"job-{number}"}) for number in range(jobs)]
        await self.store.write(lambda tx: create_jobs(tx, "default", definitions))

    async def look(self) -> None:
        await self.store.read(lambda tx: look(tx, self.ahead, 100))

    async def plan(self) -> Planned:
        return await self.store.write(lambda tx: plan_due(tx, self.schedules, "dispatcher", ahead=self.ahead))


@pytest.fixture
async def dispatcher(tmp_path: Path) -> AsyncIterator[Dispatcher]:
    made = Dispatcher(tmp_path / "jobs.db")
    await made.store.open()
    yield made
    await made.store.close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were put into the database's words or run as they are, as they are."""
    found: list[str] = []
    compile_statement, by_sqlalchemy = statements.compile_statement, statements.by_sqlalchemy

    def compiled(statement: Any, dialect: Any) -> Any:
        found.append(str(statement))
        return compile_statement(statement, dialect)

    def run(connection: Any, statement: Any, parameters: Any) -> Any:
        found.append(str(statement))
        return by_sqlalchemy(connection, statement, parameters)

    monkeypatch.setattr(statements, "compile_statement", compiled)
    monkeypatch.setattr("mainspring.adapters.sql.session.by_sqlalchemy", run)
    return found


@pytest.mark.parametrize(
    "fields", [{}, {"payload": {"text": "x"}, "type": "recurring", "schedule": {"every_ms": 1000}}]
)
async def test_what_was_seen_coming_needs_no_statement_made_when_it_is_due(
    dispatcher: Dispatcher, made: list[str], fields: dict[str, Any]
) -> None:
    await dispatcher.have(60, **fields)
    await dispatcher.look()
    made.clear()
    dispatcher.clock.advance(SECOND)
    assert (await dispatcher.plan()).dispatched == 60
    assert made == []


async def test_a_rehearsal_leaves_nothing_behind(dispatcher: Dispatcher) -> None:
    await dispatcher.have(60)
    await dispatcher.look()
    query = ExecutionQuery(limit=100)
    assert await dispatcher.store.read(lambda tx: tx.executions.find(query)) == []
    assert await dispatcher.store.read(lambda tx: tx.decisions.page("default", limit=100)) == []
    dispatcher.clock.advance(SECOND)
    assert (await dispatcher.plan()).dispatched == 60
    ids = {execution.id for execution in await dispatcher.store.read(lambda tx: tx.executions.find(query))}
    assert {id_time(one) for one in ids} == {START + SECOND}, "ids keep to the clock, which a rehearsal runs ahead of"


async def test_a_single_job_is_not_rehearsed(dispatcher: Dispatcher, made: list[str]) -> None:
    await dispatcher.have(1)
    made.clear()
    await dispatcher.look()
    assert not [text for text in made if "INSERT" in text]


async def test_a_rehearsal_has_no_connection_to_go_past_it_with(dispatcher: Dispatcher) -> None:
    def work(tx: Any) -> None:
        assert isinstance(tx, Rehearsing)
        once: Any = tx.rehearsal(START)
        with pytest.raises(StoreError, match="no connection"):
            _ = once._session.connection

    await dispatcher.store.read(work)
