"""Jobs over the API."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mainspring.model.execution import Actor
from mainspring.model.outcome import Succeeded
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from tests.integration.api.conftest import Api


async def test_a_job_is_created_shown_changed_and_archived(api: Api) -> None:
    made = await api.job(labels={"team": "growth"}, payload={"region": "tr"})
    assert (made["revision"], made["status"], made["payload"]) == (1, "active", {"region": "tr"})
    shown = await api.get("jobs/nightly")
    assert shown.headers["etag"] == '"r1"'
    assert shown.json()["id"] == made["id"]
    changed = await api.call("PATCH", "jobs/nightly", json={"priority": 8}, headers={"If-Match": '"r1"'})
    assert (changed.status_code, changed.json()["revision"], changed.json()["labels"]) == (200, 2, {"team": "growth"})
    stale = await api.call("PATCH", "jobs/nightly", json={"priority": 1}, headers={"If-Match": '"r1"'})
    assert (stale.status_code, stale.json()["code"], stale.json()["current_revision"]) == (412, "revision", 2)
    gone = await api.call("DELETE", "jobs/nightly")
    assert gone.json()["status"] == "archived"
    assert (await api.get("jobs")).json()["data"] == []
    listed = (await api.get("jobs", params={"filter": "status = archived"})).json()["data"]
    assert [job["name"] for job in listed] == ["nightly"]


async def test_what_the_caller_has_already_is_not_sent_again(api: Api) -> None:
    await api.job()
    for known in ('"r1"', '"r0", "r1"', 'W/"r1"', "*"):
        answer = await api.get("jobs/nightly", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert (await api.get("jobs/nightly", headers={"If-None-Match": '"r2"'})).status_code == 200


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("pause", {"reason": "x"}),
        ("resume", None),
        ("trigger", None),
        ("skip", {"reason": "x"}),
        ("backfill", {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}),
    ],
)
async def test_an_action_is_refused_where_the_job_is_no_longer_what_was_seen(api: Api, action: str, body: Any) -> None:
    await api.job()
    await api.call("PATCH", "jobs/nightly", json={"priority": 2})
    stale = await api.post(f"jobs/nightly:{action}", body, headers={"If-Match": '"r1"'})
    assert (stale.status_code, stale.json()["code"], stale.json()["current_revision"]) == (412, "revision", 2)
    for kind in ("executions", "operations", "jobs/nightly/occurrences"):
        assert (await api.get(kind)).json()["data"] == [], kind
    assert (await api.get("jobs/nightly")).json()["status"] == "active"
    done = await api.post(f"jobs/nightly:{action}", body, headers={"If-Match": '"r2"'})
    assert done.status_code in (200, 201, 202), done.text


async def test_put_creates_or_replaces_and_asks_which_revision(api: Api) -> None:
    body = {"name": "x", "type": "manual", "handler": "h", "priority": 9}
    assert (await api.call("PUT", "jobs/x", json=body)).status_code == 428
    made = await api.call("PUT", "jobs/x", json=body, headers={"If-Match": "*"})
    assert (made.status_code, made.json()["priority"]) == (201, 9)
    del body["priority"]
    replaced = await api.call("PUT", "jobs/x", json=body, headers={"If-Match": '"r1"'})
    assert (replaced.status_code, replaced.json()["priority"], replaced.json()["revision"]) == (200, 5, 2)


async def test_an_unknown_field_and_an_unknown_parameter_are_refused_by_name(api: Api) -> None:
    answer = await api.post("jobs", {"name": "x", "type": "manual", "handler": "h", "queu": "a"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert answer.json()["errors"][0]["pointer"] == "/queu"
    answer = await api.get("jobs", params={"filtr": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")


async def test_a_body_where_none_is_taken_is_refused(api: Api) -> None:
    await api.job()
    answer = await api.call("DELETE", "jobs/nightly", json={"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert (await api.get("jobs/nightly")).json()["status"] == "active"
    assert (await api.call("DELETE", "jobs/nightly", json={})).status_code == 200


async def test_a_bad_schedule_says_what_where_and_how_to_mend_it(api: Api) -> None:
    body = {"name": "x", "type": "cron", "handler": "h", "schedule": {"cron": "0 0 31 2 *"}}
    answer = await api.post("jobs", body)
    told = answer.json()
    assert (answer.status_code, told["code"], answer.headers["content-type"]) == (
        422,
        "schedule",
        "application/problem+json",
    )
    assert told["errors"][0]["pointer"].startswith("/")
    assert told["request_id"] == answer.headers["x-request-id"]


async def test_lists_are_filtered_sorted_paged_and_counted(api: Api) -> None:
    for number in range(7):
        await api.job(f"job-{number}", queue="even" if number % 2 == 0 else "odd")
    first = (
        await api.get("jobs", params={"filter": "queue = even", "sort": "-name", "page_size": 3, "count": "bounded"})
    ).json()
    assert [job["name"] for job in first["data"]] == ["job-6", "job-4", "job-2"]
    assert first["total"] == {"value": 4, "relation": "eq"}
    token = first["next_page_token"]
    second = (
        await api.get("jobs", params={"filter": "queue = even", "sort": "-name", "page_size": 3, "page_token": token})
    ).json()
    assert [job["name"] for job in second["data"]] == ["job-0"]
    assert second["next_page_token"] is None
    back = (
        await api.get(
            "jobs",
            params={
                "filter": "queue = even",
                "sort": "-name",
                "page_size": 3,
                "page_token": second["prev_page_token"],
            },
        )
    ).json()
    assert [job["name"] for job in back["data"]] == ["job-6", "job-4", "job-2"]
    other = await api.get("jobs", params={"filter": "queue = odd", "page_token": token})
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "/page_token")
    narrow = (await api.get("jobs", params={"fields": "name"})).json()["data"][0]
    assert set(narrow) == {"id", "name"}


async def test_a_filter_that_cannot_be_read_says_where(api: Api) -> None:
    answer = await api.get("jobs", params={"filter": "name = a OR name = b AND name = c"})
    assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_filter")
    answer = await api.get("jobs", params={"filter": "nam = a"})
    assert "Did you mean 'name'" in answer.json()["errors"][0]["hint"]
    answer = await api.get("executions", params={"filter": "payload.user = 1"})
    assert answer.json()["code"] == "filter_not_indexed"


async def test_pause_resume_trigger_and_explain(api: Api) -> None:
    await api.job()
    assert (await api.post("jobs/nightly:pause", {"reason": " "})).status_code == 422
    paused = await api.post("jobs/nightly:pause", {"reason": "deploy", "until": "2999-01-01T00:00:00Z"})
    assert (paused.json()["status"], paused.json()["status_reason"]) == ("paused", "deploy")
    assert (await api.post("jobs/nightly:resume")).json()["status"] == "active"
    run = await api.post("jobs/nightly:trigger")
    assert (run.status_code, run.json()["cause"]) == (201, "manual")
    again = await api.post("jobs/nightly:trigger")
    assert (again.status_code, again.json()["code"], again.json()["running"]) == (409, "overlap", run.json()["id"])
    explained = (await api.get("jobs/nightly/explain")).json()
    assert explained["checks"]
    listed = (await api.get("jobs/nightly/executions")).json()
    assert [one["id"] for one in listed["data"]] == [run.json()["id"]]
    assert "since" in listed["window"]


async def test_the_next_instant_can_be_skipped_once(api: Api) -> None:
    await api.job()
    runs = (await api.get("jobs/nightly/next", params={"count": 2})).json()["instants"]
    wrong = await api.post("jobs/nightly:skip", {"reason": "holiday", "occurrence": runs[1]["utc"]})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/occurrence")
    skipped = await api.post("jobs/nightly:skip", {"reason": "holiday", "occurrence": runs[0]["utc"]})
    assert (skipped.status_code, skipped.json()["decision"]) == (200, "skipped_paused")
    assert (await api.get("jobs/nightly")).json()["next_run_at"] == runs[1]["utc"]
    ledger = (await api.get("jobs/nightly/occurrences")).json()["data"]
    assert [row["reason"]["reason"] for row in ledger] == ["holiday"]


async def test_a_backfill_runs_what_was_never_decided_and_nothing_twice(api: Api) -> None:
    await api.job(schedule={"cron": "0 * * * *"})
    now = await api.app.store.read(lambda tx: tx.now)
    begin = (now - timedelta(days=365)).replace(hour=0, minute=30)  # the same hours whatever the time of day is
    body = {"from": begin.isoformat(), "to": (begin + timedelta(hours=3)).isoformat()}
    dry = await api.post("jobs/nightly:backfill?dry_run=true", body)
    assert dry.status_code == 200, dry.text
    assert dry.headers["x-dry-run"] == "true"
    assert (await api.get("jobs/nightly/occurrences")).json()["data"] == []
    done = await api.post("jobs/nightly:backfill", body)
    told = done.json()
    assert (done.status_code, told["status"], told["done"]) == (202, "finished", len(told["instants"]))
    assert [one["reason"] for one in told["instants"]] == ["not decided before"] * len(told["instants"])
    assert len(told["instants"]) == len(dry.json()["instants"]) == 3
    again = (await api.post("jobs/nightly:backfill", body)).json()
    assert not any(one["runs"] for one in again["instants"])
    ledger = (await api.get("jobs/nightly/occurrences", params={"filter": "decision = backfilled"})).json()["data"]
    assert len(ledger) == len(told["instants"])


async def test_a_dry_run_answers_as_if_and_changes_nothing(api: Api) -> None:
    body = {"name": "x", "type": "manual", "handler": "h"}
    answer = await api.post("jobs?dry_run=true", body)
    assert (answer.status_code, answer.json()["name"]) == (200, "x")
    assert (await api.get("jobs/x")).status_code == 404
    assert (await api.get("audit")).json()["data"] == []


async def test_a_repeat_with_the_same_key_gives_the_first_answer(api: Api) -> None:
    body = {"name": "x", "type": "manual", "handler": "h"}
    headers = {"Idempotency-Key": "k-1"}
    first = await api.post("jobs", body, headers=headers)
    again = await api.post("jobs", body, headers=headers)
    assert (again.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert again.headers["etag"] == first.headers["etag"]
    other = await api.post("jobs", {**body, "name": "y"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_fifty_equal_requests_at_once_make_one_execution(api: Api) -> None:
    await api.job(overlap="allow_all")
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(api.post("jobs/nightly:trigger", headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len((await api.get("executions")).json()["data"]) == 1


async def test_a_failed_request_keeps_its_key_free(api: Api) -> None:
    headers = {"Idempotency-Key": "k-2"}
    assert (await api.post("jobs/x:trigger", headers=headers)).status_code == 404
    await api.job("x")
    assert (await api.post("jobs/x:trigger", headers=headers)).status_code == 201


async def test_a_former_revision_holds_again(api: Api) -> None:
    await api.job(priority=3)
    await api.call("PATCH", "jobs/nightly", json={"priority": 8})
    reverted = await api.post("jobs/nightly:revert", {"revision": 1})
    assert (reverted.json()["priority"], reverted.json()["revision"]) == (3, 3)
    revisions = (await api.get("jobs/nightly/revisions")).json()["data"]
    assert [(row["revision"], row["definition"]["priority"]) for row in revisions] == [(3, 3), (2, 8), (1, 3)]
    page = (await api.get("jobs/nightly/revisions", params={"before": 3, "page_size": 1})).json()["data"]
    assert [row["revision"] for row in page] == [2]
    assert (await api.post("jobs/nightly:revert", {"revision": 9})).status_code == 404


def run_and_relay(tx: Tx) -> None:
    """Run what is queued, and do what follows from its end, as a worker and a dispatcher do."""
    claimed = claim(tx, "w", queues={"default": 9}, handlers=["reports"], limit=9, lease=timedelta(seconds=15))
    settle_attempts(tx, [Ended(execution, Succeeded()) for execution in claimed], Actor.WORKER)
    mark_published(tx, Schedules(), take_unpublished(tx))


async def test_stats_and_heatmap_count_what_ran(api: Api) -> None:
    await api.job()
    await api.post("jobs/nightly:trigger")
    await api.app.store.write(run_and_relay)
    stats = (await api.get("jobs/nightly/stats")).json()
    assert (stats["executions"], stats["outcomes"], stats["complete"]) == (1, {"success": 1}, True)
    assert stats["duration_ms"].keys() == {"p50", "p95", "p99"}
    cells = (await api.get("jobs/nightly/heatmap", params={"tz": "Europe/Istanbul"})).json()["cells"]
    assert sum(cell["count"] for cell in cells) == 1
    long = await api.get("jobs/nightly/heatmap", params={"from": "2001-01-01T00:00:00Z"})
    assert (long.status_code, long.json()["errors"][0]["pointer"]) == (422, "/from")


async def test_every_change_is_in_the_audit_trail(api: Api) -> None:
    await api.job(payload={"password": "hunter2", "region": "tr"})
    await api.call("PATCH", "jobs/nightly", json={"priority": 8})
    await api.post("jobs/nightly:trigger", headers={"X-Request-Id": "req-7"})
    entries = (await api.get("audit")).json()["data"]
    assert [one["action"] for one in entries] == ["job.trigger", "job.update", "job.create"]
    assert (entries[0]["request_id"], entries[0]["actor"], entries[0]["address"]) == ("req-7", "local", "127.0.0.1")
    assert (entries[1]["before"], entries[1]["after"]) == (
        {"revision": 1, "priority": 5},
        {"revision": 2, "priority": 8},
    )
    assert entries[2]["after"]["payload"] == {"password": "[redacted]", "region": "tr"}


async def test_secrets_are_not_shown_and_their_placeholder_is_not_taken(api: Api) -> None:
    await api.job(payload={"api_key": "hunter2"})
    shown = (await api.get("jobs/nightly")).json()["payload"]
    assert shown == {"api_key": "[redacted]"}
    back = await api.call("PATCH", "jobs/nightly", json={"payload": shown})
    assert (back.status_code, back.json()["errors"][0]["pointer"]) == (422, "/payload/api_key")


async def test_what_is_wrong_in_a_schedule_is_pointed_at_in_the_body(api: Api) -> None:
    body = {"name": "x", "type": "cron", "handler": "h", "schedule": {"cron": "0 9 31 2 *"}}
    refused = await api.post("jobs", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/schedule/cron")
    zone = await api.post("jobs", {**body, "schedule": {"cron": "0 9 * * *"}, "timezone": "Mars/Olympus"})
    assert (zone.status_code, zone.json()["errors"][0]["pointer"]) == (422, "/timezone")
    preview = await api.post("/api/v1/schedules:preview", {"schedule": {"every_ms": 1}})
    assert (preview.status_code, preview.json()["errors"][0]["pointer"]) == (422, "/schedule/every_ms")


async def test_a_preview_knows_the_calendars_of_ones_platform_and_those_given(api: Api) -> None:
    await api.call("PUT", "calendars/tr", json={"dates": {"2026-04-23": "a holiday"}})
    schedule = {"cron": "0 9 * * *", "calendars": {"exclude": ["tr"]}}
    body: dict[str, Any] = {"schedule": schedule, "after": "2026-04-22T12:00:00Z", "count": 2}

    async def days(given: dict[str, Any], key: str | None = None) -> list[str]:
        answer = await api.post("/api/v1/schedules:preview", given, key=key)
        assert answer.status_code == 200, answer.text
        return [one["utc"][:10] for one in answer.json()["instants"]]

    assert await days(body) == ["2026-04-24", "2026-04-25"]
    assert await days({**body, "calendars": {"tr": ["2026-04-24"]}}) == ["2026-04-23", "2026-04-25"]
    wrong = await api.post("/api/v1/schedules:preview", {**body, "calendars": {"tr": ["2026-02-31"]}})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/calendars/tr")
    viewer, foreign = await api.key("viewer"), await api.key("viewer", "acme")
    assert await days(body, viewer) == ["2026-04-24", "2026-04-25"]
    unknown = await api.post("/api/v1/schedules:preview", body, key=foreign)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "schedule")


async def test_a_parameter_nearly_right_is_named(api: Api) -> None:
    refused = await api.get("jobs", params={"pagesize": 3})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_parameter")
    assert "did you mean 'page_size'?" in refused.json()["detail"]


@pytest.mark.parametrize("text", ["0.0", "1e9", "1764000000", "2026-03-01", "09:00"])
async def test_an_instant_is_no_number(api: Api, text: str) -> None:
    await api.job()
    refused = await api.get("jobs/nightly/next", params={"from": text})
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/query/from"
    for run_at in (text, 0, 1_764_000_000.5):
        assert (await api.post("executions", {"handler": "h", "run_at": run_at})).status_code == 422
