"""What is foreseen is what is decided, to the letter, whenever it says that it holds."""

from datetime import UTC, datetime, timedelta

from hypothesis import assume, event, given
from hypothesis import strategies as st

from mainspring.model.job import Job, JobDefinition, JobStatus, JobType
from mainspring.model.policy import Misfire, Overlap
from mainspring.schedule import compile_schedule
from mainspring.schedule.decide import decide
from mainspring.schedule.foresee import foresee

START = datetime(2026, 3, 28, 22, tzinfo=UTC)  # the night before most of Europe's clocks change
SECOND = timedelta(seconds=1)
ZONES = ("UTC", "Europe/Istanbul", "Europe/Berlin", "America/New_York")

schedules = st.one_of(
    st.fixed_dictionaries(
        {"every_ms": st.sampled_from((1_000, 1_500, 60_000, 3_600_000))},
        optional={"max_executions": st.integers(1, 3), "jitter_ms": st.integers(0, 900)},
    ).map(lambda spec: (JobType.RECURRING, spec)),
    st.fixed_dictionaries(
        {"cron": st.sampled_from(("* * * * *", "*/15 * * * *", "30 2 * * *", "0 9 * * 1-5"))},
        optional={"jitter_ms": st.integers(0, 20_000), "end_at": st.just("2026-03-30T00:00:00Z")},
    ).map(lambda spec: (JobType.CRON, spec)),
    st.integers(1, 86_400).map(
        lambda n: (JobType.ONE_TIME, {"run_at": (START + n * SECOND).isoformat()}),
    ),
)
policies = st.fixed_dictionaries(
    {},
    optional={
        "misfire": st.sampled_from(Misfire),
        "misfire_grace": st.integers(0, 120).map(lambda n: timedelta(seconds=n)),
        "overlap": st.sampled_from(Overlap),
        "max_concurrency": st.integers(1, 3),
        "start_deadline": st.integers(1, 600).map(lambda n: timedelta(seconds=n)),
        "payload": st.just({"n": 1}),
    },
)


@given(
    schedule=schedules,
    policy=policies,
    zone=st.sampled_from(ZONES),
    made=st.integers(0, 2),
    known_zones=st.sampled_from((None, "2025z", "2026a")),
    later=st.one_of(st.just(0), st.integers(0, 3_000), st.integers(0, 200_000)).map(lambda ms: ms * SECOND / 1_000),
)
def test_what_is_foreseen_is_what_is_decided(schedule, policy, zone, made, known_zones, later):
    kind, spec = schedule
    compiled = compile_schedule(spec, timezone=zone, created_at=START)
    first = compiled.next(START)
    assume(first is not None)
    assert first is not None
    at = compiled.fire_at(first.at, key="job")
    definition = JobDefinition("job", kind, "h", schedule=spec, timezone=zone, **policy)
    job = Job("job", "default", definition, JobStatus.ACTIVE, 1, START, START, START)
    job = job.changed(next_run_at=at, scheduled_count=made, tzdb_version=known_zones)
    found = foresee(job, compiled, zone=zone, tzdb_version="2026a", dispatcher_id="d")
    event(f"foreseen: {found is not None}")
    if found is None:
        return
    now = at + later
    decided = decide(job, compiled, now=now, active=(), new_id=lambda: "e", tzdb_version="2026a", dispatcher_id="d")
    assert (found.since, found.job) == (job.next_run_at, job)
    event(f"holds: {now <= found.until}")
    if now <= found.until:
        assert found.plan(now, "e") == decided
    # Nor does it give up too early: what it leaves to others is another case indeed.
    else:
        assert len(decided.decisions) > 1 or now > at + definition.misfire_grace
