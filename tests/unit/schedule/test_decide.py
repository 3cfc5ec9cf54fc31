"""Job + now + what is active -> decisions."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.model.decision import Verdict
from mainspring.model.events import Event
from mainspring.model.execution import Cause, Status
from mainspring.model.job import ActiveExecution, Job, JobDefinition, JobStatus, JobType
from mainspring.model.policy import Misfire, Overlap
from mainspring.schedule import Calendar, compile_schedule, validate_event_schedule
from mainspring.schedule.decide import BATCH, decide
from mainspring.schedule.decide_event import decide_event

START = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
HOURLY = {"cron": "0 * * * *"}
EACH_MINUTE = {"every_ms": 60_000, "anchor_at": "2026-03-02T08:00:00Z"}


def a_job(schedule, *, cursor=START, type=JobType.CRON, made=0, **policies):
    definition = JobDefinition("job", type, "h", schedule=schedule, **policies)
    return Job("job", "default", definition, JobStatus.ACTIVE, 1, START, START, cursor, scheduled_count=made)


def plan_of(job, now, *, active=(), calendars=None, tzdb="a"):
    ids = (f"e{n}" for n in itertools.count())
    schedule = compile_schedule(job.definition.schedule, calendars=calendars, created_at=job.created_at)
    return decide(job, schedule, now=now, active=active, new_id=lambda: next(ids), tzdb_version=tzdb)


def verdicts(plan):
    return [d.decision for d in plan.decisions]


def running(name="old"):
    return ActiveExecution(name, "job", Status.RUNNING, False, START)


def test_nothing_is_decided_before_it_is_due():
    plan = plan_of(a_job(HOURLY), START + 59 * MINUTE)
    assert (plan.decisions, plan.executions) == ([], [])
    assert plan.cursor.next_run_at == START + HOUR


def test_a_due_instant_is_dispatched_once_and_the_cursor_moves_to_it():
    plan = plan_of(a_job(HOURLY), START + HOUR + SECOND)
    (decision,) = plan.decisions
    (execution,) = plan.executions
    assert (decision.decision, decision.scheduled_at, decision.late) == (Verdict.DISPATCHED, START + HOUR, SECOND)
    assert decision.execution_id == execution.id
    assert (execution.cause, execution.scheduled_at) == (Cause.SCHEDULE, START + HOUR)
    assert (plan.cursor.cursor_at, plan.cursor.next_run_at, plan.cursor.made) == (START + HOUR, START + 2 * HOUR, 1)


def test_an_active_execution_makes_skip_record_the_one_that_blocks():
    plan = plan_of(a_job(HOURLY), START + HOUR, active=[running("blocker")])
    (decision,) = plan.decisions
    assert (decision.decision, decision.reason["blocking"]) == (Verdict.SKIPPED_OVERLAP, "blocker")
    assert plan.executions == []
    assert plan.cursor.cursor_at == START + HOUR, "a skip is a decision: the cursor moves past it"


def test_within_the_grace_each_instant_is_decided_as_if_on_time():
    job = a_job(EACH_MINUTE, type=JobType.RECURRING, misfire=Misfire.SKIP, misfire_grace=5 * MINUTE,
                overlap=Overlap.ALLOW_ALL)  # fmt: skip
    plan = plan_of(job, START + 4 * MINUTE)
    assert verdicts(plan) == [Verdict.DISPATCHED] * 4


def test_misfire_skip_runs_nothing_missed_and_keeps_one_range_row():
    job = a_job(EACH_MINUTE, type=JobType.RECURRING, misfire=Misfire.SKIP, overlap=Overlap.ALLOW_ALL)
    plan = plan_of(job, START + 10 * MINUTE)
    missed, *fresh = plan.decisions
    assert (missed.decision, missed.scheduled_at, missed.until_at, missed.count) == (
        Verdict.SKIPPED_MISFIRE, START + MINUTE, START + 8 * MINUTE, 8,
    )  # fmt: skip
    assert [d.scheduled_at for d in fresh] == [START + 9 * MINUTE, START + 10 * MINUTE]


def test_misfire_fire_once_runs_the_newest_missed_and_folds_the_others_into_it():
    plan = plan_of(a_job(HOURLY), START + 5 * HOUR + 30 * MINUTE)
    folded, ran = plan.decisions
    assert (folded.decision, folded.scheduled_at, folded.until_at, folded.count) == (
        Verdict.COALESCED, START + HOUR, START + 4 * HOUR, 4,
    )  # fmt: skip
    assert folded.into_at == ran.scheduled_at == START + 5 * HOUR
    assert ran.decision is Verdict.DISPATCHED
    assert ran.reason["catch_up"] is True


def test_misfire_fire_all_runs_the_newest_few_oldest_first():
    job = a_job(HOURLY, misfire=Misfire.FIRE_ALL, max_catch_up=3, overlap=Overlap.BUFFER_ALL)
    plan = plan_of(job, START + 10 * HOUR + 30 * MINUTE)
    skipped, *ran = plan.decisions
    assert (skipped.decision, skipped.until_at) == (Verdict.SKIPPED_MISFIRE, START + 7 * HOUR)
    assert [d.scheduled_at for d in ran] == [START + n * HOUR for n in (8, 9, 10)]
    assert verdicts(plan)[1:] == [Verdict.DISPATCHED, Verdict.BUFFERED, Verdict.BUFFERED]


def test_what_is_older_than_the_catch_up_window_is_never_run():
    job = a_job(HOURLY, misfire=Misfire.FIRE_ALL, catch_up_window=2 * HOUR, overlap=Overlap.ALLOW_ALL)
    plan = plan_of(job, START + 10 * HOUR + 30 * MINUTE)
    old, *ran = plan.decisions
    assert (old.decision, old.until_at) == (Verdict.SKIPPED_MISFIRE, START + 8 * HOUR)
    assert [d.scheduled_at for d in ran] == [START + 9 * HOUR, START + 10 * HOUR]


def test_fire_once_with_everything_too_old_runs_nothing():
    job = a_job({"cron": "0 9 * * MON"}, catch_up_window=HOUR)
    plan = plan_of(job, START + 3 * HOUR)
    assert verdicts(plan) == [Verdict.SKIPPED_MISFIRE]
    assert plan.executions == []


def test_a_month_of_downtime_of_a_second_grid_costs_two_rows():
    every_second = {"every_ms": 1000, "anchor_at": "2026-03-02T08:00:00Z"}
    job = a_job(every_second, type=JobType.RECURRING, misfire_grace=timedelta(0))
    plan = plan_of(job, START + timedelta(days=30))
    assert verdicts(plan) == [Verdict.COALESCED, Verdict.DISPATCHED, Verdict.SKIPPED_OVERLAP]
    assert plan.decisions[0].count == 30 * 86_400 - 2


def test_a_step_is_bounded_and_says_that_more_is_due():
    every_second = {"every_ms": 1000, "anchor_at": "2026-03-02T08:00:00Z"}
    job = a_job(every_second, type=JobType.RECURRING, misfire_grace=HOUR, overlap=Overlap.ALLOW_ALL)
    now = START + 20 * MINUTE
    plan = plan_of(job, now)
    assert len(plan.decisions) == BATCH
    assert plan.cursor.next_run_at <= now


def test_an_excluded_instant_is_decided_as_skipped_and_not_run():
    schedule = {"cron": "0 9 * * *", "calendars": {"exclude": ["closed"]}}
    calendars = {"closed": Calendar("closed", frozenset({START.date()}))}
    plan = plan_of(a_job(schedule), START + HOUR, calendars=calendars)
    (decision,) = plan.decisions
    assert (decision.decision, decision.reason["excluded_by"]) == (Verdict.SKIPPED_CALENDAR, "calendar:closed")


def test_a_missed_instant_that_is_excluded_does_not_run_in_place_of_one_that_is_not():
    schedule = {"cron": "0 9 * * *", "calendars": {"exclude": ["closed"]}}
    closed = frozenset((START + timedelta(days=n)).date() for n in (3, 4))
    plan = plan_of(
        a_job(schedule), START + timedelta(days=4, hours=12), calendars={"closed": Calendar("closed", closed)}
    )
    ran = [d for d in plan.decisions if d.decision.runs]
    assert [d.scheduled_at.day for d in ran] == [4]
    assert [d.scheduled_at.day for d in plan.decisions if d.decision is Verdict.SKIPPED_CALENDAR] == [5, 6]
    assert plan.decisions[0].into_at == ran[0].scheduled_at


def test_a_one_time_job_is_completed_by_its_run():
    job = a_job({"run_at": "2026-03-02T09:00:00Z"}, type=JobType.ONE_TIME)
    plan = plan_of(job, START + HOUR)
    assert verdicts(plan) == [Verdict.DISPATCHED]
    assert (plan.cursor.status, plan.cursor.next_run_at) == (JobStatus.COMPLETED, None)


def test_a_one_time_job_missed_by_more_than_a_week_is_not_run():
    job = a_job({"run_at": "2026-03-02T09:00:00Z"}, type=JobType.ONE_TIME)
    plan = plan_of(job, START + timedelta(days=8))
    assert verdicts(plan) == [Verdict.SKIPPED_MISFIRE]
    assert plan.cursor.status is JobStatus.COMPLETED


def test_max_executions_completes_the_job_and_counts_only_what_ran():
    job = a_job({**EACH_MINUTE, "max_executions": 3}, type=JobType.RECURRING, made=1, overlap=Overlap.ALLOW_ALL,
                misfire_grace=HOUR)  # fmt: skip
    plan = plan_of(job, START + 10 * MINUTE)
    assert verdicts(plan) == [Verdict.DISPATCHED] * 2
    assert plan.cursor.status is JobStatus.COMPLETED


def test_jitter_delays_the_decision_but_not_the_identity():
    job = a_job({"cron": "0 * * * *", "jitter_ms": 1_800_000})
    schedule = compile_schedule(job.definition.schedule)
    fire_at = schedule.fire_at(START + HOUR, key=job.id)
    assert fire_at > START + HOUR
    assert plan_of(job, fire_at - timedelta(milliseconds=1)).decisions == []
    plan = plan_of(job, fire_at + SECOND)
    assert (plan.decisions[0].scheduled_at, plan.decisions[0].late) == (START + HOUR, SECOND)
    assert plan.executions[0].available_at == fire_at


def test_terminate_and_cancel_fold_what_the_same_step_made():
    for policy in (Overlap.TERMINATE_OTHER, Overlap.CANCEL_OTHER):
        job = a_job(HOURLY, overlap=policy, misfire=Misfire.FIRE_ALL)
        plan = plan_of(job, START + 3 * HOUR + 30 * MINUTE, active=[running("old")])
        assert verdicts(plan)[:2] == [Verdict.COALESCED, Verdict.COALESCED]
        assert len(plan.executions) == 1
        assert {*plan.cancel, *plan.terminate} == {"old"}


def test_a_wall_time_that_ran_under_older_zone_data_does_not_run_again():
    import dataclasses

    job = a_job({"cron": "0 9 * * *"})
    ran_early = dataclasses.replace(
        job, cursor_at=START + 30 * MINUTE, cursor_wall=datetime(2026, 3, 2, 9), tzdb_version="older"
    )
    plan = plan_of(ran_early, START + HOUR, tzdb="newer")
    (decision,) = plan.decisions
    assert decision.decision is Verdict.SKIPPED_CALENDAR
    assert "older" in decision.reason["zone_data"]


def test_the_start_deadline_counts_from_fire_at_but_for_catch_up_from_now():
    on_time = plan_of(a_job(HOURLY, start_deadline=10 * MINUTE), START + HOUR + SECOND)
    assert on_time.executions[0].start_deadline_at == START + HOUR + 10 * MINUTE
    late = plan_of(a_job(HOURLY, start_deadline=10 * MINUTE), START + HOUR + 30 * MINUTE)
    assert late.executions[0].start_deadline_at == START + HOUR + 40 * MINUTE


def test_an_event_is_decided_under_its_source_and_id():
    job = a_job({"events": ["order.*"]}, type=JobType.EVENT)
    event = Event("7", "order.paid", "default", START, source="shop", data={"total": 3})
    schedule = validate_event_schedule(job.definition.schedule)
    plan = decide_event(job, schedule, event, now=START, active=[], new_id=lambda: "e")
    assert (plan.decisions[0].key, plan.decisions[0].scheduled_at) == ("shop#7", START)
    event_kept = plan.executions[0].event
    assert event_kept is not None
    assert event_kept["data"] == {"total": 3}


SCHEDULES = st.sampled_from([
    {"cron": "*/7 * * * *"},
    {"cron": ["0 9 * * MON-FRI", "30 18 * * *"]},
    {"every_ms": 90_000, "anchor_at": "2026-03-02T08:00:30Z"},
    {"every": {"days": 1}, "anchor_at": "2026-02-28T23:30:00"},
    {"cron": "0 * * * *", "jitter_ms": 600_000},
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    schedule=SCHEDULES,
    steps=st.lists(st.integers(1, 5_000), min_size=1, max_size=12),
    misfire=st.sampled_from(list(Misfire)),
    overlap=st.sampled_from(list(Overlap)),
    grace=st.sampled_from([0, 60, 3_600, 100_000]),
    window=st.sampled_from([None, 1_800, 86_400]),
)
def test_every_due_instant_gets_exactly_one_decision_whenever_deciding_happens(
    schedule, steps, misfire, overlap, grace, window
):
    """Whatever the gaps between two steps, the decisions tile the due instants: none twice, none left out."""
    import dataclasses

    job = a_job(
        schedule,
        type=JobType.RECURRING,
        misfire=misfire,
        overlap=overlap,
        misfire_grace=grace * SECOND,
        catch_up_window=None if window is None else window * SECOND,
        max_catch_up=5,
    )
    compiled = compile_schedule(schedule, created_at=job.created_at)
    decided, now = [], START
    for step in steps:
        now += step * SECOND
        for _ in range(100):
            plan = plan_of(job, now)
            job = dataclasses.replace(job, cursor_at=plan.cursor.cursor_at, next_run_at=plan.cursor.next_run_at)
            decided += plan.decisions
            if plan.cursor.next_run_at is None or plan.cursor.next_run_at > now:
                break
    due = []
    for occurrence in compiled.iterate(START):
        if compiled.fire_at(occurrence.at, key=job.id) > now:
            break
        due.append(occurrence.at)
    covered = []
    for decision in decided:
        last = decision.until_at or decision.scheduled_at
        inside = [at for at in due if decision.scheduled_at <= at <= last]
        assert inside[0] == decision.scheduled_at
        assert inside[-1] == last
        assert decision.count in (None, len(inside))
        covered += inside
    assert covered == due
    runs = {d.scheduled_at for d in decided if d.decision.runs}
    for decision in decided:
        if decision.decision is Verdict.COALESCED:
            assert decision.into_at in runs
            assert decision.into_at > decision.scheduled_at
