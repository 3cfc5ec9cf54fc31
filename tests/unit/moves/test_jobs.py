"""Creating, changing, pausing, resuming and archiving jobs."""

from datetime import timedelta
from typing import Any

import pytest

from mainspring.errors import (
    ConflictError,
    LimitExceededError,
    NotFoundError,
    RevisionConflictError,
    ScheduleError,
    ValidationError,
)
from mainspring.model.decision import Verdict
from mainspring.model.events import EventType
from mainspring.model.execution import Status
from mainspring.model.job import JobStatus
from mainspring.model.node import Limit
from mainspring.model.wire import DefinitionReader, definition_from_wire
from mainspring.moves.jobs import archive_job, create_jobs, pause_job, put_job, resume_due, resume_job, update_job
from tests.unit.moves.conftest import START, Bench

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def update(bench: Bench, changes, **options):
    return bench.do(lambda tx: update_job(tx, bench.schedules, "default", "job", changes, **options))


def put(bench: Bench, **fields):
    wire = {"name": "job", "type": "cron", "handler": "h", "schedule": {"cron": "0 * * * *"}, **fields}
    return bench.do(lambda tx: put_job(tx, bench.schedules, "default", wire))


def test_a_new_job_is_decided_from_now_on(bench):
    bench.clock.advance(30 * MINUTE)
    job = bench.job()
    assert (job.cursor_at, job.next_run_at) == (START + 30 * MINUTE, START + HOUR)
    assert bench.plan().dispatched == 0


def create(bench: Bench, *names: str, **fields):
    wires = [{"name": n, "type": "cron", "handler": "h", "schedule": {"cron": "0 * * * *"}, **fields} for n in names]
    return bench.do(lambda tx: create_jobs(tx, "default", [definition_from_wire(wire) for wire in wires]))


def test_several_jobs_are_created_in_the_order_given_and_each_is_announced(bench):
    created = create(bench, "b", "a")
    assert [(one.job.name, one.created, one.job.next_run_at) for one in created] == [
        ("b", True, START + HOUR),
        ("a", True, START + HOUR),
    ]
    assert [
        e.data["job"] for e in bench.do(lambda tx: tx.outbox.unpublished(9)) if e.type == EventType.JOB_CREATED
    ] == ["b", "a"]


@pytest.mark.parametrize("payload", [{"text": "x" * 300_000}, {"text": float("nan")}])
def test_of_several_jobs_each_payload_is_checked_also_where_others_share_one(bench, payload):
    good = {"name": "a", "type": "manual", "handler": "h", "payload": {"text": "x"}}
    reader = DefinitionReader()
    three = [reader.read(one) for one in (good, {**good, "name": "b", "payload": payload}, {**good, "name": "c"})]
    with pytest.raises((LimitExceededError, ValidationError), match="payload"):
        bench.do(lambda tx: create_jobs(tx, "default", three))
    assert bench.do(lambda tx: tx.jobs.find("default")) == []


def test_of_several_jobs_none_is_created_where_one_cannot_be(bench):
    bench.job(name="there")
    with pytest.raises(ConflictError, match="'there' exists already"):
        create(bench, "new", "there")
    with pytest.raises(ConflictError, match="2 of the new jobs are named 'twice'"):
        create(bench, "new", "twice", "twice")
    bench.do(lambda tx: tx.platforms.put_limit(Limit("default", "platform", max_jobs=2)))
    with pytest.raises(LimitExceededError):
        create(bench, "new", "newer")
    assert bench.do(lambda tx: tx.jobs.count("default", 100)) == 1


_SCHEDULES: list[dict[str, Any]] = [
    {"type": "cron", "schedule": {"cron": "0 9 * * *", "jitter_ms": 60_000}},
    {"type": "cron", "schedule": {"cron": "0 9 * * *", "jitter_ms": 60_000}, "timezone": "Europe/Berlin"},
    {"type": "cron", "schedule": {"cron": "*/40 * 1 * MON"}, "misfire": "fire_all"},
    {"type": "recurring", "schedule": {"every_ms": 90_000}},
    {"type": "recurring", "schedule": {"every": {"months": 1}, "anchor_at": "2026-01-31T09:00:00"}},
    {"type": "one_time", "schedule": {"run_at": "2030-01-01T00:00:00"}, "timezone": "Asia/Tokyo"},
    {"type": "event", "schedule": {"events": ["order.*"]}},
    {"type": "manual"},
]


