"""Who may do what, generated from the route table: a route that is added is tested, or a test fails."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring import Mainspring
from mainspring.api.guard import ANY, PUBLIC, GuardedRoute
from mainspring.model.access import ROLES, Role
from tests.integration.api.conftest import Api, serving
from tests.integration.api.seeds import ASKS, HARMLESS, STREAMING, Ask, Seed, body_of, filled, seeded


def table() -> list[Any]:
    """Every route there is."""
    from mainspring.api import create_app

    return list(guarded(create_app(Mainspring("sqlite:///none.db")).routes))


def guarded(routes: Any) -> Iterator[Any]:
    for route in routes:
        if isinstance(route, GuardedRoute):
            yield route
        else:
            inner = getattr(getattr(route, "original_router", None), "routes", None)
            assert inner is not None, f"a route without a guard: {route}"
            yield from guarded(inner)


ROUTES: dict[str, Any] = {route.operation_id: route for route in table()}
KEYED = [name for name, route in ROUTES.items() if route.scope != PUBLIC]
ON_PLATFORM = [name for name in KEYED if "{platform_id}" in ROUTES[name].path]
WRITING = [name for name in ON_PLATFORM if "GET" not in ROUTES[name].methods and name not in HARMLESS]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seed, Seed]:
    """A database with two platforms, one of everything on each, to be copied."""
    path = tmp_path_factory.mktemp("seeded") / "api.db"

    async def seed() -> tuple[Seed, Seed]:
        app = Mainspring(f"sqlite:///{path}")
        try:
            return await seeded(app, "acme"), await seeded(app, "beta")
        finally:
            await app.close()

    return (path, *asyncio.run(seed()))


@pytest.fixture
async def two(tmp_path: Path, template: tuple[Path, Seed, Seed]) -> AsyncIterator[tuple[Api, Seed, Seed]]:
    """A server on a copy of it."""
    path, acme, beta = template
    shutil.copy(path, tmp_path / "api.db")
    async with serving(Mainspring(f"sqlite:///{tmp_path}/api.db")) as api:
        yield api, acme, beta


async def ask(api: Api, name: str, seed: Seed, key: str | None, *, platform_id: str | None = None, **more: Any) -> Any:
    route, example = ROUTES[name], ASKS[name]
    (method,) = route.methods
    body = body_of(example, seed)
    options: dict[str, Any] = {"json": body} if body is not None else {}
    url = filled(route.path, example, seed, platform_id=platform_id)
    return await api.call(
        method, url, key=key, params=dict(example.query), headers=dict(example.headers), **options, **more
    )


def test_every_route_has_a_request_that_works_and_a_scope() -> None:
    assert set(ROUTES) == set(ASKS)
    assert {name for name, route in ROUTES.items() if route.scope == PUBLIC} == {"live", "ready", "receive_callback"}
    assert [name for name in WRITING if ROUTES[name].scope == ANY] == []
    reading = [name for name in ON_PLATFORM if ROUTES[name].scope.endswith((":write", ":run", ":create"))]
    assert [name for name in reading if "GET" in ROUTES[name].methods] == ["get_callback"]


async def test_without_a_key_only_probes_and_signed_callbacks_answer(two: tuple[Api, Seed, Seed]) -> None:
    api, acme, _ = two
    for name in KEYED:
        answer = await ask(api, name, acme, None)
        assert (name, answer.status_code) == (name, 401)
        assert acme.marker not in answer.json()["detail"]
        api.asgi.state.guard._rates._buckets.clear()
    assert (await api.get("/livez")).status_code == 200
    assert (await api.get("/readyz")).status_code == 200
    assert (await ask(api, "receive_callback", acme, None)).status_code == 401


async def test_no_variant_of_a_path_gets_around_the_key(two: tuple[Api, Seed, Seed]) -> None:
    api, acme, _ = two
    inner = "/api/v1/platforms/acme/jobs"
    variants = [
        f"{inner}/", f"/{inner}", f"{inner}/livez", f"{inner}/../../../../livez/../api/v1/platforms/acme/jobs",
        f"/livez/..{inner}", f"/livez{inner}", f"/livez%2f..{inner}", f"{inner}%2e", f"{inner};/livez",
        f"{inner}?x=/livez", "/API/V1/platforms/acme/jobs", f"/readyz/%2e%2e{inner}", "/docs", "/redoc",
        "/openapi.json", "/api/v1/openapi.json",
    ]  # fmt: skip
    for path in variants:
        answer = await api.get(path)
        assert answer.status_code in (401, 404, 405, 429), (path, answer.status_code)
        assert acme.marker not in answer.text
        api.asgi.state.guard._rates._buckets.clear()


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_do_what_the_matrix_says_and_nothing_else(two: tuple[Api, Seed, Seed], role: Role) -> None:
    api, acme, _ = two
    key = await api.key(role, "acme")
    for name in KEYED:
        scope = ROUTES[name].scope
        allowed = scope == ANY or scope in ROLES[role]
        if allowed and (name in STREAMING or name in WRITING):
            continue  # what may be done is done in the tests below
        answer = await ask(api, name, acme, key)
        if name == "create_platform":
            allowed = False  # of every platform only
        assert (name, answer.status_code == 403) == (name, not allowed), answer.text
        if not allowed:
            assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("name", [name for name in ON_PLATFORM if name not in STREAMING])
async def test_a_foreign_platform_and_an_unknown_one_look_the_same(two: tuple[Api, Seed, Seed], name: str) -> None:
    api, acme, beta = two
    key = await api.key("admin", "beta")
    foreign = await ask(api, name, acme, key)
    unknown = await ask(api, name, acme, key, platform_id="nowhere")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    told = [json.loads(answer.text.replace("nowhere", "acme")) for answer in (foreign, unknown)]
    for one in told:
        del one["request_id"]
    assert told[0] == told[1]
    assert acme.marker not in foreign.text.replace(filled(ROUTES[name].path, ASKS[name], acme), "")
    assert beta.marker not in foreign.text


@pytest.mark.parametrize(
    "name", [name for name in ON_PLATFORM if any(not which.startswith("=") for which in ASKS[name].path.values())]
)
async def test_an_object_of_another_platform_is_not_found_on_ones_own(two: tuple[Api, Seed, Seed], name: str) -> None:
    if name in ("put_job", "put_calendar"):
        pytest.skip("names what is to be made")
    api, acme, beta = two
    key = await api.key("admin", "beta")
    before = await everything(api, acme)
    answer = await ask(api, name, acme, key, platform_id="beta")
    assert answer.status_code == 404, answer.text
    assert await everything(api, acme) == before
    assert (await ask(api, name, beta, key)).status_code < 400


async def test_lists_streams_and_figures_show_ones_own_platform_alone(two: tuple[Api, Seed, Seed]) -> None:
    api, acme, beta = two
    key = await api.key("admin", "beta")
    for name in ON_PLATFORM:
        if "GET" not in ROUTES[name].methods or name in STREAMING:
            continue
        answer = await ask(api, name, beta, key)
        assert answer.status_code == 200, (name, answer.text)
        assert acme.marker not in answer.text, name


@pytest.mark.parametrize("name", WRITING)
async def test_what_changes_something_is_written_down_and_undone_by_a_dry_run(
    two: tuple[Api, Seed, Seed], name: str
) -> None:
    api, acme, _ = two
    key = await api.key("admin", "acme")
    before = await everything(api, acme)
    asked = ASKS[name]
    dry = Ask(asked.path, asked.body, {**asked.query, "dry_run": "true"}, asked.headers)
    (method,) = ROUTES[name].methods
    body = body_of(dry, acme)
    tried = await api.call(
        method,
        filled(ROUTES[name].path, dry, acme),
        key=key,
        params=dict(dry.query),
        headers=dict(dry.headers),
        **({"json": body} if body is not None else {}),
    )
    assert (tried.status_code, tried.headers.get("x-dry-run")) in ((200, "true"), (204, "true")), tried.text
    assert await everything(api, acme) == before
    done = await ask(api, name, acme, key)
    assert done.status_code in (200, 201, 202, 204), done.text
    trail = (await api.get("/api/v1/platforms/acme/audit", key=key, params={"filter": 'actor ^= "key:"'})).json()
    assert len(trail["data"]) == 1, name
    assert trail["data"][0]["via"] == "api"


async def test_what_a_body_names_of_another_platform_is_not_found_and_not_touched(two: tuple[Api, Seed, Seed]) -> None:
    api, acme, _ = two
    key = await api.key("admin", "beta")
    before = await everything(api, acme)
    ids = acme.ids
    bulk = {
        "executions:bulk": [("cancel", [ids["live"], ids["waiting"]]), ("retry", [ids["ended"]])],
        "dead-letters:bulk": [("redrive", [ids["dead"]]), ("discard", [ids["dead2"]])],
        "jobs:bulk": [(one, [ids["job"], ids["paused_job"]]) for one in ("pause", "resume", "trigger", "archive")],
    }
    base = "/api/v1/platforms/beta"
    for path, actions in bulk.items():
        for action, named in actions:
            params = {"reason": "why"} if action in ("cancel", "discard", "pause") else {}
            body = {"action": action, "ids": named, "params": params}
            operation = (await api.post(f"{base}/{path}", body, key=key)).json()
            assert (operation["done"], operation["failed"]) == (0, len(named)), (path, action)
            assert {error["code"] for error in operation["errors"]} == {"not_found"}
    event = {"type": "order.paid"}
    tried = await api.post(f"{base}/events:test", {"event": event, "job": ids["job"]}, key=key)
    assert tried.status_code == 404
    owned = await api.post(
        f"{base}/jobs", {"name": "x", "type": "manual", "handler": "h", "platform_id": "acme"}, key=key
    )
    assert (owned.status_code, owned.json()["code"]) == (400, "unknown_field")
    after = await everything(api, acme)
    for table in ("jobs", "job_revisions", "executions", "attempts", "dead_letters", "decisions", "outbox"):
        assert after[table] == before[table], table


async def test_a_platform_is_made_once_and_not_by_a_dry_run(tmp_path: Path) -> None:
    async with serving(Mainspring(f"sqlite:///{tmp_path}/p.db")) as api:
        tried = await api.call("POST", "/api/v1/platforms", json={"id": "fresh"}, params={"dry_run": "true"})
        assert (tried.status_code, tried.headers["x-dry-run"]) == (200, "true")
        assert (await api.get("/api/v1/platforms/fresh")).status_code == 404
        again = {"Idempotency-Key": "once"}
        made = [await api.post("/api/v1/platforms", {"id": "fresh"}, headers=again) for _ in range(2)]
        assert [answer.status_code for answer in made] == [201, 201]
        assert made[1].headers["idempotency-replayed"] == "true"
        other = await api.post("/api/v1/platforms", {"id": "fresh", "timezone": "Asia/Tokyo"}, headers=again)
        assert other.json()["code"] == "idempotency_key_reused"
        trail = (await api.get("/api/v1/platforms/fresh/audit")).json()["data"]
        assert [(entry["action"], entry["target"]) for entry in trail] == [("platform.create", "fresh")]


async def everything(api: Api, seed: Seed) -> Any:
    """All rows of every table, but for what time alone changes."""
    import sqlite3

    path = api.app.settings.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    connection.close()
    rows["api_keys"] = [row[:10] for row in rows["api_keys"]]
    return rows


async def test_reading_changes_nothing(two: tuple[Api, Seed, Seed]) -> None:
    api, acme, _ = two
    key = await api.key("admin", "acme")
    before = await everything(api, acme)
    for name in ON_PLATFORM:
        if "GET" in ROUTES[name].methods and name not in STREAMING:
            assert (await ask(api, name, acme, key)).status_code == 200
    assert await everything(api, acme) == before
