"""Workers behind a transaction-pooling proxy, where nothing LISTENs: what one cannot run, another finds by looking."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mainspring import Mainspring
from mainspring.app.wiring import Roles
from mainspring.model.execution import Execution, Status
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.store import ExecutionQuery
from tests.integration.postgres_rig import url
from tests.waiting import auntil

__all__ = ["url"]

POLL = timedelta(milliseconds=500)
#: What a machine that tests may be late itself.
MARGIN = timedelta(seconds=5)
EACH = 15
ALONE = Roles(dispatcher=False)


@pytest.mark.servers
async def test_what_reaches_a_worker_without_its_handler_waits_for_the_next_look_of_one_that_has_it(
    url: str, valkey_url: str
) -> None:
    """There is no dispatcher, so nobody announces anything again: looking is all there is."""
    settings: dict[str, Any] = {
        "redis_url": f"{valkey_url.rpartition('/')[0]}/7",  # a database of its own: the streams' names are fixed
        "postgres_pooled": True,
        "poll_ms": POLL // timedelta(milliseconds=1),
    }
    asks = Mainspring(url, **settings)
    workers = [Mainspring(url, **settings) for _ in range(2)]
    for name, app in zip("ab", workers, strict=True):
        app.handler(name)(_does_nothing)
    store = await asks.open()

    async def ended() -> list[Execution]:
        found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=100)))
        return found if [e.status for e in found] == [Status.SUCCESS] * 2 * EACH else []

    try:
        async with asyncio.timeout(100), workers[0].running(ALONE), workers[1].running(ALONE):
            for name in "ab" * EACH:  # each entry of the streams may reach either
                await asks.scheduler().enqueue([EnqueueRequest(name)])
            found = await auntil("all have run", ended)
    finally:
        await asks.close()
    waited = max(e.started_at - e.queued_at for e in found if e.started_at is not None and e.queued_at is not None)
    assert waited <= POLL + MARGIN


async def _does_nothing() -> None: ...
