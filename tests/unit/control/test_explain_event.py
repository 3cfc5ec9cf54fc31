"""Why did an event (not) start a job: each verdict, told from inbox and ledger; and the test of a match."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mainspring.control.explain import explain_job
from mainspring.control.match import match_event
from mainspring.errors import ValidationError
from mainspring.model.events import Event
from mainspring.moves.events import publish
from mainspring.moves.jobs import pause_job
from tests.unit.moves.conftest import START, Bench, bench

__all__ = ["bench"]

SECOND = timedelta(seconds=1)


def ask(b: Bench, at: Any = None, event: str | None = None) -> Any:
    return b.do(lambda tx: explain_job(tx, b.schedules, "default", "job", at, event=event))


def waits_for(b: Bench, **schedule: Any) -> None:
    b.job(type="event", overlap="skip", schedule={"events": ["order.*"], **schedule})


def happens(b: Bench, name: str, kind: str = "order.paid", **more: Any) -> None:
    b.do(lambda tx: publish(tx, "default", kind, event_id=name, source="shop", **more))


def check(explanation: Any, name: str) -> Any:
    return next(c for c in explanation.checks if c.check == name)


def test_a_job_that_heard_nothing_says_what_it_waits_for(bench):
    waits_for(bench, filter={"data": {"n": [1]}}, debounce_ms=2000, throttle={"limit": 3, "per_ms": 60_000})
    told = ask(bench)
    assert told.verdict == "not_due"
    detail = check(told, "due_by_schedule").detail
    assert "order.*" in detail
    assert "quiet for 2 s, at most 3 in 1 min" in detail


def test_the_last_event_is_explained_by_default_and_any_by_its_name(bench):
    waits_for(bench)
    happens(bench, "a")
    happens(bench, "b")
    last = ask(bench)
    assert last.verdict == "did_not_run"
    assert "shop#b did not start it, because an earlier execution still held the job's slot" in last.summary
    first = ask(bench, event="shop#a")
    assert first.verdict == "waiting"
    assert check(first, "matches").result == "yes"


def test_an_event_the_filter_refused_is_told_with_the_path(bench):
    waits_for(bench, filter={"data": {"n": [1]}})
    happens(bench, "a", data={"n": 2})
    told = ask(bench, event="shop#a")
    assert told.verdict == "not_due"
    assert check(told, "matches").evidence == {"path": "filter.data.n"}


def test_a_burst_that_is_still_under_way_is_told_with_when_it_ends(bench):
    waits_for(bench, debounce_ms=5000)
    happens(bench, "a")
    bench.clock.advance(SECOND)
    happens(bench, "b")
    for told in (ask(bench), ask(bench, event="shop#b")):
        assert told.verdict == "waiting"
        assert "in 5 s" in told.summary
        assert check(told, "debounce").result == "blocked"
    folded = ask(bench, event="shop#a")
    assert "shop#b followed within the debounce of 5000 ms" in folded.summary


def test_what_the_throttle_refused_says_when_it_is_free_again(bench):
    waits_for(bench, throttle={"limit": 1, "per_ms": 60_000})
    happens(bench, "a")
    bench.clock.advance(SECOND)
    happens(bench, "b")
    told = ask(bench, event="shop#b")
    assert "the throttle lets 1 through in 60000 ms" in told.summary
    assert check(told, "throttle").evidence["free_at"].startswith("2026-03-02T08:01:00")
    assert any("throttle" in advice for advice in told.advice)


def test_events_of_a_minute_are_told_together(bench):
    waits_for(bench)
    happens(bench, "a")
    bench.clock.advance(SECOND)
    happens(bench, "b")
    told = ask(bench, at="2026-03-02T08:00")
    assert told.summary.startswith("Event shop#a")
    assert "shop#b" in check(told, "also").detail
    assert ask(bench, at=START + timedelta(hours=1)).verdict == "not_due"


def test_an_event_of_a_paused_job_names_the_pause(bench):
    waits_for(bench)
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="stocktaking"))
    happens(bench, "a")
    assert "stocktaking" in ask(bench, event="shop#a").summary


def test_what_was_never_accepted_or_came_before_the_job_is_told_so(bench):
    happens(bench, "early")
    bench.clock.advance(SECOND)
    waits_for(bench)
    assert "has been accepted" in ask(bench, event="nobody").summary
    assert "did not exist yet" in ask(bench, event="shop#early").summary


def test_a_timed_job_has_no_events_to_explain(bench):
    bench.job()
    with pytest.raises(ValidationError, match="event"):
        ask(bench, event="a")


def test_a_match_is_tested_without_publishing_anything(bench):
    waits_for(bench, filter={"data": {"n": [1]}})

    def judged(kind: str, data: Any) -> Any:
        event = Event("t", kind, "default", bench.clock.now(), "shop", None, data)
        return bench.do(lambda tx: match_event(tx, bench.schedules, "job", event))

    assert judged("order.paid", {"n": 1}).matches
    refused = judged("order.paid", {"n": 2})
    assert (refused.matches, refused.path) == (False, "filter.data.n")
    assert judged("stock.low", {}).path == "events"
    assert bench.do(lambda tx: tx.inbox.get("default", "shop", "t")) is None
    bench.job("timed")
    with pytest.raises(ValidationError, match="type cron"):
        bench.do(lambda tx: match_event(tx, bench.schedules, "timed", Event("t", "a", "default", START)))
