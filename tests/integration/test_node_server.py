"""The metrics and probes of a worker and dispatcher, asked over HTTP while they run."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mainspring import Mainspring
from mainspring.app.node import Node
from mainspring.app.wiring import Roles
from mainspring.control.keys import KeyService
from mainspring.errors import SettingsError
from mainspring.model.metrics import METRICS
from mainspring.settings import load_settings
from tests.waiting import auntil, until


class Asked:
    def __init__(self, status: int, kind: str, body: bytes) -> None:
        self.status, self.kind, self.body = status, kind, body.decode()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    ms = Mainspring(tmp_path / "jobs.db", metrics_listen="127.0.0.1:0", poll_ms=50)

    @ms.handler()
    async def work(n: int) -> int:
        return n

    @ms.handler()
    async def block(seconds: float) -> None:
        time.sleep(seconds)

    found = Node(ms, Roles())
    await found.start()
    for n in range(3):
        _ = await work.aenqueue(n)
    ms.block = block  # type: ignore[attr-defined]
    try:
        yield found
    finally:
        await found.stop()


async def ask(node: Node, path: str, key: str | None = None) -> Asked:
    return await asyncio.to_thread(_ask, f"http://127.0.0.1:{node.metrics_port}{path}", key)


def _ask(url: str, key: str | None) -> Asked:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return Asked(answer.status, answer.headers["Content-Type"], answer.read())
    except urllib.error.HTTPError as error:
        return Asked(error.code, error.headers["Content-Type"], error.read())


async def samples(node: Node) -> dict[str, float]:
    answer = await ask(node, "/metrics")
    assert answer.status == 200
    found = {}
    for family in text_string_to_metric_families(answer.body):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_a_node_tells_what_it_and_the_fleet_did(node: Node) -> None:
    finished = "mainspring_executions_finished_total{handler=work,outcome=success,queue=default}"

    async def told() -> dict[str, float]:
        found = await samples(node)
        return found if found.get(finished) == 3 and found["mainspring_attempts_settled_total"] == 3 else {}

    found = await auntil("all three are counted", told)
    assert found["mainspring_executions_claimed_total"] == 3
    assert found["mainspring_attempts_settled_total"] == 3
    assert found["mainspring_worker_slots{state=busy}"] == 0
    assert found["mainspring_fleet_figures_up"] == 1
    assert found["mainspring_dispatchers{status=running}"] == 1
    assert found["mainspring_db_connections{state=busy}"] >= 0
    names = {name.partition("{")[0] for name in found}
    bases = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in names}
    assert bases <= METRICS.keys()


async def test_probes_tell_that_it_lives_and_is_ready(node: Node) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        answer = await ask(node, path)
        assert (answer.status, answer.kind) == (200, "application/health+json"), path
        assert json.loads(answer.body)["status"] == "pass"
    health = json.loads((await ask(node, "/healthz")).body)
    assert health["checks"]["scheduler:decisionLag"][0]["observedUnit"] == "s"
    assert (await ask(node, "/etc/passwd")).status == 404


async def test_a_loop_that_a_handler_blocks_does_not_live(node: Node, caplog) -> None:
    # Asked in a thread of its own, as the loop will not turn; from before, as the handler begins before we hear of it.
    asked = asyncio.get_running_loop().run_in_executor(None, _until_dead, node.metrics_port)
    await node._app.block.aenqueue(4.0)  # type: ignore[attr-defined]
    assert await asked == 503, "asked while it was blocked"
    assert (await ask(node, "/livez")).status == 200, "and lives again when it turns again"
    assert "has blocked the event loop" in caplog.text, "although the thread that sees to it was at rest"


def _until_dead(port: int | None) -> int:
    answers = lambda: _ask(f"http://127.0.0.1:{port}/livez", None).status  # noqa: E731
    return until("it does not live", lambda: (found := answers()) != 200 and found)


async def test_once_a_key_exists_metrics_need_one_and_probes_do_not(node: Node) -> None:
    service = KeyService(node._app.store, platform_id="default", actor="test")
    made = await service.create(role="viewer")
    for path in ("/metrics", "/healthz"):
        assert (await ask(node, path)).status == 401
        assert (await ask(node, path, "msk_wrong")).status == 401
        assert (await ask(node, path, made.text)).status == 200
    assert (await ask(node, "/livez")).status == (await ask(node, "/readyz")).status == 200


async def test_an_address_that_is_taken_is_told_as_the_setting(node: Node, tmp_path: Path) -> None:
    other = Node(Mainspring(tmp_path / "other.db", metrics_listen=f"{node.metrics_port}"), Roles())
    with pytest.raises(SettingsError, match=r"metrics_listen: cannot listen on 127\.0\.0\.1"):
        await other.start()
    await other.stop()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="metrics_listen: 'here' is no address"):
        load_settings(environ={}, metrics_listen="here")
