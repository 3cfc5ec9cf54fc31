"""Each thing that happens is one line that says when, which job, what, and why where it did not run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.cli.narrate import ended, happened, next_run, skipped, started
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Cause, Execution, Status
from mainspring.model.outcome import Cancelled, Failed, Lost, Outcome, Released, Snoozed, Succeeded, TimedOut, Waiting

NOW = datetime(2026, 11, 24, 6, 0, 5, tzinfo=UTC)
ID = "019ca8a0-3e80-7d8e-91b7-584a2265b1f5"
OTHER = "019ca8a0-3e80-7d8e-91b7-aaaaaaaaaaaa"
ZONE = "Europe/Istanbul"


def execution(**fields: Any) -> Execution:
    plain: dict[str, Any] = {
        "job_name": "report",
        "job_id": "j",
        "started_at": NOW,
        "scheduled_at": NOW,
        "attempt": 1,
    }
    return Execution(ID, "default", "h", Status.RUNNING, Cause.SCHEDULE, NOW, NOW, **(plain | fields))


def event(kind: EventType, **data: Any) -> Event:
    plain = {"job": "report", "job_id": "j", "execution_id": ID, "attempt": 1}
    return Event("e", kind.value, "default", NOW, subject=ID, data=plain | data)


def test_a_line_prints_its_time_in_the_jobs_zone_with_that_zone() -> None:
    line = started(execution(), ZONE)
    assert line.plain() == f"2026-11-24 09:00:05 +03:00 Europe/Istanbul  report  started  {ID}"


def test_a_start_on_time_says_nothing_of_being_late() -> None:
    assert started(execution(), "UTC").text == "started"


def test_a_late_start_says_how_late_and_when_it_was_due() -> None:
    late = execution(started_at=NOW + timedelta(seconds=7))
    assert started(late, "UTC").text == "started, late by 7 s: due 06:00:05 UTC"


def test_a_second_attempt_says_which_of_how_many_and_not_that_it_is_late() -> None:
    again = execution(attempt=2, started_at=NOW + timedelta(minutes=1))
    assert started(again, "UTC").text == "started, attempt 2 of 3"


def test_a_start_that_no_schedule_asked_for_says_who_did() -> None:
    assert started(replaced(Cause.MANUAL), "UTC").text == "started, triggered"
    on_event = started(replaced(Cause.EVENT, event={"type": "order.paid"}), "UTC")
    assert on_event.text == "started, on event order.paid"


def replaced(cause: Cause, **fields: Any) -> Execution:
    return Execution(ID, "default", "h", Status.RUNNING, cause, NOW, NOW, started_at=NOW, attempt=1, **fields)


def test_an_execution_without_a_job_goes_by_its_handler() -> None:
    assert started(execution(job_name=None, job_id=None, scheduled_at=None), "UTC").job == "h"


def test_an_end_says_how_long_it_took() -> None:
    line = happened(event(EventType.EXECUTION_SUCCESS, duration_ms=1250), "UTC")
    assert line is not None
    assert (line.what, line.text) == ("finished", "finished in 1.2 s")


def test_a_failure_to_be_tried_again_says_when_and_shows_the_errors_first_line() -> None:
    data = {
        "available_at": (NOW + timedelta(seconds=30)).isoformat(),
        "error": {"type": "ValueError", "message": "no such customer\nsecond line"},
    }
    line = happened(event(EventType.EXECUTION_RETRY, **data), "UTC")
    assert line is not None
    assert line.text == "attempt 1 failed; next try in 30 s"
    assert line.detail == "ValueError: no such customer"


def test_a_last_failure_says_that_it_is_a_dead_letter() -> None:
    failed = event(EventType.EXECUTION_FAILED, attempt=3, duration_ms=40, failure="timeout")
    line = happened(failed, "UTC", buried=True)
    assert line is not None
    assert line.text == "timed out for good on attempt 3 after 40 ms; now a dead letter"


def test_an_error_message_cannot_steer_the_terminal() -> None:
    failed = event(EventType.EXECUTION_FAILED, error={"type": "E", "message": "\x1b[2Jgone\x07"})
    line = happened(failed, "UTC")
    assert line is not None
    assert line.detail == "E: [2Jgone"


def test_events_of_others_are_no_news_here() -> None:
    assert happened(Event("e", "order.paid", "default", NOW), "UTC") is None


def why(decision: str, count: int = 1, running: dict[str, datetime] | None = None, **reason: Any) -> str:
    data = {"decision": decision, "count": count, "reason": reason, "scheduled_at": NOW.isoformat()}
    return skipped(data, NOW, "UTC", running or {})


def test_a_skip_names_its_reason() -> None:
    held = why("skipped_overlap", policy="skip", blocking=OTHER, running={OTHER: NOW - timedelta(seconds=12)})
    assert held == "skipped: overlap is skip, 019c…aaaaaaaa still runs since 12 s"
    assert why("skipped_overlap", policy="skip", blocking=OTHER).endswith("019c…aaaaaaaa still holds its slot")
    assert why("skipped_calendar", excluded_by="tr-holidays") == "skipped: excluded by tr-holidays"
    assert why("skipped_limit", max_executions=3) == "skipped: it ran 3 times, which is max_executions"
    assert why("dropped_buffer_full", buffered=100).startswith("dropped: 100 executions wait already")
    paused = why("skipped_paused", count=4, reason="on holiday")
    assert paused == "skipped 4 instants from 06:00:05 UTC on while paused: on holiday"


def test_folded_instants_are_counted() -> None:
    told = why("coalesced", count=5, misfire="fire_once")
    assert told == "folded 5 instants from 06:00:05 UTC on into one run: misfire is fire_once"


def test_a_countdown_is_in_whole_seconds_and_far_runs_show_their_instant() -> None:
    assert next_run(NOW + timedelta(milliseconds=300), NOW, "UTC") == "in 1 s"
    assert next_run(NOW, NOW, "UTC") == "now"
    assert next_run(NOW + timedelta(hours=2), NOW, ZONE) == "in 2 h, 11:00:05 Europe/Istanbul"
    tomorrow = next_run(NOW + timedelta(hours=26), NOW, ZONE)
    assert tomorrow == "in 1 d 2 h, 2026-11-25 11:00:05 +03:00 Europe/Istanbul"


def test_a_worker_alone_tells_how_each_attempt_ended() -> None:
    error = {"type": "ValueError", "message": "no such row\nat line 3", "traceback": ""}
    outcomes: list[tuple[Outcome, str, str]] = [
        (Succeeded(1), "finished", "finished in 2 s"),
        (Failed(error), "failed", "attempt 1 of 3 failed after 2 s"),
        (TimedOut(error), "failed", "attempt 1 of 3 timed out after 2 s"),
        (Lost("w", "saw its child die"), "failed", "attempt 1 of 3 was lost after 2 s: saw its child die"),
        (Snoozed(timedelta(minutes=5)), "snoozed", "snoozed for 5 min"),
        (Cancelled(), "cancelled", "cancelled after 2 s"),
        (Released(), "released", "released after 2 s: another worker runs it"),
        (Waiting("order-7", NOW), "waiting", "waits for order-7"),
    ]
    for outcome, what, text in outcomes:
        line = ended(execution(), outcome, NOW, ZONE, timedelta(seconds=2))
        assert (line.what, line.text, line.execution_id) == (what, text, ID)
    assert ended(execution(), Failed(error), NOW, ZONE, timedelta(0)).detail == "ValueError: no such row"
