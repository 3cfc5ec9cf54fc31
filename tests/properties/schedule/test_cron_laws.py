"""Laws of cron expressions over generated expressions, zones and starts, against the minute-by-minute oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mainspring.schedule import CompiledSchedule, ScheduleError, compile_schedule
from tests.properties.schedule.oracle import examples, runs
from tests.properties.schedule.strategies import EXPRESSIONS, places

SPAN = timedelta(days=3)
_LIMIT = 4_400


def made(text: str | list[str], zone: str, **options: str) -> CompiledSchedule | None:
    """The schedule, or None when no date matches the generated text."""
    try:
        return compile_schedule({"cron": text, **options}, timezone=zone)
    except ScheduleError as error:
        assert error.problem == "no date matches this, ever"
        return None


def forward(schedule: CompiledSchedule, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = start
    for _ in range(_LIMIT):
        occurrence = schedule.next(at)
        if occurrence is None or occurrence.at > end:
            return found
        assert occurrence.at > at
        at = occurrence.at
        if occurrence.excluded_by is None:
            found.append(at)
    raise AssertionError("the schedule does not come to an end")


def backward(schedule: CompiledSchedule, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = end + timedelta(microseconds=1)
    for _ in range(_LIMIT):
        occurrence = schedule.previous(at)
        if occurrence is None or occurrence.at <= start:
            return found[::-1]
        assert occurrence.at < at
        at = occurrence.at
        if occurrence.excluded_by is None:
            found.append(at)
    raise AssertionError("the schedule does not come to an end")


@examples(200)
@given(EXPRESSIONS, places(), st.sampled_from(["first", "second", "both"]), st.sampled_from(["next_valid", "skip"]))
def test_next_and_previous_agree_with_stepping_through_every_minute(
    text: str, place: tuple[str, datetime], fold: str, gap: str
) -> None:
    zone, start = place
    schedule = made(text, zone, dst_fold=fold, dst_gap=gap)
    if schedule is None:
        return
    wanted = runs(text, zone, start, start + SPAN, fold=fold, gap=gap)
    assert forward(schedule, start, start + SPAN) == wanted
    assert backward(schedule, start, start + SPAN) == wanted


@examples(60)
@given(st.lists(EXPRESSIONS, min_size=2, max_size=4), places())
def test_several_expressions_run_when_any_of_them_does_and_once(texts: list[str], place: tuple[str, datetime]) -> None:
    zone, start = place
    texts = [text for text in texts if made(text, zone) is not None]
    if not texts:
        return
    schedule = made(texts, zone)
    assert schedule is not None
    wanted = sorted({at for text in texts for at in runs(text, zone, start, start + SPAN)})
    assert forward(schedule, start, start + SPAN) == wanted
    assert backward(schedule, start, start + SPAN) == wanted


@examples(150)
@given(EXPRESSIONS, places(), st.integers(-120_000_000, 120_000_000))
def test_previous_is_the_inverse_of_next_from_any_microsecond(
    text: str, place: tuple[str, datetime], shift: int
) -> None:
    zone, start = place
    schedule = made(text, zone)
    if schedule is None:
        return
    start += timedelta(microseconds=shift)
    following = schedule.next(start)
    if following is None:
        return
    assert following.at > start
    assert schedule.at(following.at) == following
    before = schedule.previous(following.at)
    # Nothing lies between: the last one before the next one is not after the start.
    assert before is None or before.at <= start
    assert before is None or schedule.next(before.at) == following


@examples(100)
@given(EXPRESSIONS, places(), st.integers(0, 30), st.integers(1, 59))
def test_leading_seconds_add_their_second_to_every_run(
    text: str, place: tuple[str, datetime], count: int, second: int
) -> None:
    zone, start = place
    plain = made(text, zone)
    if plain is None:
        return
    exact = compile_schedule({"cron": f"{second} {text}", "seconds": True}, timezone=zone)
    at, exact_at = start, start + timedelta(seconds=59)
    for _ in range(count):
        one, other = plain.next(at), exact.next(exact_at)
        assert one is not None
        assert other is not None
        # At the end of a gap both run once, on the same instant.
        adjusted = any(note.startswith("dst_gap") for note in one.notes + other.notes)
        if adjusted:
            return
        assert other.at == one.at + timedelta(seconds=second)
        at, exact_at = one.at, other.at


@examples(100)
@given(EXPRESSIONS)
def test_every_expression_has_a_sentence_and_its_warnings_do_not_fail(text: str) -> None:
    schedule = made(text, "America/New_York")
    if schedule is not None:
        assert schedule.sentence.endswith(", America/New_York")
        assert all(": " in warning for warning in schedule.warnings)


@examples(500)
@given(st.text(alphabet=st.sampled_from(list("0123456789*/,-?LW# @monfri\t٣")), max_size=40))
def test_any_text_is_read_or_refused_with_a_fix(text: str) -> None:
    for seconds in (False, True):
        try:
            compile_schedule({"cron": text, "seconds": seconds})
        except ScheduleError as error:
            assert error.fix
            assert len(error.text) <= 80


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
FIELDS = ["cron", "every_ms", "every", "rrule", "run_at", "calendars", "start_at", "end_at", "jitter_ms"]
FIELDS += ["max_executions", "seconds", "day_match", "dst_gap", "dst_fold", "exdate", "dtstart"]


@examples(300)
@given(ANYTHING, st.sampled_from(FIELDS))
def test_a_field_of_any_type_is_read_or_refused(value: object, key: str) -> None:
    base = {"dtstart": {"rrule": "FREQ=DAILY"}, "exdate": {"rrule": "FREQ=DAILY", "dtstart": "2026-01-01T09:00"}}
    spec = {**base.get(key, {"cron": "0 9 * * *"}), key: value}
    try:
        compile_schedule(spec)
    except ScheduleError as error:
        assert error.fix


def test_the_oracle_itself_sees_a_gap_and_a_fold() -> None:
    """The classic cases, written out, so that a mistake in the oracle does not go unseen."""
    gap = runs("30 2 * * *", "America/New_York", datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
    assert gap == [datetime(2026, 3, 8, 7, tzinfo=UTC)]
    day = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    assert runs("30 1 * * *", "America/New_York", *day) == [datetime(2026, 11, 1, 5, 30, tzinfo=UTC)]
    both = runs("30 1 * * *", "America/New_York", *day, fold="both")
    assert both == [datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)]
    assert len(runs("*/30 * * * *", "America/New_York", *day)) == 48


@examples(300)
@given(EXPRESSIONS)
def test_a_schedule_is_called_rare_where_a_year_goes_by_without_a_run(text: str) -> None:
    if (schedule := made(text, "UTC")) is None:
        return
    # The kinds of a calendar year are 14, and 28 years between two skipped leap days hold each of them.
    years = [schedule.next(datetime(year, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)) for year in range(2001, 2029)]
    idle = any(found is None or found.at.year != 2001 + number for number, found in enumerate(years))
    assert idle == any(warning.startswith("rare:") for warning in schedule.warnings)
