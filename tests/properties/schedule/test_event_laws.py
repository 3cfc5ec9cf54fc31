"""Laws of event filters and of deciding events, over generated patterns, events and timings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import Event
from mainspring.model.job import Job, JobDefinition, JobStatus, JobType
from mainspring.model.policy import Overlap
from mainspring.schedule import validate_event_schedule
from mainspring.schedule.decide_event import Recent, decide_event, decide_quiet, event_key
from mainspring.schedule.event_filter import checked_filter, first_mismatch, plain_conditions

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "ab", "b", "A"]))
KEYS = st.sampled_from(["x", "y", "z"])
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
CONDITIONS = st.one_of(
    SCALARS,
    st.builds(lambda text: {"prefix": text}, st.sampled_from(["", "a", "ab"])),
    st.builds(lambda text: {"suffix": text}, st.sampled_from(["", "b"])),
    st.builds(lambda text: {"equals-ignore-case": text}, st.sampled_from(["a", "AB"])),
    st.builds(lambda there: {"exists": there}, st.booleans()),
    st.builds(lambda items: {"anything-but": items}, st.lists(SCALARS, min_size=1, max_size=3)),
    st.builds(lambda sign, n: {"numeric": [sign, n]}, st.sampled_from(["<", "<=", "=", ">", ">="]), st.integers(-3, 3)),
)
LEAVES = st.lists(CONDITIONS, min_size=1, max_size=3)
PATTERNS = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=2), max_leaves=4),
    max_size=3,
)


@example({"z": {"x": [None]}}, {"z": [[{"x": None}]]})
@given(PATTERNS, st.dictionaries(KEYS, DATA, max_size=3))
def test_a_filter_judges_by_itself_as_a_plain_reading_of_its_rules_does(pattern: Any, data: Any) -> None:
    assert (first_mismatch(checked_filter(pattern), data) is None) is reading(pattern, data)


def reading(pattern: Any, value: Any) -> bool:
    """Read the rules once more, written without regard to speed or to saying why."""
    if isinstance(pattern, dict):
        if isinstance(value, list):
            return any(reading(pattern, v) for v in value) or (not value and reading(pattern, {}))
        there = value if isinstance(value, dict) else {}
        return all(reading(wanted, there[k]) if k in there else absent_fits(wanted) for k, wanted in pattern.items())
    return any(condition_holds(c, value) for c in pattern)


def absent_fits(wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(absent_fits(inner) for inner in wanted.values())
    return {"exists": False} in wanted


def condition_holds(condition: Any, value: Any) -> bool:
    def same(a: Any, b: Any) -> bool:
        return (type(a) is bool) == (type(b) is bool) and a == b

    each = value if isinstance(value, list) else [value]
    if not isinstance(condition, dict):
        return any(same(v, condition) for v in each)
    ((name, wanted),) = condition.items()
    texts = [v for v in each if isinstance(v, str)]
    numbers = [v for v in each if type(v) in (int, float)]
    return {
        "exists": lambda: bool(wanted),
        "anything-but": lambda: all(not same(v, other) for v in each for other in wanted),
        "prefix": lambda: any(v[: len(wanted)] == wanted for v in texts),
        "suffix": lambda: any(wanted == "" or v[-len(wanted) :] == wanted for v in texts),
        "equals-ignore-case": lambda: any(v.lower() == wanted.lower() for v in texts),
        "numeric": lambda: any(
            {"<": v < wanted[1], "<=": v <= wanted[1], "=": v == wanted[1], ">": v > wanted[1], ">=": v >= wanted[1]}[
                wanted[0]
            ]
            for v in numbers
        ),
    }[name]()


@given(PATTERNS)
def test_a_checked_filter_is_told_as_it_was_written(pattern: Any) -> None:
    assert plain_conditions(checked_filter(pattern)) == pattern


@given(
    gaps=st.lists(st.integers(0, 900), min_size=1, max_size=30),
    debounce=st.sampled_from([0, 100, 300]),
    limit=st.integers(1, 4),
    per=st.sampled_from([1, 250, 1000]),
    most=st.none() | st.integers(1, 6),
    overlap=st.sampled_from([Overlap.ALLOW_ALL, Overlap.SKIP, Overlap.BUFFER_ALL]),
    jitter=st.sampled_from([0, 50]),
)
def test_every_event_gets_one_decision_and_the_limits_hold(
    gaps: list[int], debounce: int, limit: int, per: int, most: int | None, overlap: Overlap, jitter: int
) -> None:
    wire: dict[str, Any] = {"events": ["**"], "debounce_ms": debounce, "throttle": {"limit": limit, "per_ms": per}}
    wire |= {"jitter_ms": jitter} | ({"max_executions": most} if most is not None else {})
    model = Model(wire, overlap)
    at = START
    for number, gap in enumerate(gaps):
        at += gap * MILLISECOND
        model.quiet_until(at)
        model.hear(Event(str(number), "a", "default", at, "test"))
    model.quiet_until(at + timedelta(days=2))

    heard = {event_key(event) for event in model.heard}
    assert sorted(d.key for d in model.ledger) == sorted(heard), "one decision for each event, and for no other"
    ran = sorted(d.scheduled_at for d in model.ledger if d.decision.runs)
    for first, last in zip(ran, ran[limit:], strict=False):
        assert last - first >= per * MILLISECOND, "the throttle let too many through"
    if most is not None:
        assert len(ran) <= most
    if debounce and not jitter:
        kept = sorted(d.scheduled_at for d in model.ledger if d.decision is not Verdict.COALESCED)
        assert all(b - a >= debounce * MILLISECOND for a, b in pairwise(kept)), "not quiet long enough"
    by_key = {d.key: d for d in model.ledger}
    for d in model.ledger:
        if d.decision is Verdict.COALESCED:
            into = by_key[d.reason["into"]]
            assert (into.scheduled_at, into.scheduled_at >= d.scheduled_at) == (d.into_at, True)


class Model:
    """One event job, decided the way the engine does, without a store."""

    def __init__(self, wire: dict[str, Any], overlap: Overlap) -> None:
        definition = JobDefinition("j", JobType.EVENT, "h", schedule=wire, overlap=overlap)
        self.job = Job("job", "default", definition, JobStatus.ACTIVE, 1, START, START, START)
        self.schedule = validate_event_schedule(wire)
        self.ledger: list[Decision] = []
        self.heard: list[Event] = []
        self.pending: Event | None = None
        self._ids = count()

    def hear(self, event: Event) -> None:
        if self.job.status is not JobStatus.ACTIVE:
            return
        self.heard.append(event)
        self._record(event, event.at, decide_event)

    def quiet_until(self, now: datetime) -> None:
        if self.pending is not None and self.job.next_run_at is not None and self.job.next_run_at <= now:
            self._record(self.pending, self.job.next_run_at, decide_quiet)

    def _record(self, event: Event, now: datetime, decide: Any) -> None:
        throttle = self.schedule.throttle
        assert throttle is not None
        ran = sorted(
            d.scheduled_at for d in self.ledger if d.decision.runs and d.scheduled_at > event.at - throttle.per
        )
        recent = Recent(min(len(ran), throttle.limit), min(ran[-throttle.limit :], default=None))
        more = {"pending": self.pending} if decide is decide_event else {}
        plan = decide(
            self.job,
            self.schedule,
            event,
            now=now,
            active=[],
            new_id=lambda: f"e{next(self._ids)}",
            recent=recent,
            **more,
        )
        self.ledger += plan.decisions
        if plan.pending is not None:
            self.pending = next(e for e in self.heard if e.id == plan.pending.event_id)
        elif plan.settled_pending:
            self.pending = None
        cursor = plan.cursor
        assert cursor is not None
        assert cursor.cursor_at >= self.job.cursor_at
        self.job = Job(
            "job", "default", self.job.definition, cursor.status, 1, START, START, cursor.cursor_at,
            next_run_at=cursor.next_run_at, scheduled_count=self.job.scheduled_count + cursor.made,
        )  # fmt: skip
