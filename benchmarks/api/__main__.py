"""Measure the API: `python -m benchmarks.api` (about 15 minutes; `--jobs 1000 --executions 20000` takes two).

A PostgreSQL of its own is filled with jobs and a month of ended executions, `mainspring server` is started before it,
and clients ask: create, get, list (first page, one in the middle, by filter), trigger. No dispatcher runs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.api.clients import Ask, Client, Told, load
from benchmarks.api.fill import NAME, fill
from benchmarks.api.plans import Statement, recorded
from benchmarks.processes import cpu_seconds
from benchmarks.servers import Servers
from mainspring import Mainspring
from mainspring.api import create_app
from mainspring.control.keys import KeyService

P = "/api/v1/platforms/default"
#: A filter as wide as the history, so that a page in its middle is one of many thousands.
EVERYTHING = quote("created_at >= -40d")


def main(arguments: list[str] | None = None) -> int:
    """Fill, serve, ask, and print what came of it."""
    given = _parser().parse_args(arguments)
    with Servers() as servers, servers.empty(("postgres",)) as urls:
        figures = asyncio.run(_measure(given, urls["postgres"], servers))
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=2) + "\n")
    return 0


async def _measure(given: argparse.Namespace, url: str, servers: Servers) -> dict[str, Any]:
    ms = Mainspring(url)
    await fill(ms, given.jobs, given.executions, _say)
    keys = KeyService(ms.store, platform_id="default", actor="bench")
    texts = [(await keys.create(role="admin", name=f"client {n}")).text for n in range(given.clients)]
    ids = await _sample(ms)
    await ms.close()
    figures: dict[str, Any] = {"jobs": given.jobs, "executions": given.executions, "clients": given.clients}
    with _server(url) as (port, pid):
        clients = [Client(port, text) for text in texts]
        for client in clients:
            await client.open()
        work = await _work(clients[0], given.jobs, ids)
        postgres = servers.pids(("postgres",))
        figures["work"] = {}
        print(f"\n{'':28}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'API us':>8}{'PG us':>8}  refused")
        for name, make in work.items():
            await load(clients, make, min(2.0, given.seconds))  # what is read first is warm, as it is in use
            before, before_pg = cpu_seconds([pid]), cpu_seconds(postgres)
            told = await load(clients, make, given.seconds)
            spent, spent_pg = cpu_seconds([pid]) - before, cpu_seconds(postgres) - before_pg
            figures["work"][name] = _figures(told, spent, spent_pg)
            _show(name, figures["work"][name])
        for client in clients:
            await client.close()
    figures["plans"] = await _plans(url, work, texts[0])
    return figures


def _figures(told: Told, api: float, postgres: float) -> dict[str, Any]:
    each = len(told.each)
    return {
        "per_s": told.rate,
        "p50_ms": told.at(0.5),
        "p99_ms": told.at(0.99),
        "api_cpu_us": 1e6 * api / each,
        "postgres_cpu_us": 1e6 * postgres / each,
        "requests": each,
        "refused": told.refused,
    }


async def _sample(ms: Mainspring) -> list[str]:
    """Return ids of executions from all over the history."""
    from mainspring.model.nouns import Noun
    from mainspring.ports.search import Order, Search

    found = []
    for platform_order in (Order("id"), Order("id", descending=True)):
        search = Search(Noun.EXECUTIONS, "default", None, (platform_order,), limit=500)
        found += [one.id for one in await ms.store.read(lambda tx, search=search: tx.search.find(search))]  # type: ignore[misc]
    return found


async def _work(client: Client, jobs: int, ids: list[str]) -> dict[str, Callable[[], Ask]]:
    draw, numbers = random.Random(1), count()
    middle = await _deep(client, f"{P}/executions?filter={EVERYTHING}", ids)
    deep_jobs = await _walk(client, f"{P}/jobs?page_size=500", pages=max(1, min(100, jobs // 1000)))

    def job() -> str:
        number = draw.randrange(jobs)
        return f"{NAME}-{number}" if number else NAME

    def new_job() -> Any:
        schedule = {"cron": f"{draw.randrange(60)} 9 * * *"}
        return {"name": f"made-{next(numbers)}", "type": "cron", "handler": "bench:run", "schedule": schedule}

    return {
        "create a job": lambda: ("POST", f"{P}/jobs", new_job()),
        "get a job": lambda: ("GET", f"{P}/jobs/{job()}", None),
        "get an execution": lambda: ("GET", f"{P}/executions/{draw.choice(ids)}", None),
        "list jobs": lambda: ("GET", f"{P}/jobs", None),
        "list jobs, deep": lambda: ("GET", f"{P}/jobs?page_size=50&page_token={deep_jobs}", None),
        "list executions": lambda: ("GET", f"{P}/executions", None),
        "list executions, deep": lambda: ("GET", f"{P}/executions?filter={EVERYTHING}&page_token={middle}", None),
        "list executions, failed": lambda: ("GET", f"{P}/executions?filter={quote('status = failed')}", None),
        "list a job's executions": lambda: ("GET", f"{P}/jobs/{job()}/executions", None),
        "trigger a job": lambda: ("POST", f"{P}/jobs/{job()}:trigger", {}),
        "enqueue": lambda: ("POST", f"{P}/executions", {"handler": "bench:run", "payload": {"n": 1}}),
    }


async def _deep(client: Client, path: str, ids: list[str]) -> str:
    """Return the token of a page in the middle of the history: the one that walking there would give.

    It says after which row the page begins, and may name any.
    """
    (mark, backward, _) = _opened(await _walk(client, path, pages=1))
    first, last = min(ids), max(ids)
    between = (int(first.replace("-", "")[:12], 16) + int(last.replace("-", "")[:12], 16)) // 2
    digits = f"{between:012x}"
    return _closed([mark, backward, f"{digits[:8]}-{digits[8:]}-7fff-bfff-ffffffffffff"])


async def _walk(client: Client, path: str, *, pages: int) -> str:
    token = ""
    for _ in range(pages):
        status, body = await client.ask(("GET", f"{path}&page_token={token}" if token else path, None))
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        token = json.loads(body)["next_page_token"] or token
    return token


def _opened(token: str) -> list[Any]:
    found: list[Any] = json.loads(base64.urlsafe_b64decode(token + "=="))
    return found


def _closed(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


@contextmanager
def _server(url: str) -> Iterator[tuple[int, int]]:
    """Run `mainspring server`; give its port and process id."""
    words = [sys.executable, "-m", "mainspring", "server", "--port", "0", "--db", url, "--log-level", "warning"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"listening on \S+:(\d+)$", line):
                yield int(match[1]), process.pid
                return
        raise RuntimeError(f"the server ended with {process.wait()}")
    finally:
        process.terminate()
        process.wait(30)


async def _plans(url: str, work: dict[str, Callable[[], Ask]], key: str) -> dict[str, Any]:
    """Ask each once in this process, and say what PostgreSQL did for it."""
    import httpx2

    ms = Mainspring(url, postgres_pool=1)
    api = create_app(ms)
    found: dict[str, Any] = {}
    async with api.router.lifespan_context(api):
        transport = httpx2.ASGITransport(app=api, client=("127.0.0.1", 4711))
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            for name, make in work.items():
                for last in (False, True):  # the second time keys and plans are known, as they are in use
                    method, path, body = make()
                    with recorded() as statements:
                        answer = await client.request(method, path, json=body)
                        answer.raise_for_status()
                    if last:
                        found[name] = _told_of(name, statements)
    return found


def _told_of(name: str, statements: list[Statement]) -> dict[str, Any]:
    print(f"\n{name}: {len(statements)} statements")
    for one in statements:
        touched = f"{one.rows} rows, {one.pages} pages, {one.milliseconds:.2f} ms: " if one.nodes else ""
        print(f"  {touched}{'; '.join(one.nodes[:6]) or one.text[:110]}{' SCANS' if one.scans else ''}")
    return {
        "statements": len(statements),
        "reads": [
            {"rows": one.rows, "pages": one.pages, "ms": one.milliseconds, "nodes": one.nodes, "text": one.text[:500]}
            for one in statements
            if one.nodes
        ],
    }


def _show(name: str, figures: dict[str, Any]) -> None:
    print(
        f"{name:28}{figures['per_s']:8.0f}{figures['p50_ms']:8.2f}{figures['p99_ms']:8.2f}"
        f"{figures['api_cpu_us']:8.0f}{figures['postgres_cpu_us']:8.0f}  {figures['refused'] or ''}",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--executions", type=int, default=5_000_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="per kind of request")
    parser.add_argument("--json", help="write the figures there")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
