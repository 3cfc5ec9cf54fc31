"""How much a page costs: what it shows, wherever it lies. Filled and asked by the benchmark's own means."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from benchmarks.api.fill import NAME, fill
from benchmarks.api.plans import recorded
from mainspring import Mainspring
from mainspring.api import create_app
from tests import servers

P = "/api/v1/platforms/default"
JOBS, EXECUTIONS = 3_000, 6_000
#: Pages of 8 KiB that reading 50 rows may touch: their own, and the way to them in each partition's index.
PAGES = 150


@pytest.fixture(scope="module")
def url(postgres18_url: str) -> Iterator[str]:
    with servers.new_database(postgres18_url) as url:
        yield url


async def test_no_page_reads_more_than_it_shows_wherever_it_lies(url: str) -> None:
    ms = Mainspring(url, postgres_pool=1)
    await fill(ms, JOBS, EXECUTIONS, lambda _: None)
    api = create_app(ms)
    async with api.router.lifespan_context(api):
        transport = httpx2.ASGITransport(app=api, client=("127.0.0.1", 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
            deep = {path: await walked(client, path) for path in ("jobs", "executions", "executions?filter=id>0")}
            asks = [
                *(
                    (f"{path.partition('?')[0]}", {"page_token": token, **filter_of(path)})
                    for path, token in deep.items()
                ),
                ("jobs", {}),
                ("executions", {}),
                ("executions", {"filter": "status = failed"}),
                (f"jobs/{NAME}-7/executions", {}),
                (f"jobs/{NAME}-7", {}),
            ]
            for path, query in asks:
                with recorded() as statements:
                    answer = await client.get(f"{P}/{path}", params=query)
                assert answer.status_code == 200, answer.text
                for one in statements:
                    assert (path, query, one.pages, one.scans) == (path, query, min(one.pages, PAGES), False), one.nodes
    await ms.close()


def filter_of(path: str) -> dict[str, str]:
    name, _, value = path.partition("?")[2].partition("=")
    return {name: value} if name else {}


async def walked(client: httpx2.AsyncClient, path: str) -> str:
    """Return the token of a page about the middle."""
    token, pages = "", 3
    for _ in range(pages):
        query = {"page_size": "500", **filter_of(path), **({"page_token": token} if token else {})}
        answer = await client.get(f"{P}/{path.partition('?')[0]}", params=query)
        assert answer.status_code == 200, answer.text
        token = answer.json()["next_page_token"]
    return token