def test_jobs_created_together_begin_as_each_would_alone(bench):
    wires = [{"name": f"{n}-{k}", "handler": "h", **one} for k in "ab" for n, one in enumerate(_SCHEDULES)]
    definitions = [definition_from_wire(wire) for wire in wires]

    def work(tx):
        together = create_jobs(tx, "default", definitions)
        apart = [create_jobs(tx, "default", [one.changed(name=f"{one.name}-alone")])[0] for one in definitions]
        return together, apart

    together, apart = bench.do(work)
    for one, alone in zip(together, apart, strict=True):
        assert one.warnings == alone.warnings
        # The jitter goes by the id, so each has its own.
        schedule = bench.do(lambda tx, job=one.job: bench.schedules.of(tx, job) if job.definition.type.timed else None)
        first = schedule.next(START) if schedule is not None else None
        assert one.job.next_run_at == (schedule.fire_at(first.at, key=one.job.id) if first is not None else None)
        alike = one.job.changed(id=alone.job.id, next_run_at=alone.job.next_run_at)
        assert alike.changed(definition=alone.job.definition) == alone.job
    assert together[0].job.next_run_at != together[len(_SCHEDULES)].job.next_run_at


def test_a_schedule_that_only_equals_a_good_one_is_refused_beside_it(bench):
    good = {"name": "good", "type": "cron", "handler": "h", "schedule": {"cron": "0 0 * * * *", "seconds": True}}
    bad = {**good, "name": "bad", "schedule": {"cron": "0 0 * * * *", "seconds": 1}}
    assert good["schedule"] == bad["schedule"]
    with pytest.raises(ScheduleError, match="seconds"):
        bench.do(lambda tx: create_jobs(tx, "default", [definition_from_wire(good), definition_from_wire(bad)]))


def test_a_schedule_of_another_type_is_refused_beside_one_of_its_own(bench):
    good = {"name": "good", "type": "cron", "handler": "h", "schedule": {"cron": "0 * * * *"}}
    bad = {**good, "name": "bad", "type": "recurring"}
    with pytest.raises(ValidationError, match="shape of a cron job"):
        bench.do(lambda tx: create_jobs(tx, "default", [definition_from_wire(good), definition_from_wire(bad)]))


def test_what_was_due_is_decided_under_the_old_definition_and_the_past_never_fires_by_an_edit(bench):
    job = bench.job()
    bench.clock.advance(HOUR + timedelta(seconds=5))
    changed = update(bench, {"schedule": {"cron": "*/5 * * * *"}}).job
    assert [d.revision for d in bench.ledger(job)] == [1]
    assert changed.cursor_at == START + HOUR + timedelta(seconds=5)
    assert changed.next_run_at == START + HOUR + 5 * MINUTE
    assert bench.plan().dispatched == 0


def test_an_edit_that_is_not_about_time_leaves_the_cursor(bench):
    job = bench.job()
    bench.clock.advance(10 * MINUTE)
    changed = update(bench, {"priority": 9}).job
    assert (changed.cursor_at, changed.revision) == (job.cursor_at, 2)


def test_null_returns_a_field_to_its_default(bench):
    bench.job(priority=9)
    assert update(bench, {"priority": None}).job.definition.priority == 5


def test_a_stale_revision_is_refused(bench):
    bench.job()
    update(bench, {"priority": 9}, expected_revision=1)
    with pytest.raises(RevisionConflictError):
        update(bench, {"priority": 1}, expected_revision=1)


@pytest.mark.parametrize("changes", [{"schedule": {"cron": "61 * * * *"}}, {"timezone": "Mars/Olympus"}])
def test_a_bad_edit_changes_nothing(bench, changes):
    before = bench.job()
    with pytest.raises(ScheduleError):
        update(bench, changes)
    assert bench.stored() == before


