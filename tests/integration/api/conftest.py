"""A server in this process, on each database; and keys for it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from mainspring import Mainspring
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.api import create_app
from mainspring.control.keys import KeyService
from tests import servers

BASE = "http://127.0.0.1:8700"


@dataclass
class Api:
    """A running server, and a client without a key."""

    app: Mainspring
    asgi: Any
    client: httpx2.AsyncClient

    async def call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx2.Response:
        """Ask; a path without a slash in front is below the default platform."""
        url = path if path.startswith("/") else f"/api/v1/platforms/default/{path}"
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return await self.client.request(method, url, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        return await self.call("POST", path, **({"json": body} if body is not None else {}), **options)

    async def key(self, role: str = "admin", platform: str = "default", **options: Any) -> str:
        """Make a key past the API, as the command line does."""
        await self.app.open()
        service = KeyService(self.app.store, platform_id=platform, actor="test")
        service.everywhere = True
        made = await service.create(role=role, **options)
        return made.text

    async def job(self, name: str = "nightly", *, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """Create a job and return it."""
        body = {"name": name, "type": "cron", "handler": "reports", "schedule": {"cron": "0 9 * * *"}, **fields}
        answer = await self.post("jobs", body, key=key)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


@contextlib.asynccontextmanager
async def serving(app: Mainspring, *, address: str = "127.0.0.1", **options: Any) -> AsyncIterator[Api]:
    """Serve an application in this process."""
    asgi = create_app(app, **options)
    async with asgi.router.lifespan_context(asgi):
        transport = httpx2.ASGITransport(app=asgi, client=(address, 4711), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Api(app, asgi, client)


@pytest.fixture(scope="module")
def postgres_database(postgres18_url: str) -> Iterator[str]:
    """The URL of a migrated database."""
    import asyncio

    with servers.new_database(postgres18_url) as url:
        asyncio.run(PostgresStore(url, random=Random(1)).migrate())
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/api.db"
    import psycopg

    from mainspring.adapters.sql.tables import metadata

    url: str = request.getfixturevalue("postgres_database")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(metadata.tables)}")
    return url


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """A server without any key, asked from its own machine."""
    async with serving(Mainspring(database_url)) as running:
        yield running


HOUR = timedelta(hours=1)
