"""Executions, dead letters, events, bulk operations and callbacks over the API."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from mainspring import Mainspring
from mainspring.api import ApiSettings
from mainspring.api.guard import GuardSettings
from mainspring.api.rates import Rate
from mainspring.control.operation_steps import run_step
from mainspring.moves.jobs import pause_job
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from tests.integration.api.conftest import Api, serving
from tests.integration.api.seeds import Seed, seeded
from tests.waiting import PATIENCE


@pytest.fixture
async def seed(api: Api) -> Seed:
    """One of everything on the default platform, but no key."""
    return await seeded(api.app, "default", with_key=False)


async def finished(api: Api, operation: dict[str, Any]) -> dict[str, Any]:
    """Return an operation once it has ended, doing its steps here as well."""
    while operation["status"] == "running":
        await run_step(api.app.store, api.app.schedules)
        operation = (await api.get(f"operations/{operation['id']}")).json()
    return operation


async def test_an_execution_is_enqueued_cancelled_and_run_again(api: Api) -> None:
    made = await api.post("executions", {"handler": "reports", "payload": {"n": 1}, "queue": "slow", "priority": 9})
    assert (made.status_code, made.json()["cause"], made.json()["queue"]) == (201, "enqueue", "slow")
    ref = f"executions/{made.json()['id']}"
    cancelled = await api.post(f"{ref}:cancel", {"reason": "no need"})
    assert (cancelled.json()["status"], cancelled.json()["cancel_reason"]) == ("cancelled", "no need")
    again = await api.post(f"{ref}:retry")
    assert (again.status_code, again.json()["retry_of"]) == (201, made.json()["id"])
    shown = (await api.get(ref)).json()
    assert (shown["payload"], shown["attempts"], shown["decision"]) == ({"n": 1}, [], None)
    assert (await api.get(f"{ref}/explain")).json()["verdict"] == "did_not_run"
    assert (await api.post(f"{ref}:cancel")).status_code == 200  # is cancelled already
    assert (await api.get("executions/nothing")).json()["code"] == "not_found"


async def test_a_wait_is_answered_when_the_execution_ends_and_not_before(api: Api) -> None:
    made = (await api.post("executions", {"handler": "reports"})).json()["id"]
    began = asyncio.get_running_loop().time()
    still = await api.get(f"executions/{made}:wait", params={"timeout_ms": 50})
    assert (still.status_code, still.json()["status"]) == (200, "queued")
    waits = [asyncio.create_task(api.get(f"executions/{made}:wait", params={"timeout_ms": 60_000})) for _ in range(3)]
    streams = api.asgi.state.streams
    while len(streams._listeners) < 3:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    other = (await api.post("executions", {"handler": "reports"})).json()["id"]
    await api.post(f"executions/{other}:cancel")
    await api.post(f"executions/{made}:cancel")
    answers = await asyncio.gather(*waits)
    assert [answer.json()["status"] for answer in answers] == ["cancelled"] * 3
    assert asyncio.get_running_loop().time() - began < 30, "told, and not when the time was up"
    at_once = await api.get(f"executions/{made}:wait")
    assert at_once.json()["finished_at"] == answers[0].json()["finished_at"]
    assert streams._open == {}
    assert (await api.get(f"executions/{made}:wait", params={"timeout_ms": 60_001})).status_code == 422
    assert (await api.get("executions/nothing:wait")).status_code == 404


async def test_a_wait_is_answered_when_the_server_stops(api: Api) -> None:
    made = (await api.post("executions", {"handler": "reports"})).json()["id"]
    wait = asyncio.create_task(api.get(f"executions/{made}:wait", params={"timeout_ms": 60_000}))
    while not api.asgi.state.streams._listeners:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    await api.asgi.state.streams.close()
    assert (await wait).json()["status"] == "queued"


async def test_a_batch_is_all_or_nothing(api: Api) -> None:
    many = {"executions": [{"handler": "reports"}] * 3}
    assert len((await api.post("executions:batch", many)).json()["data"]) == 3
    await api.call("PUT", "limits/platform", json={"max_running": 0, "max_pending": 2})
    refused = await api.post("executions:batch", many)
    assert (refused.status_code, refused.json()["code"]) == (422, "limit")
    assert len((await api.get("executions")).json()["data"]) == 3


async def test_lists_leave_payloads_out_unless_asked(api: Api) -> None:
    await api.post("executions", {"handler": "reports", "payload": {"n": 1}})
    plain = (await api.get("executions")).json()["data"][0]
    full = (await api.get("executions", params={"include": "payload"})).json()["data"][0]
    assert (plain["payload"], full["payload"]) == (None, {"n": 1})


async def test_who_may_not_see_payloads_does_not(api: Api) -> None:
    await api.job(payload={"region": "tr"})
    run = (await api.post("jobs/nightly:trigger")).json()["id"]
    viewer, operator, editor = [await api.key(role) for role in ("viewer", "operator", "editor")]
    for key, seen in ((viewer, None), (operator, None), (editor, {"region": "tr"})):
        assert (await api.get("jobs/nightly", key=key)).json()["payload"] == seen
        assert (await api.get(f"executions/{run}", key=key)).json()["payload"] == seen


async def test_a_filter_tells_nothing_of_payloads_to_who_may_not_see_them(api: Api) -> None:
    await api.job(payload={"region": "tr", "password": "hunter2"})
    await api.post("jobs/nightly:trigger")
    viewer, editor = [await api.key(role) for role in ("viewer", "editor")]
    asked = {"filter": "payload.region ^= t AND created_at >= -1h", "allow_scan": "true"}
    for place in ("executions", "jobs/nightly/executions"):
        assert len((await api.get(place, key=editor, params=asked)).json()["data"]) == 1
        refused = await api.get(place, key=viewer, params=asked)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    secret = {**asked, "filter": "created_at >= -1h AND NOT payload.password ^= h"}
    guessed = await api.get("executions", key=editor, params=secret)
    assert (guessed.status_code, guessed.json()["code"]) == (400, "filter")


async def test_operations_and_the_audit_trail_show_payloads_to_who_may_see_them(api: Api) -> None:
    await api.job(payload={"region": "tr"})
    own = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z", "payload": {"region": "tr"}}
    done = (await api.post("jobs/nightly:backfill", own)).json()
    assert done["params"]["payload"] == {"region": "tr"}
    viewer, editor, auditor = await api.key("viewer"), await api.key("editor"), await api.key(scopes=["audit:read"])
    for place in (f"operations/{done['id']}", "operations"):
        assert '{"region":"tr"}' in (await api.get(place, key=editor)).text
        assert '"tr"' not in (await api.get(place, key=viewer)).text
    made = (await api.get("audit", key=auditor, params={"filter": "action = job.create"})).json()["data"][0]
    assert (made["after"]["name"], made["after"]["payload"]) == ("nightly", None)


async def test_what_a_list_can_not_include_is_refused(api: Api) -> None:
    answer = await api.get("executions", params={"include": "payload,attempts"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/include")
    assert (await api.get("executions", params={"include": "payload"})).status_code == 200


async def test_an_operator_may_run_what_is_defined_and_define_nothing(api: Api) -> None:
    await api.job(overlap="allow_all")
    run = (await api.post("jobs/nightly:trigger")).json()["id"]
    operator = await api.key("operator")
    assert (await api.post("jobs/nightly:trigger", key=operator)).status_code == 201
    await api.post(f"executions/{run}:cancel", key=operator)
    own = {"payload": {"cmd": "rm"}}
    hours = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    refused = [
        await api.post("jobs/nightly:trigger", own, key=operator),
        await api.post("jobs/nightly:backfill", {**own, **hours}, key=operator),
        await api.post(f"executions/{run}:retry", own, key=operator),
        await api.post("executions", {"handler": "other"}, key=operator),
        await api.call("PATCH", "jobs/nightly", json={"handler": "other"}, key=operator),
        await api.post("jobs/nightly:revert", {"revision": 1}, key=operator),
        await api.post("jobs:bulk", {"action": "archive", "filter": "name = nightly"}, key=operator),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "forbidden")] * 7
    assert (await api.post(f"executions/{run}:retry", key=operator)).status_code == 201


async def test_dead_letters_are_grouped_redriven_and_discarded(api: Api, seed: Seed) -> None:
    groups = (await api.get("dead-letters/groups")).json()
    assert [(group["count"], group["handler"]) for group in groups["data"]] == [(2, f"{seed.marker}:run")]
    letter = f"dead-letters/{seed.ids['dead']}"
    again = await api.post(f"{letter}:redrive")
    assert (again.status_code, again.json()["retry_of"]) == (201, seed.ids["dead"])
    assert (await api.get(letter)).json()["redriven_as"] == again.json()["id"]
    assert (await api.post(f"{letter}:redrive")).status_code == 409
    gone = await api.post(f"dead-letters/{seed.ids['dead2']}:discard", {"reason": "known"})
    assert (gone.status_code, gone.content) == (204, b"")
    open_ones = await api.get("dead-letters", params={"filter": "status = open"})
    assert open_ones.json()["data"] == []


async def test_a_bulk_action_does_all_that_matched_and_tells_what_failed(api: Api) -> None:
    for number in range(5):
        await api.post("executions", {"handler": "reports", "payload": {"n": number}})
    ids = [one["id"] for one in (await api.get("executions")).json()["data"]]
    stale = await api.post(
        "executions:bulk",
        {"action": "cancel", "filter": "handler = reports", "params": {"reason": "x"}, "expected_count": 50},
    )
    assert stale.status_code == 409
    body = {"action": "cancel", "filter": "handler = reports", "params": {"reason": "x"}, "expected_count": 5}
    dry = await api.post("executions:bulk?dry_run=true", body)
    assert (dry.json()["total"], dry.json()["done"]) == ({"value": 5, "relation": "eq"}, 5)
    done = (await api.post("executions:bulk", {**body, "per_second": 2})).json()
    assert (done["status"], done["done"]) == ("running", 2)
    assert (await finished(api, done))["done"] == 5
    named = (await api.post("executions:bulk", {"action": "retry", "ids": [*ids, "nothing"]})).json()
    told = await finished(api, named)
    assert (told["done"], told["failed"], told["errors"][0]["id"]) == (5, 1, "nothing")


async def test_an_operation_is_paused_resumed_and_cancelled(api: Api, seed: Seed) -> None:
    ref = f"operations/{seed.ids['operation_id']}"
    assert (await api.post(f"{ref}:pause")).json()["status"] == "paused"
    assert (await api.post(f"{ref}:resume")).json()["status"] == "running"
    ended = (await api.post(f"{ref}:cancel")).json()
    assert ended["status"] in ("cancelled", "finished")
    listed = (await api.get("operations")).json()["data"]
    assert seed.ids["operation_id"] in [one["id"] for one in listed]


async def test_an_event_is_accepted_once_and_runs_what_it_matches(api: Api) -> None:
    await api.job("on_paid", type="event", schedule={"events": ["order.*"], "filter": {"data": {"total": [5]}}})
    event = {"type": "order.paid", "id": "e-1", "source": "shop", "data": {"total": 5}, "specversion": "1.0"}
    first = await api.post("events", event)
    assert (first.status_code, len(first.json()["executions"])) == (201, 1)
    second = await api.post("events", event)
    assert (second.status_code, second.json()["duplicate"], second.json()["executions"]) == (200, True, [])
    shown = (await api.get("events/e-1", params={"source": "shop"})).json()
    assert shown["data"] == {"total": 5}
    tried = (await api.post("events:test", {"event": {**event, "data": {"total": 6}}, "job": "on_paid"})).json()
    assert (tried["matches"], tried["path"] is not None) == (False, True)
    tried = (await api.post("events:test", {"event": event, "schedule": {"events": ["order.paid"]}})).json()
    assert tried["matches"]


async def test_what_an_admin_sets_holds(api: Api) -> None:
    limit = await api.call("PUT", "limits/queue/reports", json={"max_running": 2})
    assert (limit.status_code, limit.json()["max_running"]) == (200, 2)
    calendar = await api.call("PUT", "calendars/tr", json={"dates": {"2026-04-23": "a holiday"}})
    assert calendar.json() == {"name": "tr", "dates": ["2026-04-23"]}
    assert (await api.call("PUT", "calendars/tr", json={"dates": {"2026-02-30": ""}})).status_code == 422
    assert (await api.get("calendars/tr")).json()["dates"] == ["2026-04-23"]
    zone = await api.call("PATCH", "/api/v1/platforms/default", json={"timezone": "Europe/Istanbul"})
    assert zone.json()["timezone"] == "Europe/Istanbul"
    assert (await api.get("usage")).json()["jobs"] == 0


async def test_a_calendar_goes_when_no_job_names_it(api: Api) -> None:
    await api.call("PUT", "calendars/tr", json={"dates": {"2026-04-23": "a holiday"}})
    await api.job(schedule={"cron": "0 9 * * *", "calendars": {"exclude": ["tr"]}})
    used = await api.call("DELETE", "calendars/tr")
    assert (used.status_code, used.json()["code"]) == (409, "conflict")
    assert "'nightly'" in used.json()["detail"]
    assert (await api.get("calendars/tr")).json()["dates"] == ["2026-04-23"]
    await api.call("DELETE", "jobs/nightly")
    assert (await api.call("DELETE", "calendars/tr")).status_code == 204
    assert (await api.get("calendars")).json()["data"] == []
    assert (await api.call("DELETE", "calendars/tr")).status_code == 404


# -- callbacks ---------------------------------------------------------------------------------------------------


async def signed(api: Api, target: dict[str, Any], body: Any, *, id: str = "msg_1", skew: int = 0) -> httpx2.Response:
    """Send a callback, signed by an independent implementation."""
    now = await api.app.store.read(lambda tx: tx.now)
    text = json.dumps(body)
    stamp = int(now.timestamp()) + skew
    key = base64.b64decode(target["secret"].removeprefix("whsec_"))
    signature = base64.b64encode(hmac.new(key, f"{id}.{stamp}.{text}".encode(), hashlib.sha256).digest()).decode()
    if not skew:
        moment = now.replace(microsecond=0)
        assert Webhook(target["secret"]).sign(id, moment, text) == f"v1,{signature}"
    headers = {
        "webhook-id": id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": f"v1,{signature}",
        "content-type": "application/json",
    }
    return await api.call("POST", httpx2.URL(target["url"]).path, content=text, headers=headers)


async def test_a_signed_callback_ends_the_execution_that_waits(api: Api, seed: Seed) -> None:
    target = (await api.get(f"executions/{seed.ids['waiting']}/callback")).json()
    done = await signed(api, target, {"status": "success", "result": {"rows": 3}})
    assert (done.status_code, done.json()["status"]) == (200, "success")
    repeated = await signed(api, target, {"status": "failed"})
    assert (repeated.status_code, repeated.json()["status"]) == (200, "success")
    shown = (await api.get(f"executions/{seed.ids['waiting']}")).json()
    assert shown["result"] == {"rows": 3}


async def test_a_callback_of_another_execution_an_altered_or_a_late_one_is_refused(api: Api, seed: Seed) -> None:
    target = (await api.get(f"executions/{seed.ids['waiting']}/callback")).json()
    elsewhere = {**target, "url": target["url"].replace(seed.ids["waiting"], seed.ids["live"])}
    refused = [
        await signed(api, elsewhere, {"status": "success"}),
        await signed(api, target, {"status": "success"}, skew=-400),
        await signed(api, {**target, "secret": "whsec_" + base64.b64encode(b"x" * 32).decode()}, {"status": "success"}),
        await api.call("POST", httpx2.URL(target["url"]).path, json={"status": "success"}),
    ]
    assert [answer.status_code for answer in refused] == [401] * 4
    assert (await api.get(f"executions/{seed.ids['waiting']}")).json()["status"] == "waiting"


async def test_callbacks_nobody_signed_are_counted_and_write_nothing(tmp_path: Path) -> None:
    strict = ApiSettings(guard=GuardSettings(per_stranger=Rate(0.001, 3)))
    async with serving(Mainspring(f"sqlite:///{tmp_path}/c.db"), settings=strict) as api:
        made = (await api.post("executions", {"handler": "h"})).json()["id"]
        with contextlib.closing(sqlite3.connect(tmp_path / "c.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")  # whoever wants to write has to wait, and is refused in the end
            told = [await api.post(f"executions/{made}:callback", {"status": "success"}) for _ in range(5)]
            writer.execute("ROLLBACK")
        assert [answer.status_code for answer in told] == [401, 401, 401, 429, 429]


# -- streams -----------------------------------------------------------------------------------------------------


async def frames(api: Api, path: str, wanted: int, **headers: str) -> list[dict[str, str]]:
    """Return the first events of a stream, asked for below HTTP so that they come one by one."""
    found: list[dict[str, str]] = []
    buffer = b""
    enough = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal buffer
        buffer += message.get("body", b"")
        while b"\n\n" in buffer:
            text, buffer = buffer.split(b"\n\n", 1)
            found.append(dict(line.split(": ", 1) for line in text.decode().split("\n") if not line.startswith(":")))
        if len(found) >= wanted:
            enough.set()

    url, _, query = path.partition("?")
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": f"/api/v1/platforms/default/{url}",
        "raw_path": b"", "query_string": query.encode(), "root_path": "", "scheme": "http", "asgi": {"version": "3.0"},
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8700),
        "headers": [(b"host", b"127.0.0.1:8700"), *given],
    }  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        await api.asgi(scope, receive, send)
    return found


async def test_a_stream_tells_what_happens_and_goes_on_where_it_was_left(api: Api) -> None:
    await api.job("first")
    following = asyncio.create_task(frames(api, "stream?topics=jobs", 3))
    while not api.asgi.state.streams._seen:  # noqa: ASYNC110 - it tells nobody when it has looked the first time
        await asyncio.sleep(0.01)
    await api.post("executions", {"handler": "reports"})  # of no topic asked for
    await api.post("jobs/first:pause", {"reason": "x"})
    await api.post("jobs/first:resume")
    told = await following
    assert [one["event"] for one in told] == ["hello", "scheduler:job.paused", "scheduler:job.resumed"]
    after = await frames(api, "stream?topics=jobs", 2, last_event_id=told[1]["id"])
    assert "scheduler:job.resumed" in [one["event"] for one in after]


async def test_who_comes_back_after_what_is_gone_is_told_of_the_gap(api: Api) -> None:
    await api.job("first")
    unknown = "019ca8a0-3e80-7d8e-91b7-584a2265b1f5"
    told = await frames(api, "stream?topics=jobs", 3, last_event_id=unknown)
    assert [one["event"] for one in told] == ["hello", "gap", "scheduler:job.created"]


async def test_more_at_once_than_can_be_read_is_told_as_a_gap(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainspring.api.streams.READ", 2)
    monkeypatch.setattr("mainspring.api.streams.READS", 2)
    for number in range(9):
        await api.job(f"job-{number}")
    following = asyncio.create_task(frames(api, "stream?topics=jobs", 6))
    while not api.asgi.state.streams._seen:  # noqa: ASYNC110 - it tells nobody when it has looked the first time
        await asyncio.sleep(0.01)

    def pause_all(tx: Tx) -> None:
        for number in range(9):
            pause_job(tx, Schedules(), "default", f"job-{number}", reason="x")

    await api.app.store.write(pause_all)
    told = [one["event"] for one in await following]
    assert told == ["hello", *["scheduler:job.paused"] * 4, "gap"]


async def test_a_log_is_streamed_by_line_and_ends_with_its_execution(api: Api, seed: Seed) -> None:
    from tests.contracts.store_rows import lines

    execution = await api.app.store.read(lambda tx: tx.executions.get(seed.ids["dead"]))
    assert execution is not None
    await api.app.store.write(
        lambda tx: tx.logs.append(execution.id, lines(execution, "one", "two", "three"), fence=None, cap=100)
    )
    told = await frames(api, f"executions/{execution.id}/logs:stream", 4)
    assert [(one["event"], one.get("id")) for one in told] == [
        ("line", "1"),
        ("line", "2"),
        ("line", "3"),
        ("end", None),
    ]
    rest = await frames(api, f"executions/{execution.id}/logs:stream", 2, last_event_id="2")
    assert [one.get("id") for one in rest] == ["3", None]
    page = (await api.get(f"executions/{execution.id}/logs", params={"after": 1, "limit": 1})).json()
    assert ([line["message"] for line in page["lines"]], page["last"], page["ended"]) == (["two"], 2, False)


async def test_the_overview_is_streamed(api: Api) -> None:
    (told,) = await frames(api, "overview:stream", 1)
    assert told["event"] == "overview"
    assert json.loads(told["data"])["checks"]
