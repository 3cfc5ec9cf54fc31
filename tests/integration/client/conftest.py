"""One server for a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from mainspring.client import AsyncClient, Client
from tests.live import Live, live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("live") / "jobs.db") as running:
        yield running


@pytest.fixture
def client(server: Live) -> Iterator[Client]:
    with Client(server.url) as made:
        yield made


@pytest.fixture
async def aclient(server: Live) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as made:
        yield made
