"""The API mounted in somebody else's application, which runs our lifespan or none at all."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
from fastapi import FastAPI

from mainspring import Mainspring

JOBS = "/mainspring/api/v1/platforms/default/jobs"


def application(tmp_path: Path) -> Mainspring:
    ms = Mainspring(tmp_path / "jobs.db", poll_ms=100)

    @ms.cron("0 9 * * *")
    async def report() -> int:
        return 1

    return ms


@contextlib.asynccontextmanager
async def client(web: FastAPI, address: str = "127.0.0.1") -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a web application whose lifespan runs, as a server runs it."""
    async with web.router.lifespan_context(web):
        transport = httpx2.ASGITransport(app=web, client=(address, 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as found:
            yield found


async def test_with_our_lifespan_engine_and_api_share_one_application(tmp_path: Path) -> None:
    ms = application(tmp_path)
    web = FastAPI(lifespan=ms.lifespan)
    web.mount("/mainspring", ms.asgi())
    for _ in range(2):  # a server may start and stop more than once in a process
        async with client(web) as ask:
            listed = await ask.get(JOBS)
            assert [one["name"] for one in listed.json()["data"]] == ["report"], listed.text
            triggered = await ask.post(f"{JOBS}/report:trigger")
            assert triggered.status_code < 300, triggered.text
        assert not ms.is_open


async def test_without_a_lifespan_the_first_request_opens_the_database(tmp_path: Path) -> None:
    async with application(tmp_path).running():
        pass  # registers the job, as the engine does that runs elsewhere
    ms = application(tmp_path)
    web = FastAPI()
    web.mount("/mainspring", ms.asgi())
    states = [ms.is_open]
    async with client(web) as ask:
        assert (await ask.get(JOBS)).status_code == 200
        states.append(ms.is_open)
    await ms.close()
    assert [*states, ms.is_open] == [False, True, False]


async def test_without_a_key_a_mounted_api_answers_this_machine_alone(tmp_path: Path) -> None:
    ms = application(tmp_path)
    web = FastAPI(lifespan=ms.lifespan)
    web.mount("/mainspring", ms.asgi())
    async with client(web, address="203.0.113.7") as ask:
        assert (await ask.get(JOBS)).status_code == 401
