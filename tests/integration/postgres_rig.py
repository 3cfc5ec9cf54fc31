"""A migrated database of one's own on PostgreSQL, and a store over it. Import the fixtures ``url`` and ``store``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest

from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from tests import servers

#: The database with the tables of today on each server, to be copied: migrating takes longer. Gone with its server.
_templates: dict[str, str] = {}


@contextlib.contextmanager
def migrated(server: str) -> Iterator[str]:
    """Make a database on a server, with the tables of today; it goes with the block."""
    with servers.new_database(server, like=_template(server)) as url:
        yield url


def _template(server: str) -> str:
    if server not in _templates:
        url = servers.make_database(server)
        asyncio.run(PostgresStore(url, random=Random(1)).migrate())
        _templates[server] = url
    return _templates[server]


@pytest.fixture
def url(postgres18_url: str) -> Iterator[str]:
    with migrated(postgres18_url) as url:
        yield url


@contextlib.asynccontextmanager
async def of_one_connection(url: str) -> AsyncIterator[PostgresStore]:
    """Open a store of one connection: all is said on one that is known, with what was prepared in it."""
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url, random=Random(1))
    await store.open()
    yield store
    await store.close()