def test_code_that_says_the_same_again_writes_nothing(bench):
    first = put(bench, priority=7)
    bench.clock.advance(HOUR)
    again = put(bench, priority=7)
    assert (first.created, again.changed) == (True, False)
    assert again.job == first.job


def test_code_owns_only_the_fields_it_names(bench):
    put(bench)
    update(bench, {"priority": 9})
    assert put(bench).changed is False
    assert put(bench, queue="reports").job.definition.priority == 9


def test_a_deploy_resumes_nothing(bench):
    put(bench)
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="incident"))
    assert put(bench, priority=8).job.status is JobStatus.PAUSED
    bench.do(lambda tx: archive_job(tx, bench.schedules, "default", "job"))
    assert put(bench, priority=1).changed is False
    assert bench.stored().status is JobStatus.ARCHIVED


def test_pausing_needs_a_reason_and_an_end_that_is_to_come(bench):
    bench.job()
    with pytest.raises(ValidationError, match="why"):
        bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason=" "))
    with pytest.raises(ValidationError, match="future"):
        bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="x", until=START))


def test_the_instants_of_a_pause_become_one_range_row(bench):
    job = bench.job()
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="incident 7"))
    bench.clock.advance(5 * HOUR + MINUTE)
    assert bench.plan().jobs == 0
    bench.do(lambda tx: resume_job(tx, bench.schedules, "default", "job"))
    (row,) = bench.ledger(job)
    assert (row.decision, row.scheduled_at, row.until_at, row.count) == (
        Verdict.SKIPPED_PAUSED, START + HOUR, START + 5 * HOUR, 5,
    )  # fmt: skip
    assert row.reason["reason"] == "incident 7"
    assert bench.stored().next_run_at == START + 6 * HOUR


def test_a_resume_may_catch_up_by_the_misfire_policy(bench):
    job = bench.job()
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="x"))
    bench.clock.advance(5 * HOUR + 10 * MINUTE)
    bench.do(lambda tx: resume_job(tx, bench.schedules, "default", "job", catch_up=True))
    bench.plan()
    assert [d.decision for d in bench.ledger(job)] == [Verdict.COALESCED, Verdict.DISPATCHED]


def test_a_pause_with_an_end_ends_by_itself(bench):
    bench.job()
    until = START + 2 * HOUR
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="x", until=until))
    bench.clock.advance(2 * HOUR)
    assert bench.do(lambda tx: resume_due(tx, bench.schedules)) == 1
    assert bench.stored().status is JobStatus.ACTIVE


def test_an_archived_job_frees_its_name_and_keeps_its_history(bench):
    old = bench.job()
    bench.clock.advance(HOUR)
    bench.plan()
    bench.do(lambda tx: archive_job(tx, bench.schedules, "default", "job"))
    new = bench.job()
    assert new.id != old.id
    assert len(bench.ledger(old)) == 1
    assert len(bench.executions(Status.QUEUED)) == 1, "what was made goes on"


def test_a_taken_name_and_an_unknown_one_are_errors(bench):
    bench.job()
    with pytest.raises(ConflictError):
        bench.job()
    with pytest.raises(NotFoundError):
        bench.do(lambda tx: archive_job(tx, bench.schedules, "default", "nobody"))


def test_a_schedule_must_fit_its_type_and_have_a_future(bench):
    with pytest.raises(ValidationError, match="recurring"):
        bench.job(type="recurring")
    with pytest.raises(ValidationError, match="future"):
        bench.job(type="one_time", schedule={"run_at": "2020-01-01T00:00:00Z"})


def test_quotas_of_the_platform_hold(bench):
    limit = Limit("default", "platform", max_jobs=1, min_interval_ms=60_000)
    bench.do(lambda tx: tx.platforms.put_limit(limit))
    bench.job()
    with pytest.raises(Exception, match="jobs: 2"):
        bench.job("second")
    with pytest.raises(Exception, match="between two runs"):
        update(bench, {"type": "recurring", "schedule": {"every_ms": 1000}})


def test_surprises_are_warned_of(bench):
    warnings = put(bench, misfire="fire_all").warnings
    assert any("announced" in text for text in warnings)
    assert any("buffer_all" in text for text in warnings)
