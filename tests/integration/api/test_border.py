"""What comes in is strict and bounded, what goes out is guarded; keys, rates and the absence of keys."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring import Mainspring
from mainspring.api import ApiSettings
from mainspring.api.guard import GuardSettings
from mainspring.api.problems import ApiError
from mainspring.api.rates import Rate
from mainspring.api.strict import read_json
from tests.integration.api.conftest import Api, serving

HOSTILE = {
    "a key twice": '{"name": "a", "name": "b"}',
    "not a number": '{"n": NaN}',
    "infinity": '{"n": -Infinity}',
    "a huge float": '{"n": 1e999}',
    "a huge integer": '{"n": 123456789012345678901234567890}',
    "a very huge integer": '{"n": ' + "9" * 100_000 + "}",
    "too deep": "[" * 65 + "]" * 65,
    "a depth bomb": "[" * 500_000,
    "half a surrogate": '{"n": "\\ud800"}',
    "a null character": '{"n": "a\\u0000b"}',
    "no JSON": "{'a': 1}",
    "nothing": "",
    "a comment": "{} // x",
    "two values": "{} {}",
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_anything_but_strict_json_is_refused(api: Api, what: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await api.call("POST", "jobs", content=HOSTILE[what], headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json"), answer.text
    answer = await api.call("POST", "jobs", content=b'{"n": "\xff"}', headers=headers)
    assert answer.status_code == 400


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_every_strict_value_comes_through_as_it_is(value: Any) -> None:
    import json

    assert read_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_no_bytes_do_anything_but_come_through_or_be_refused(body: bytes) -> None:
    try:
        read_json(body)
    except ApiError as error:
        assert (error.status, error.code) == (400, "malformed_json")


async def test_a_large_body_and_another_type_are_refused(api: Api) -> None:
    headers = {"content-type": "application/json"}
    answer = await api.call("POST", "jobs", content=b" " * (1024 * 1024 + 1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")

    async def slowly() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    answer = await api.call("POST", "jobs", content=slowly(), headers=headers)
    assert answer.status_code == 413
    answer = await api.call("POST", "jobs", content=b"{}", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_every_answer_is_guarded_and_numbered(api: Api) -> None:
    for answer in (
        await api.get("/livez"),
        await api.get("jobs"),
        await api.get("/nothing"),
        await api.get("jobs?x=1"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 32
    odd = await api.get("jobs", headers={"X-Request-Id": "a b\tc"})
    assert odd.headers["x-request-id"] != "a b\tc"


async def test_a_defect_shows_an_id_and_nothing_of_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("password=hunter2 in /etc/secret")

    monkeypatch.setattr(type(api.app.store), "read", broken)
    answer = await api.get("jobs/nightly")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    assert "/etc" not in answer.text


async def test_another_sites_page_may_change_nothing(api: Api) -> None:
    await api.job()
    answer = await api.post("jobs/nightly:trigger", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert (await api.post("jobs/nightly:trigger", headers={"Origin": "http://127.0.0.1:8700"})).status_code == 201
    assert (await api.call("OPTIONS", "jobs", headers={"Origin": "https://evil.example"})).status_code == 405


async def test_without_a_key_only_this_machine_itself_is_admin(tmp_path: Path) -> None:
    app = Mainspring(f"sqlite:///{tmp_path}/a.db")
    async with serving(app, address="10.0.0.9") as api:
        assert (await api.get("jobs")).status_code == 401
    async with serving(app) as api:
        assert (await api.get("jobs")).status_code == 200
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-For": "10.0.0.9"}, {"Forwarded": "for=10.0.0.9"}):
            assert (await api.get("jobs", headers=headers)).status_code == 401
        await api.key("viewer")
        assert (await api.get("jobs")).status_code == 401


async def test_a_key_is_shown_once_stored_as_a_hash_and_refused_when_over(api: Api) -> None:
    admin = await api.key("admin")
    made = (await api.post("keys", {"role": "editor", "name": "ci", "scopes": ["jobs:read"]}, key=admin)).json()
    assert made["scopes"] == ["jobs:read"]
    secret = made["secret"]
    assert secret.startswith("msk_")
    assert secret not in (await api.get("keys", key=admin)).text + (await api.get("audit", key=admin)).text
    stored = await api.app.store.read(lambda tx: tx.admin.key(made["id"]))
    assert secret.split("_", 2)[2] not in str(stored)
    assert (await api.get("jobs", key=secret)).status_code == 200
    assert (await api.get("executions", key=secret)).status_code == 403
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    assert (await api.get("jobs", key=wrong)).json()["code"] == "unauthorized"
    rotated = (await api.post(f"keys/{made['id']}:rotate", {"overlap_ms": 3_600_000}, key=admin)).json()
    assert [(await api.get("jobs", key=one)).status_code for one in (secret, rotated["secret"])] == [200, 200]
    again = (await api.post(f"keys/{made['id']}:rotate", {"overlap_ms": 0}, key=admin)).json()
    assert [(await api.get("jobs", key=one)).status_code for one in (rotated["secret"], again["secret"])] == [401, 200]
    assert (await api.call("DELETE", f"keys/{made['id']}", key=admin)).json()["revoked_at"] is not None
    assert (await api.get("jobs", key=again["secret"])).status_code == 401
    kept = await api.post("keys", {"role": "viewer"}, key=admin, headers={"Idempotency-Key": "k"})
    assert (kept.status_code, kept.json()["code"]) == (400, "idempotency_not_supported")


async def test_a_key_expires_and_tells_when_it_was_used(api: Api) -> None:
    admin = await api.key("admin")
    now = await api.app.store.read(lambda tx: tx.now)
    soon = (now + timedelta(hours=1)).isoformat()
    made = (await api.post("keys", {"role": "viewer", "expires_at": soon}, key=admin)).json()
    assert (await api.get("jobs", key=made["secret"])).status_code == 200
    shown = (await api.get(f"keys/{made['id']}", key=admin)).json()
    assert shown["last_used_at"] is not None
    stored = await api.app.store.read(lambda tx: tx.admin.key(made["id"]))
    assert stored is not None
    over = dataclasses.replace(stored, expires_at=now)
    await api.app.store.write(lambda tx: tx.admin.put_key(over))
    api.asgi.state.guard.forget()
    assert (await api.get("jobs", key=made["secret"])).status_code == 401


async def test_no_key_makes_one_that_may_do_more_or_go_elsewhere(api: Api) -> None:
    narrow = await api.key("admin", scopes=["keys:admin", "jobs:read"])
    refused = await api.post("keys", {"role": "admin"}, key=narrow)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    admin = await api.key("admin")
    assert (await api.post("keys", {"role": "viewer", "all_platforms": True}, key=admin)).status_code == 403
    assert (await api.post("/api/v1/platforms", {"id": "other"}, key=admin)).status_code == 403
    everywhere = await api.key("admin", all_platforms=True)
    made = await api.post("keys", {"role": "viewer", "all_platforms": True}, key=everywhere)
    assert (made.status_code, made.json()["platform_id"]) == (201, "*")
    assert (await api.post("/api/v1/platforms", {"id": "other"}, key=everywhere)).status_code == 201
    assert (await api.call("DELETE", f"keys/{made.json()['id']}", key=admin)).status_code == 404
    assert (await api.get("/api/v1/platforms/other/jobs", key=made.json()["secret"])).status_code == 200


async def test_self_is_the_keys_own_platform(api: Api) -> None:
    key = await api.key("viewer", "acme")
    assert (await api.get("/api/v1/platforms/self", key=key)).json()["id"] == "acme"
    assert [p["id"] for p in (await api.get("/api/v1/platforms", key=key)).json()["data"]] == ["acme"]


async def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    guard = GuardSettings(per_key=Rate(1, 3), per_stranger=Rate(1, 2))
    async with serving(Mainspring(f"sqlite:///{tmp_path}/a.db"), settings=ApiSettings(guard=guard)) as api:
        key, other = await api.key("viewer"), await api.key("viewer")
        codes = [(await api.get("jobs", key=key)).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        answer = await api.get("jobs", key=key)
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["retryable"] is True
        assert (await api.get("jobs", key=other)).status_code == 200
        codes = [(await api.get("jobs", key="msk_wrong")).status_code for _ in range(3)]
        assert codes == [401, 401, 429]


async def test_a_platform_uses_up_its_own_rate_whatever_keys_ask(tmp_path: Path) -> None:
    guard = GuardSettings(per_platform=Rate(0.001, 3))
    async with serving(Mainspring(f"sqlite:///{tmp_path}/a.db"), settings=ApiSettings(guard=guard)) as api:
        keys = [await api.key("viewer", "acme") for _ in range(4)]
        codes = [(await api.get("/api/v1/platforms/self/jobs", key=key)).status_code for key in keys]
        assert codes == [200, 200, 200, 429]
        other = await api.key("viewer", "beta")
        assert (await api.get("/api/v1/platforms/self/jobs", key=other)).status_code == 200


async def test_a_key_counts_nowhere_but_in_authorization_as_a_bearer(api: Api) -> None:
    key = await api.key("viewer")
    assert (await api.get("jobs", key=key)).status_code == 200
    for headers in ({"Cookie": f"key={key}"}, {"X-Api-Key": key}, {"Authorization": f"Basic {key}"}):
        assert (await api.get("jobs", headers=headers)).status_code == 401
    for parameter in ("key", "api_key", "access_token", "authorization"):
        assert (await api.get("jobs", params={parameter: key})).status_code == 401


@pytest.mark.parametrize("value", ["' OR 1=1 --", "'; DROP TABLE jobs; --", "\\'", "%' OR '1'='1", "1) UNION SELECT 1"])
async def test_no_parameter_becomes_sql(api: Api, value: str) -> None:
    await api.job()
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for text in (f"name = {quoted}", f"name ~ {quoted}", f"labels.a = {quoted}", f"name IN ({quoted})"):
        assert (await api.get("jobs", params={"filter": text})).json()["data"] == []
    for parameter in ("sort", "fields", "page_token"):
        assert (await api.get("jobs", params={parameter: value})).status_code in (400, 422)
    assert (await api.get(f"jobs/{value.replace('/', '')}")).status_code == 404
    assert len((await api.get("jobs")).json()["data"]) == 1


async def test_an_address_that_is_not_utf_8_or_too_long_is_refused(api: Api) -> None:
    for path in ("jobs?filter=%ff", "jobs?filter=%ed%a0%80", "jobs/%c3%28", "jobs/" + "a" * 5_000):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "validation"), path
        assert len(answer.content) < 6_000
    assert (await api.get("jobs?filter=owner%20=%20%C3%BC")).status_code == 200


async def test_a_parameter_given_twice_is_refused(api: Api) -> None:
    answer = await api.get("jobs?filter=name=a&filter=name=b")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/filter")


async def test_an_instant_of_long_ago_is_shown_with_all_its_digits(api: Api) -> None:
    made = await api.post("executions", {"handler": "h", "run_at": "0008-07-14T12:00:00Z"})
    assert made.json()["scheduled_at"] == "0008-07-14T12:00:00.000000Z"
