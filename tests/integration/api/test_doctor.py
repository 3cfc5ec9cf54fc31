"""The checks over the API: a platform's own for everybody, those of what the whole fleet shares for its host alone."""

from __future__ import annotations

from typing import Any

import psycopg

from mainspring import Mainspring
from mainspring.model.node import WorkerNode
from tests.integration.api.conftest import Api, serving
from tests.waiting import auntil

SHARED = {"transactions", "dead_rows", "transport"}


async def checks(api: Api, key: str | None = None, **query: Any) -> dict[str, dict[str, Any]]:
    """Return the findings by check."""
    answer = await api.get("doctor", key=key, params=query)
    assert answer.status_code == 200, answer.text
    return {one["check"]: one for one in answer.json()["findings"]}


async def test_a_platform_is_told_nothing_of_what_the_whole_fleet_shares(api: Api) -> None:
    postgres = api.app.settings.database_url.startswith("postgresql")
    shared = SHARED if postgres else {"transport"}
    assert SHARED & (await checks(api)).keys() == shared, "whoever asks from the machine itself, before there is a key"
    theirs, hosts = await api.key("admin"), await api.key("viewer", all_platforms=True)
    platform, host = await checks(api, theirs), await checks(api, hosts)
    assert not SHARED & platform.keys()
    assert host.keys() - platform.keys() == shared
    assert host["transport"]["detail"] == "the database wakes the workers itself"


async def test_a_platform_is_not_told_what_is_queued_on_another(api: Api) -> None:
    """It was, in an embedded file: handlers and queues of others that nobody alive has."""
    mine, other = await api.key("admin"), await api.key("admin", all_platforms=True)
    await api.call("POST", "/api/v1/platforms", key=other, json={"id": "acme"})
    body = {"handler": "secret-handler", "queue": "secret-queue"}
    made = await api.call("POST", "/api/v1/platforms/acme/executions", key=other, json=body)
    assert made.status_code == 201, made.text
    worker = WorkerNode(
        "w-1", "host", 1, *2 * (await api.app.store.read(lambda tx: tx.now),), "0", {"default": 1}, ("a",)
    )
    await api.app.store.write(lambda tx: tx.nodes.put_worker(worker))
    for path in ("doctor", "overview", "queues"):
        told = await api.get(path, key=mine)
        assert told.status_code == 200
        assert "secret" not in told.text, path
    theirs = await api.get("/api/v1/platforms/acme/doctor", key=other)
    assert "secret-handler" in theirs.text
    assert "secret-queue" in theirs.text


async def test_a_transaction_somebody_forgot_is_named_to_the_host_alone(postgres_database: str) -> None:
    async with serving(Mainspring(postgres_database)) as api:
        await _forgotten(api)


async def _forgotten(api: Api) -> None:
    url = api.app.settings.database_url
    theirs, hosts = await api.key("admin"), await api.key("admin", all_platforms=True)
    with psycopg.connect(url, application_name="forgotten") as foreign:
        foreign.execute("SELECT 1")

        async def seen() -> Any:
            found = (await checks(api, hosts, transactions_older_than_ms=100))["transactions"]
            return found if "forgotten" in found["detail"] else None

        warned = await auntil("the host is warned", seen)
        assert (warned["status"], warned["evidence"]["older_than_s"]) == ("warning", 0.1)
        assert f"SELECT pg_terminate_backend({foreign.info.backend_pid})" in warned["fix"]
        assert "forgotten" not in (await api.get("doctor", key=theirs)).text
        patient = (await checks(api, hosts, transactions_older_than_ms=7_200_000))["transactions"]
        assert "forgotten" not in patient["detail"]
    refused = await api.get("doctor", key=hosts, params={"transactions_older_than_ms": 0})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation")


async def test_the_host_is_told_how_the_streams_stand(postgres_database: str, valkey_url: str) -> None:
    async with serving(Mainspring(postgres_database, redis_url=valkey_url)) as api:
        found = (await checks(api, await api.key("admin", all_platforms=True)))["transport"]
        assert (found["status"], found["evidence"]["kind"]) == ("ok", "redis")
    away = "redis://127.0.0.1:1/0"
    async with serving(Mainspring(postgres_database, redis_url=away)) as api:
        found = (await checks(api, await api.key("admin", all_platforms=True)))["transport"]
        assert (found["status"], found["evidence"]["reachable"]) == ("warning", False)
