"""A whole Mainspring in a thread of this process: engine and server on one database, asked over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainspring import Context, Mainspring
from mainspring.api.server import ServerSettings, serve


@dataclass(frozen=True)
class Live:
    """Where its API is, and its database: a URL, or the path of a SQLite file."""

    url: str
    database: str


@contextlib.contextmanager
def live(database: str | Path) -> Iterator[Live]:
    """Run it on a SQLite file, or a migrated PostgreSQL, while the block runs."""
    told: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()
    running = threading.Thread(target=lambda: asyncio.run(_run(database, told)), name="live", daemon=True)
    running.start()
    url, loop, stop = told.get(timeout=60)
    try:
        yield Live(url, str(database))
    finally:
        loop.call_soon_threadsafe(stop.set)
        running.join(60)
        assert not running.is_alive()


async def _run(database: str | Path, told: queue.Queue[Any]) -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with make_app(database).running():
        server = Mainspring(database)
        serving = asyncio.create_task(serve(server, ServerSettings(port=0), started=started))
        told.put((await started, asyncio.get_running_loop(), stop))
        await stop.wait()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def make_app(database: str | Path) -> Mainspring:
    """Return an application with a handler for each way to end."""
    app = Mainspring(database)

    @app.handler(name="add")
    async def add(ctx: Context, a: int = 0, b: int = 0, password: str = "") -> int:
        ctx.log.info("adding", a=a, b=b)
        ctx.log.info("added")
        return a + b

    @app.handler(name="fail", retry=0)
    async def fail() -> None:
        raise ValueError("no such customer")

    @app.handler(name="wait")
    async def wait(ctx: Context) -> None:
        ctx.log.info("waiting")
        await asyncio.sleep(600)

    return app
