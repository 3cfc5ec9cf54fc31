"""Webhooks over the API: told of once, changed, tried, delivered, and delivered again; their secrets sealed at rest."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from mainspring import Mainspring
from mainspring.adapters.sealing import AesSealer, read_keys
from mainspring.control.sealing import reseal
from mainspring.errors import SealedError, SettingsError
from mainspring.ports.sealing import Unsealed
from tests.integration.api.conftest import Api, serving
from tests.integration.local_servers import Asked, HttpServer
from tests.integration.local_servers import serving as receiving
from tests.waiting import auntil

KEY_1 = "k1:" + base64.b64encode(b"1" * 32).decode()
KEY_2 = "k2:" + base64.b64encode(b"2" * 32).decode()


def verified(asked: Asked, secret: str) -> Any:
    return Verifier(secret).verify(asked.body, asked.headers)


async def test_a_webhook_is_made_changed_disabled_enabled_and_deleted(api: Api) -> None:
    made = await api.post("webhooks", {"url": "https://hooks.example.com/a", "events": ["order.*"]})
    assert (made.status_code, made.json()["secret"][:6], made.json()["enabled"]) == (201, "whsec_", True)
    ref = f"webhooks/{made.json()['id']}"
    listed = (await api.get("webhooks")).json()["data"]
    assert [hook["id"] for hook in listed] == [made.json()["id"]]
    assert made.json()["secret"] not in (await api.get(ref)).text
    changed = (await api.call("PATCH", ref, json={"events": ["**"], "description": "all"})).json()
    assert (changed["url"], changed["events"], changed["description"]) == ("https://hooks.example.com/a", ["**"], "all")
    off = (await api.post(f"{ref}:disable", {"reason": "they move"})).json()
    assert (off["enabled"], off["disabled_reason"]) == (False, "they move")
    on = (await api.post(f"{ref}:enable", {"url": "https://hooks.example.com/b"})).json()
    assert (on["enabled"], on["url"]) == (True, "https://hooks.example.com/b")
    assert (await api.call("DELETE", ref)).status_code == 204
    assert (await api.get(ref)).json()["code"] == "not_found"
    trail = (await api.get("audit", params={"sort": "created_at"})).json()["data"]
    assert [entry["action"] for entry in trail] == [
        "webhook.create", "webhook.update", "webhook.disable", "webhook.enable", "webhook.delete",
    ]  # fmt: skip
    assert made.json()["secret"] not in json.dumps(trail)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.com"}, "/url"),
        ({"url": "https://me:secret@example.com/"}, "/url"),
        ({"url": "https://example.com/", "events": []}, "/events"),
        ({"url": "https://example.com/", "events": ["**.a"]}, "/events"),
        ({"url": "https://example.com/", "secret": "guess me"}, "/secret"),
        ({"url": "https://example.com/", "secrets": []}, "/secrets"),
    ],
)
async def test_what_is_no_webhook_is_refused_by_name(api: Api, body: Any, field: str) -> None:
    answer = await api.post("webhooks", body)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["pointer"].startswith(field)


async def test_an_answer_with_a_secret_is_not_kept_for_a_repeat(api: Api) -> None:
    key = {"Idempotency-Key": "once"}
    answer = await api.post("webhooks", {"url": "https://example.com/"}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_not_supported")


async def test_a_test_post_is_signed_and_its_answer_told(database_url: str) -> None:
    receiver = HttpServer()
    async with (
        receiving(receiver.talk) as port,
        serving(Mainspring(database_url, webhook_allow=f"127.0.0.1/32:{port}", secret_keys=KEY_1)) as api,
    ):
        made = (await api.post("webhooks", {"url": f"http://127.0.0.1:{port}/"})).json()
        tried = await api.post(f"webhooks/{made['id']}:test")
        assert (tried.status_code, tried.json()["reception"]) == (200, "delivered")
        (asked,) = receiver.asked
        assert verified(asked, made["secret"])["type"] == "scheduler:webhook.test"
        dry = await api.post(f"webhooks/{made['id']}:test", params={"dry_run": "true"})
        assert dry.headers["x-dry-run"] == "true"
        assert len(receiver.asked) == 1
        rotated = (await api.post(f"webhooks/{made['id']}:rotate", {"overlap_ms": 60_000})).json()
        assert [one["until"] is None for one in rotated["secrets"]] == [True, False]
        await api.post(f"webhooks/{made['id']}:test")
        for secret in (made["secret"], rotated["secret"]):
            verified(receiver.asked[-1], secret)
    async with serving(Mainspring(database_url, secret_keys=KEY_1)) as api:
        refused = (await api.post(f"webhooks/{made['id']}:test")).json()
        assert refused["reception"] == "forbidden", "no private target without an allowance"


async def test_deliveries_are_listed_and_an_ended_one_is_delivered_again_under_the_same_id(database_url: str) -> None:
    receiver = HttpServer()
    async with receiving(receiver.talk) as port:
        ms = Mainspring(database_url, webhook_allow=f"127.0.0.1/32:{port}", poll_ms=100)
        async with ms.running(), serving(ms) as api:
            made = (await api.post("webhooks", {"url": f"http://127.0.0.1:{port}/"})).json()
            run = (await api.post("executions", {"handler": "nobody"})).json()["id"]
            await api.post(f"executions/{run}:cancel")
            ref = f"webhooks/{made['id']}/deliveries"
            (first,) = await delivered(api, ref, 1)
            assert (first["event_type"], first["attempts"]) == ("scheduler:execution.cancelled", 1)
            body = json.loads((await api.get(f"{ref}/{first['id']}")).json()["body"])
            assert body["subject"] == run
            again = await api.post(f"{ref}/{first['id']}:redeliver")
            assert (again.status_code, again.json()["event_id"]) == (201, first["event_id"])
            await delivered(api, ref, 2)
            ids = [asked.headers["webhook-id"] for asked in receiver.asked]
            assert ids == [first["event_id"]] * 2
            page = (await api.get(ref, params={"page_size": 1, "filter": "state = delivered"})).json()
            assert page["data"][0]["id"] == again.json()["id"]
            rest = (
                await api.get(
                    ref, params={"page_size": 1, "filter": "state = delivered", "page_token": page["next_page_token"]}
                )
            ).json()
            assert [one["id"] for one in rest["data"]] == [first["id"]]


async def delivered(api: Api, ref: str, count: int) -> list[dict[str, Any]]:
    """Return deliveries once so many have arrived."""

    async def found() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = (await api.get(ref, params={"filter": "state = delivered"})).json()["data"]
        return told if len(told) >= count else []

    return await auntil(f"{count} delivered", found)


async def test_what_is_still_owed_is_not_owed_twice(api: Api) -> None:
    from tests.integration.api.seeds import seeded

    seed = await seeded(api.app, "default", with_key=False)
    ref = f"webhooks/{seed.ids['webhook_id']}/deliveries"
    again = (await api.post(f"{ref}/{seed.ids['delivery_id']}:redeliver")).json()
    twice = await api.post(f"{ref}/{again['id']}:redeliver")
    assert (twice.status_code, twice.json()["code"]) == (409, "conflict")


async def test_secrets_are_sealed_at_rest_and_sealed_anew_when_a_key_is_put_in_front(database_url: str) -> None:
    async with serving(Mainspring(database_url)) as api:
        plain = (await api.post("webhooks", {"url": "https://example.com/a"})).json()
        old, new = AesSealer(read_keys(KEY_1)), AesSealer(read_keys(f"{KEY_2},{KEY_1}"))
        assert await stored(api, plain["id"]) == [plain["secret"]]
        assert await reseal(api.app.store, old) == 2  # the webhook's, and the one of callbacks
        assert await reseal(api.app.store, old) == 0
        (sealed,) = await stored(api, plain["id"])
        assert sealed.startswith("sealed:1:k1:")
        assert plain["secret"] not in sealed
        assert await reseal(api.app.store, new) == 2
        (again,) = await stored(api, plain["id"])
        assert AesSealer(read_keys(KEY_2)).open(again, "webhook") == plain["secret"]
        with pytest.raises(SealedError, match="key k2, which is not among secret_keys here"):
            old.open(again, "webhook")
        with pytest.raises(SealedError, match="not opened by key k2"):
            new.open(again, "callback")
        with pytest.raises(SealedError, match="no key"):
            Unsealed().open(again, "webhook")
        unreadable = await api.post(f"webhooks/{plain['id']}:test")
        assert unreadable.json()["reception"] == "retry"
        assert "no key" in unreadable.json()["detail"]


async def stored(api: Api, webhook_id: str) -> list[str]:
    hook = await api.app.store.read(lambda tx: tx.webhooks.get("default", webhook_id))
    assert hook is not None
    return [str(one["secret"]) for one in hook.secrets]


@pytest.mark.parametrize("keys", ["nope", "k1:nope", f"{KEY_1},{KEY_1}", "k1:" + base64.b64encode(b"short").decode()])
def test_keys_that_are_none_are_refused_without_repeating_them(keys: str) -> None:
    with pytest.raises(SettingsError, match="secret_keys") as refused:
        _ = Mainspring("sqlite:///none.db", secret_keys=keys).sealer
    assert keys.partition(":")[2] not in str(refused.value) or ":" not in keys
