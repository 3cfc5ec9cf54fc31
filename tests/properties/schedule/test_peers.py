"""Agreement with croniter and cronsim, where they follow the same rules: wall times, without clock changes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from croniter import croniter
from cronsim import CronSim
from hypothesis import assume, given
from hypothesis import strategies as st

from mainspring.schedule import ScheduleError, compile_schedule
from tests.properties.schedule.oracle import examples
from tests.properties.schedule.strategies import EXPRESSIONS

STARTS = st.integers(1_104_537_600, 1_830_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
COUNT = 8


def ours(text: str, start: datetime, *, back: bool = False) -> list[datetime]:
    schedule = compile_schedule({"cron": text})
    found, at = [], start
    for _ in range(COUNT):
        occurrence = schedule.previous(at) if back else schedule.next(at)
        if occurrence is None:
            break
        at = occurrence.at
        found.append(at)
    return found


def possible(text: str) -> bool:
    try:
        compile_schedule({"cron": text})
    except ScheduleError:
        return False
    return True


@examples(250)
@given(EXPRESSIONS, STARTS)
def test_cronsim_names_the_same_wall_times(text: str, start: datetime) -> None:
    # cronsim reads "5-5/2" as "5/2", and gives up after 50 years.
    assume(not any(term.partition("-")[0] == term.partition("-")[2].partition("/")[0] and "/" in term
                   for part in text.split() for term in part.split(",")))  # fmt: skip
    assume(possible(text))
    found = ours(text, start)
    assume(found and found[-1] - start < timedelta(days=40 * 365))
    peer = CronSim(text, start.replace(tzinfo=None))
    assert [at.replace(tzinfo=None) for at in found] == [next(peer) for _ in found]


@examples(120)
@given(st.sampled_from(["L", "LW", "L,15", "1,LW"]), st.sampled_from(["*", "1-6", "2", "2,4"]), STARTS)
def test_cronsim_names_the_same_last_days(day: str, month: str, start: datetime) -> None:
    text = f"0 6 {day} {month} *"
    peer = CronSim(text, start.replace(tzinfo=None))
    assert [at.replace(tzinfo=None) for at in ours(text, start)] == [next(peer) for _ in range(COUNT)]


@examples(120)
@given(st.integers(0, 6), st.one_of(st.integers(1, 5).map("#{}".format), st.just("L")), STARTS)
def test_cronsim_names_the_same_numbered_weekdays(weekday: int, which: str, start: datetime) -> None:
    text = f"0 6 * * {weekday}{which}"
    peer = CronSim(text, start.replace(tzinfo=None))
    assert [at.replace(tzinfo=None) for at in ours(text, start)] == [next(peer) for _ in range(COUNT)]


@examples(80)
@given(EXPRESSIONS, STARTS)
def test_croniter_names_the_same_wall_times_in_both_directions(text: str, start: datetime) -> None:
    parts = text.split()
    # croniter: OR after a stepped star in a day field; "5-5" is the whole field; "1/2" of the week ends on Saturday.
    assume(not re.search(r"(^|,)[0-9]/", parts[4]))
    assume(not any(part.startswith("*/") for part in (parts[2], parts[4])))
    assume(not any(term.partition("-")[0] == term.partition("-")[2].partition("/")[0]
                   for part in parts for term in part.split(",") if "-" in term))  # fmt: skip
    assume(possible(text))
    found, earlier = ours(text, start), ours(text, start, back=True)
    assume(found and found[-1] - start < timedelta(days=40 * 365))
    assume(earlier and start - earlier[-1] < timedelta(days=30 * 365))
    peer = croniter(text, start)
    assert found == [peer.get_next(datetime) for _ in found]
    peer = croniter(text, start)
    assert earlier == [peer.get_prev(datetime) for _ in earlier]
