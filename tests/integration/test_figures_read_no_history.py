"""No chart, scrape or health check touches the past: its partitions are locked away while they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.control.figures import heatmap, job_stats, last_hour, timeseries
from mainspring.control.fleet_figures import fleet_figures
from mainspring.control.health import check_health, collect_metrics
from mainspring.control.status import collect_status
from mainspring.control.watermark import read_watermark
from mainspring.model.execution import Actor
from mainspring.model.outcome import Failed, Outcome, Succeeded
from mainspring.model.wire import definition_from_wire
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import trigger
from mainspring.moves.jobs import create_job
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from tests import servers
from tests.waiting import PATIENCE

pytestmark = pytest.mark.servers
DAY = timedelta(days=1)
ERROR = {"type": "ValueError", "message": "no", "traceback": ""}

QUESTIONS: dict[str, Callable[[Tx], Any]] = {
    "job stats": lambda tx: job_stats(tx, "default", "job", 7 * DAY),
    "heatmap": lambda tx: heatmap(tx, "default", "job", tx.now - 30 * DAY, tx.now, "Asia/Kathmandu"),
    "timeseries by minute": lambda tx: timeseries(
        tx, "default", tx.now - timedelta(hours=1), tx.now + timedelta(minutes=1), timedelta(minutes=1)
    ),
    "timeseries by hour": lambda tx: timeseries(
        tx, "default", tx.now - 60 * DAY, tx.now + timedelta(minutes=1), timedelta(hours=1)
    ),
    "last hour": lambda tx: last_hour(tx, "default"),
    "overview": lambda tx: collect_status(tx, "default").to_wire(),
    "metrics of the platform": lambda tx: collect_metrics(tx, "default"),
    "metrics of the fleet": fleet_figures,
    "health": check_health,
    "watermark": lambda tx: read_watermark(tx).to_wire(),
}


@pytest.fixture
async def url(postgres18_url: str) -> AsyncIterator[str]:
    with servers.new_database(postgres18_url) as found:
        store = PostgresStore(found, random=Random(1))
        await store.migrate()
        await store.open()
        try:
            await store.write(lambda tx: tx.history.prepare(7))
            await store.write(_work)
            yield found
        finally:
            await store.close()


def _work(tx: Tx) -> None:
    """Have a job succeed twice and fail once, and relay what that leads to."""
    fields = {"name": "job", "type": "manual", "handler": "h", "overlap": "allow_all", "retry": {"max_retries": 0}}
    create_job(tx, "default", definition_from_wire(fields))
    for _ in range(3):
        trigger(tx, "default", "job")
    claimed = claim(tx, "w", queues={"default": 9}, handlers=["h"], limit=9, lease=timedelta(seconds=15))
    outcomes: list[Outcome] = [Succeeded(), Succeeded(), Failed(ERROR)]
    ended = [Ended(execution, outcome) for execution, outcome in zip(claimed, outcomes, strict=True)]
    settle_attempts(tx, ended, Actor.WORKER)
    mark_published(tx, Schedules(), take_unpublished(tx))


def history(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the partitions that hold what has ended, was decided or published, and what came of attempts."""
    live = ("executions_live", "outbox_unpublished")
    rows = connection.execute("SELECT inhrelid::regclass::text FROM pg_inherits").fetchall()
    indexes = {name for (name,) in connection.execute("SELECT indexrelid::regclass::text FROM pg_index").fetchall()}
    return sorted(name for (name,) in rows if name not in indexes and name not in live)


async def test_with_the_past_locked_away_every_figure_is_told(url: str) -> None:
    store = PostgresStore(url, random=Random(2))
    await store.open()
    try:
        with psycopg.connect(url) as locker:
            partitions = history(locker)
            assert {"executions_default", "decisions_default"} <= set(partitions) or len(partitions) > 5, partitions
            locker.execute(f"LOCK TABLE {', '.join(partitions)} IN ACCESS EXCLUSIVE MODE")
            for what, question in QUESTIONS.items():
                async with asyncio.timeout(PATIENCE):  # what waits for the lock waits for ever
                    assert await store.read(question), what
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await store.read(lambda tx: tx.executions.get("01a00000-0000-7000-8000-000000000000"))
            locker.rollback()
        stats = await store.read(QUESTIONS["job stats"])
        assert (stats["outcomes"], stats["dead_letters"]) == ({"failed": 1, "success": 2}, 1)
    finally:
        await store.close()


async def test_what_figures_say_does_not_change_when_the_past_is_deleted(url: str) -> None:
    store = PostgresStore(url, random=Random(2))
    await store.open()

    async def told() -> dict[str, str]:
        asked = ("job stats", "heatmap", "timeseries by hour", "last hour")
        return {what: str({**await store.read(QUESTIONS[what]), "from": "", "to": ""}) for what in asked}

    try:
        before = await told()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("TRUNCATE executions, attempts, decisions, outbox, execution_logs")
        assert await told() == before
    finally:
        await store.close()
