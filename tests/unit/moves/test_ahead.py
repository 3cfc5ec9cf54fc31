"""Looking ahead changes what planning costs, and nothing that it decides."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import ConflictError
from mainspring.model.decision import Verdict
from mainspring.model.execution import Status
from mainspring.model.job import Job
from mainspring.model.node import Limit
from mainspring.moves.ahead import Ahead
from mainspring.moves.enqueue import trigger
from mainspring.moves.jobs import pause_job, resume_job, update_job
from mainspring.moves.plan import Planned, plan_due
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import TooEarlyError, Tx
from tests.unit.moves.conftest import START, Bench

SECOND = timedelta(seconds=1)
EACH_SECOND: dict[str, Any] = {"type": "recurring", "schedule": {"every_ms": 1000, "anchor_at": START.isoformat()}}


class Telling(Bench):
    """A bench that keeps what each step of planning says it has done, and what it tells others."""

    ahead: Ahead | None = None

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []

    def plan(self) -> Planned:
        def work(tx: Any) -> Planned:
            done = plan_due(tx, self.schedules, "dispatcher", ahead=self.ahead)
            self.said.append((done, list(tx.aftermath.announcements), set(tx.aftermath.topics)))
            return done

        return self.do(work)


class Seeing(Telling):
    """A bench whose dispatcher looks ahead when it is told to."""

    ahead: Ahead

    def __init__(self) -> None:
        super().__init__()
        self.ahead = Ahead(self.schedules, "dispatcher")

    def look(self, limit: int = 100) -> None:
        after = self.store.read_blocking(lambda tx: self.ahead.look(tx, limit))
        while after is not None:
            after = self.store.read_blocking(partial(self.ahead.look, limit=limit, after=after))

    def plan(self) -> Planned:
        done = super().plan()
        assert done.now is not None
        self.ahead.decided(done.moved, done.now)
        return done


async def test_a_job_that_is_due_soon_is_foreseen_and_decided_by_it(monkeypatch: Any) -> None:
    bench = Seeing()
    await bench.store.open()
    job = bench.job(**EACH_SECOND)
    bench.look()
    asked: list[str] = []
    monkeypatch.setattr("mainspring.moves.plan.plan_job", lambda tx, schedules, job, *more: asked.append(job.name))
    bench.clock.advance(SECOND)
    assert bench.plan().dispatched == 1
    assert asked == []
    (decision,) = bench.ledger(job)
    (execution,) = bench.executions()
    assert (decision.decision, decision.scheduled_at) == (Verdict.DISPATCHED, START + SECOND)
    assert (decision.execution_id, decision.decided_at) == (execution.id, START + SECOND)
    assert (execution.idempotency_key, execution.created_at) == (execution.id, START + SECOND)


async def test_what_was_decided_is_known_as_it_now_is() -> None:
    bench = Seeing()
    await bench.store.open()
    bench.job(**EACH_SECOND)
    bench.look()
    bench.clock.advance(SECOND)
    bench.plan()
    known = bench.ahead.jobs
    assert list(known.values()) == [bench.stored()]
    bench.look()
    assert list(bench.ahead.jobs.values()) == [bench.stored()]


async def test_what_is_far_off_or_others_have_decided_is_not_kept() -> None:
    bench = Seeing()
    await bench.store.open()
    bench.job("hourly")
    bench.job("often", **EACH_SECOND)
    bench.look()
    assert [job.name for job in bench.ahead.jobs.values()] == ["often"]
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "often", reason="so"))
    bench.clock.advance(7 * SECOND)
    bench.look()
    assert not bench.ahead.jobs


async def test_no_more_is_kept_than_there_is_room_for() -> None:
    bench = Seeing()
    await bench.store.open()
    bench.ahead = Ahead(bench.schedules, "dispatcher", size=3)
    for number in range(6):
        bench.job(f"job-{number}", **EACH_SECOND)
    bench.look(limit=1)
    assert len(bench.ahead.jobs) == 3
    bench.clock.advance(SECOND)
    assert bench.plan().dispatched == 6


async def test_what_cannot_be_foreseen_is_looked_at_once_and_takes_up_its_room(monkeypatch: Any) -> None:
    bench = Seeing()
    await bench.store.open()
    bench.ahead = Ahead(bench.schedules, "dispatcher", size=3)
    for number in range(6):
        bench.job(f"job-{number}", **EACH_SECOND)
    asked: list[str] = []
    monkeypatch.setattr("mainspring.moves.ahead.foresee", lambda job, *more, **named: asked.append(job.name))
    for _ in range(3):
        bench.look(limit=1)
    assert asked == ["job-0", "job-1", "job-2"]


def early(bench: Seeing) -> Planned:
    work = partial(plan_due, schedules=bench.schedules, dispatcher_id="dispatcher", ahead=bench.ahead, early=True)
    return bench.do(work)


async def test_what_is_all_foreseen_may_be_planned_ahead_of_its_instant() -> None:
    bench = Seeing()
    await bench.store.open()
    bench.job(**EACH_SECOND)
    bench.look()
    bench.clock.advance(SECOND)
    assert early(bench).dispatched == 1


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param(lambda bench: bench.job("new", **EACH_SECOND), id="a job nobody has looked at"),
        pytest.param(lambda bench: bench.do(lambda tx: trigger(tx, "default", "job")), id="something is active"),
        pytest.param(lambda bench: bench.do(limited), id="a limit has a say"),
        pytest.param(lambda bench: bench.do(paused), id="nothing is due"),
    ],
)
async def test_whatever_is_not_as_foreseen_is_planned_at_its_instant(otherwise: Callable[[Seeing], object]) -> None:
    bench = Seeing()
    await bench.store.open()
    job = bench.job(**EACH_SECOND)
    bench.look()
    otherwise(bench)
    bench.clock.advance(SECOND)
    before = bench.ledger(job)
    with pytest.raises(TooEarlyError):
        early(bench)
    assert bench.ledger(job) == before


def limited(tx: Tx) -> None:
    tx.platforms.put_limit(Limit("default", "platform", "", max_running=100))


def paused(tx: Tx) -> None:
    pause_job(tx, Schedules(), "default", "job", reason="so")


async def test_an_execution_with_a_concurrency_key_is_planned_at_its_instant() -> None:
    bench = Seeing()
    await bench.store.open()
    bench.job(**EACH_SECOND, concurrency_key="k", concurrency_limit=1)
    bench.look()
    bench.clock.advance(SECOND)
    with pytest.raises(TooEarlyError):
        early(bench)
    assert bench.plan().dispatched == 1


@pytest.fixture
async def seeing() -> Seeing:
    bench = Seeing()
    await bench.store.open()
    return bench


def test_what_is_all_foreseen_is_recorded_together(seeing: Seeing, monkeypatch: Any) -> None:
    jobs = [seeing.job(f"job-{number}", **EACH_SECOND, payload={"n": number}) for number in range(3)]
    seeing.look()
    monkeypatch.setattr("mainspring.moves.plan.record", lambda *given: pytest.fail("one by one"))
    seeing.clock.advance(SECOND)
    done = seeing.plan()
    assert (done.jobs, done.dispatched, done.decided) == (3, 3, {Verdict.DISPATCHED: 3})
    made = {execution.job_id: execution for execution in seeing.executions()}
    assert [made[job.id].payload for job in jobs] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert {execution.status for execution in made.values()} == {Status.QUEUED}


def test_of_jobs_decided_together_the_more_urgent_are_announced_first(seeing: Seeing) -> None:
    for number, priority in enumerate((5, 9, 5, 7)):
        seeing.job(f"job-{number}", **EACH_SECOND, priority=priority)
    seeing.look()
    seeing.clock.advance(SECOND)

    def announced(tx: Any) -> list[tuple[int, str]]:
        plan_due(tx, seeing.schedules, "dispatcher", ahead=seeing.ahead)
        return [(one.priority, one.execution_id) for one in tx.aftermath.announcements]

    said = seeing.do(announced)
    assert [priority for priority, _ in said] == [9, 7, 5, 5]
    assert said[2:] == sorted(said[2:])


def test_what_is_all_foreseen_still_keeps_within_limits(seeing: Seeing) -> None:
    seeing.do(lambda tx: tx.platforms.put_limit(Limit("default", "platform", "", max_running=2)))
    for number in range(3):
        seeing.job(f"job-{number}", **EACH_SECOND)
    seeing.look()
    seeing.clock.advance(SECOND)
    assert seeing.plan().dispatched == 3
    assert [e.blocked_by for e in seeing.executions(Status.PENDING)] == ["platform"]
    assert len(seeing.executions(Status.QUEUED)) == 2


Step = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 2500)),
        st.tuples(st.just("second"), st.integers(0, 1)),
        st.tuples(
            st.sampled_from(("look", "plan", "end", "rename", "zone", "pause", "resume", "slow", "limit")),
            st.integers(0, 5),
        ),
    ),
    max_size=30,
)


def _jobs(bench: Bench) -> None:
    bench.job("job-0", **EACH_SECOND)
    bench.job("job-1", **EACH_SECOND, overlap="allow_all", payload={"n": 1})
    bench.job(
        "job-2",
        type="recurring",
        schedule={"every_ms": 2000, "jitter_ms": 700, "max_executions": 3},
        misfire_grace_ms=500,
    )
    at = (START + 3 * SECOND).replace(tzinfo=None).isoformat()
    bench.job("job-3", type="one_time", schedule={"run_at": at}, priority=9)
    for name in ("job-4", "job-5"):
        schedule = {"every_ms": 3000, "anchor_at": START.isoformat()}
        bench.job(name, type="recurring", schedule=schedule, concurrency_key="k", concurrency_limit=1)


def _act(bench: Bench, step: Step) -> None:
    what, number = step
    name = f"job-{number}"

    def edit(**fields: Any) -> None:
        job = bench.stored(name)
        bench.do(lambda tx: update_job(tx, bench.schedules, "default", name, fields, expected_revision=job.revision))

    def as_foreseen() -> None:
        for then in (("end", 100 * number), ("look", 0), ("wait", 1000), ("plan", 0)):
            _act(bench, then)

    acts: dict[str, Callable[[], object]] = {
        "second": as_foreseen,
        "wait": lambda: bench.clock.advance(timedelta(milliseconds=number)),
        "look": lambda: bench.look() if isinstance(bench, Seeing) else None,
        "plan": bench.plan,
        "end": lambda: [bench.settle(e) for e in bench.claim(number)],
        "rename": lambda: edit(description=f"at {bench.clock.now()}"),
        "slow": lambda: edit(misfire_grace_ms=100 + number, priority=number),
        "zone": lambda: bench.do(lambda tx: tx.platforms.put_timezone("default", ("Asia/Tokyo", None)[number % 2])),
        "limit": lambda: bench.do(
            lambda tx: tx.platforms.put_limit(Limit("default", "platform", "", max_running=number or None))
        ),
        "pause": lambda: bench.do(lambda tx: pause_job(tx, bench.schedules, "default", name, reason="so")),
        "resume": lambda: bench.do(lambda tx: resume_job(tx, bench.schedules, "default", name)),
    }
    with contextlib.suppress(ConflictError):  # it has ended
        acts[what]()


def _all(bench: Telling) -> Any:
    jobs: list[Job] = bench.do(lambda tx: tx.jobs.find("default", limit=100))
    events = bench.do(lambda tx: tx.outbox.unpublished(1000))
    return jobs, [bench.ledger(job) for job in jobs], bench.executions(), events, bench.said


@settings(deadline=None)
@given(steps)
def test_who_looks_ahead_decides_the_same_to_the_letter(taken: list[Step]) -> None:
    plain, seeing = Telling(), Seeing()
    for bench in (plain, seeing):
        asyncio.run(bench.store.open())
        _jobs(bench)
        for step in [*taken, ("wait", 1500), ("plan", 0)]:
            _act(bench, step)
    assert _all(seeing) == _all(plain)
