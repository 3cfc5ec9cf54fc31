"""What is not a schedule is refused: always with a ScheduleError, always with a fix, never after growing."""

from __future__ import annotations

import sys
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from mainspring.schedule import ScheduleError, compile_schedule, preview

SIXTY = ",".join(map(str, range(60)))

CRON_TEXTS = [
    "", " ", "\t", "\n", "*", "* *", "* * *", "* * * *", "* * * * * *", "* * * * * * *", "a", "a b c d e",
    # values out of range
    "60 * * * *", "-1 * * * *", "99 * * * *", "* 24 * * *", "* -1 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *",
    "* * * 13 *", "* * * * 8", "* * * * -1", "0060000 * * * *", "00000 * * * *", "0.5 * * * *", "1e1 * * * *",
    "0x5 * * * *", "1_0 * * * *", "+5 * * * *", "5+ * * * *",
    # lists
    ", * * * *", "1, * * * *", ",1 * * * *", "1,,2 * * * *", "1;2 * * * *", "1|2 * * * *",
    # ranges
    "5-1 * * * *", "1- * * * *", "-5 * * * *", "1-2-3 * * * *", "1--2 * * * *", "1--100000000 * * * *", "- * * * *",
    "0-60 * * * *", "0-999999999 * * * *", "*-5 * * * *", "5-* * * * *", "* 22-6 * * *", "* * * * fri-sun",
    "* * 31-1 * *", "* * * dec-jan *", "1..5 * * * *", "1~5 * * * *",
    # steps
    "*/0 * * * *", "*/60 * * * *", "*/90 * * * *", "*/-1 * * * *", "*/ * * * *", "/5 * * * *", "*/*/2 * * * *",
    "*/a * * * *", "*/1.5 * * * *", "1/0 * * * *", "1-5/ * * * *", "1-5/0 * * * *", "* */24 * * *", "* * */32 * *",
    "* * * */13 *", "* * * * */8", "*//2 * * * *", "5/ * * * *", "*/99999 * * * *", "** * * * *", "*5 * * * *",
    "5* * * * *", "*2/2 * * * *",
    # names
    "jan * * * *", "* mon * * *", "* * mon * *", "* * * mon *", "* * * * jan", "* * * january *", "* * * * monday",
    "* * * * mo", "* * * * tues", "* * * * mon-", "* * * * -mon", "* * * jan-foo *", "* * * * xyz", "* * * * m0n",
    # extensions where they do not belong
    "? * * * *", "* ? * * *", "* * * ? *", "* * ?,1 * *", "* * ?/2 * *", "* * 1? * *", "L * * * *", "* L * * *",
    "* * * L *", "* * * * L", "* * * * LW", "* * L-31 * *", "* * L-99 * *", "* * L- * *", "* * L+1 * *", "* * LL * *",
    "* * WL * *", "* * W * *", "* * 0W * *", "* * 32W * *", "* * 1-5W * *", "* * 15WL * *", "* * L-3W * *",
    "* * 5L * *", "* * 5#3 * *", "* * * * 5#0", "* * * * 5#6", "* * * * 8#1", "* * * * #1", "* * * * 5#",
    "* * * * 5#1#2",
    "* * * * 5W", "* * * * 9L", "* * * * 1-5L", "* * * * 1-5#2", "* * * * monL#1", "H * * * *", "H/5 * * * *",
    "0~30 * * * *", "R * * * *", "1-5,H * * * *",
    # nicknames
    "@", "@never", "@reboot", "@every 5m", "@every_minute", "@Daily", "@HOURLY", "@hourly *", "@daily @weekly", "daily",
    "@ hourly",
    # zones, years and comments
    "TZ=UTC 0 0 * * *", "CRON_TZ=Europe/Berlin 0 0 * * *", "0 0 * * * UTC", "0 0 * * * 2026", "0 0 * * # comment",
    "0 0 * * 5 # friday", "0 0 * * *;",
    # other scripts and white space
    "٣ * * * *", "３ * * * *", "*\u00a0* * * *", "*\u2003* * * * *", "* * * *\u2028*", "0 0 * * ｍon", "0\n0 * * *",
    "0\r0 * * *", "0\v0 * * *", "0\f0 * * *", "0\x00 0 * * *", "0 0 * * *\n", "\ufeff0 0 * * *", "½ * * * *",
    "² * * * *",
    "− * * * *", "∗ * * * *", "İ * * * *",
    # never
    "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4 *", "0 0 31 2,4,6,9,11 *", "0 0 30,31 2 *", "0 0 30W 2 *", "0 0 L-30 2 *",
    "0 0 L-30 4 *", "0 0 30 2 */2",
    # long
    "," * 100_000, "*" * 100_000, "1" * 5_000 + " * * * *", "1" * 900 + " * * * *",
    "* " * 50_000, "1,2," * 400 + "1 * * * *",
    "0-59/" + "9" * 500 + " * * * *", "(" * 999, "a" * 1_000, "-" * 1_000, "/" * 1_000, "#" * 1_000,
]  # fmt: skip

NOT_TEXT: list[Any] = [
    None, True, False, 0, 5, -1, 1.5, float("nan"), 10**5_000, b"* * * * *", {}, {"cron": "* * * * *"}, set(), object(),
    [], [None], [5], [True], [["* * * * *"]], ["* * * * *", None], ["* * * * *", ""], ["* * * * *"] * 21, [[]], (1, 2),
]  # fmt: skip


def _each(field: str, values: list[Any], **others: Any) -> list[dict[str, Any]]:
    return [{**others, field: value} for value in values]


NO_MOMENTS: list[Any] = [
    None, 5, True, "", "now", "2026-01-01", "2026-01-01T24:00", "2026-13-01T00:00", "2026-02-30T00:00",
    "2026-01-01T00:00:60", "2026-01-01T00:00+24:00", "2026-01-01T00:00+03", "1969-01-01T00:00", "2201-01-01T00:00",
    "26-01-01T00:00", "2026-1-1T00:00", "2026-01-01T00:00 Z", "２026-01-01T00:00", "2026-01-01T00:00:00.1234567890",
    "0000-01-01T00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00Z" * 1000, [], {},
]  # fmt: skip

NO_DATES: list[Any] = [
    None, "2026-01-01T09:00", [None], [5], ["2026-01-01"], ["2026-01-01T09:00"] * 1001, {},
]  # fmt: skip

OTHERS: list[Any] = [
    None, [], "", "0 9 * * *", 5, {}, {"type": "cron"}, {"crn": "* * * * *"}, {1: 2}, {None: None},
    {"cron": "* * * * *", "every_ms": 1000}, {"cron": "* * * * *", "run_at": "2026-01-01T00:00:00Z"},
    {"cron": "* * * * *", "type": "cron"}, {"cron": "* * * * *", "jiter_ms": 5}, {"cron": "* * * * *", 5: 5},
    {"cron": "* * * * *", "anchor_at": "2026-01-01T00:00:00Z"}, {"every_ms": 1000, "dst_gap": "skip"},
    {"run_at": "2026-01-01T00:00:00Z", "dst_fold": "both"}, {"every_ms": 1000, "seconds": True},
    {"events": ["order.*"]}, {"cron": "* * * * *", "events": ["order.*"]},
    # options of cron
    *_each("seconds", [True, "true", 1, None], cron="* * * * *"),
    *_each("day_match", ["either", "ANY", "", None, True, [], 1], cron="* * * * *"),
    *_each("dst_gap", ["run", "shift", "nothing", "", None, 1], cron="* * * * *"),
    *_each("dst_fold", ["last", "none", "", None, 2], cron="* * * * *"),
    # common fields
    *_each("jitter_ms", [-1, 86_400_001, 1.0, "5", True, None, 10**40], cron="* * * * *"),
    *_each("max_executions", [0, -1, 1.5, "5", True, None, 10**40], cron="* * * * *"),
    *_each("start_at", NO_MOMENTS, cron="* * * * *"), *_each("end_at", NO_MOMENTS, cron="* * * * *"),
    {"cron": "0 0 * * *", "start_at": "2027-01-01T00:00Z", "end_at": "2026-01-01T00:00Z"},
    {"cron": "0 0 1 1 *", "start_at": "2026-02-01T00:00Z", "end_at": "2026-03-01T00:00Z"},
    {"cron": "0 0 * * *", "end_at": "1970-01-01T00:00:00Z", "start_at": "1970-01-01T00:00:01Z"},
    # calendars
    *_each("calendars", [
        None, [], "tr", {}, {"exclude": []}, {"exclude": "tr"}, {"exclude": [None]}, {"exclude": [""]},
        {"exclude": ["unknown"]}, {"include": ["unknown"]}, {"exclude": ["a"] * 21}, {"excluded": ["tr"]},
        {"on_excluded": "skip"}, {"exclude": ["tr"], "on_excluded": "drop"}, {"exclude": ["x" * 300]},
    ], cron="* * * * *"),
    # intervals
    *_each("every_ms", [0, 1, 999, -1000, 1000.0, "1000", None, True, [], 10**15, float("inf")]),
    *_each("every", [
        None, 5, "P1D", [], {}, {"days": 0}, {"days": -1}, {"days": 1.0}, {"days": "1"}, {"days": True}, {"day": 1},
        {"hours": 1}, {"days": 1, "weeks": 1}, {"days": 10**9}, {"months": 121}, {"years": 11}, {5: 5}, {"days": None},
    ]),
    {"every_ms": 1000, "anchor_at": "yesterday"}, {"every": {"days": 1}, "anchor_at": None},
    # one time
    *_each("run_at", [None, "", 5, True, "2026-01-01", "tomorrow", "2026-02-30T09:00", [], {}]),
    {"run_at": "2026-01-01T00:00Z", "start_at": "2026-02-01T00:00Z", "end_at": "2026-03-01T00:00Z"},
    # recurrence rules
    *_each("rrule", [
        None, 5, True, [], "", ";", "FREQ", "FREQ=", "=DAILY", "FREQ=SECONDLY", "FREQ=FORTNIGHTLY", "INTERVAL=2",
        "FREQ=DAILY;", ";FREQ=DAILY", "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=1.5", "FREQ=DAILY;INTERVAL=100001", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=-1",
        "FREQ=DAILY;COUNT=10001", "FREQ=DAILY;COUNT=5;UNTIL=20270101T000000", "FREQ=DAILY;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=20270230T000000", "FREQ=DAILY;UNTIL=20250101T000000", "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;BYHOUR=24", "FREQ=DAILY;BYHOUR=-1", "FREQ=DAILY;BYMINUTE=60", "FREQ=DAILY;BYSECOND=60",
        "FREQ=DAILY;BYHOUR=", "FREQ=DAILY;BYHOUR=1,,2", "FREQ=DAILY;BYHOUR=1 ,2", "FREQ=DAILY;BYHOUR=٣",
        "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=MONTHLY;BYMONTHDAY=-32",
        "FREQ=YEARLY;BYMONTH=13", "FREQ=YEARLY;BYMONTH=0", "FREQ=YEARLY;BYMONTH=JAN", "FREQ=YEARLY;BYYEARDAY=367",
        "FREQ=YEARLY;BYWEEKNO=54;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=20", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO",
        "FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO", "FREQ=MONTHLY;BYYEARDAY=1", "FREQ=DAILY;BYYEARDAY=1",
        "FREQ=WEEKLY;BYMONTHDAY=1", "FREQ=WEEKLY;BYDAY=2MO", "FREQ=DAILY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=YEARLY;BYDAY=54MO", "FREQ=YEARLY;BYMONTH=1;BYDAY=6MO", "FREQ=MONTHLY;BYDAY=0MO", "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;BYDAY=MONDAY", "FREQ=WEEKLY;WKST=MON", "FREQ=DAILY;BYSETPOS=1", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", "FREQ=YEARLY;BYEASTER=1", "FREQ=DAILY;X-FOO=1", "DTSTART:20260101T090000",
        "FREQ=DAILY\nEXDATE:20260101T090000", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30", "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6", "FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 2000),
        f"FREQ=DAILY;BYHOUR=0,1,2;BYMINUTE={SIXTY};BYSECOND={SIXTY}",
        "FREQ=MINUTELY;INTERVAL=1439;BYHOUR=9;BYMINUTE=0;COUNT=10000", "A" * 100_000, ";" * 1000,
    ], dtstart="2026-01-01T09:00"),
    {"rrule": "FREQ=DAILY"}, {"rrule": "FREQ=DAILY", "dtstart": None}, {"rrule": "FREQ=DAILY", "dtstart": "2026-01-01"},
    {"rrule": "FREQ=DAILY;COUNT=1", "dtstart": "2026-01-01T09:00", "exdate": ["2026-01-01T09:00"]},
    *_each("exdate", NO_DATES, rrule="FREQ=DAILY", dtstart="2026-01-01T09:00"),
    *_each("rdate", NO_DATES, rrule="FREQ=DAILY", dtstart="2026-01-01T09:00"),
]  # fmt: skip

ZONES: list[Any] = [
    None, 5, True, [], "", " ", "EST", "PST", "EST5EDT", "CET", "GMT", "GMT+3", "UTC+3", "+03:00", "-0500", "Z", "utc",
    "localtime", "local", "Factory", "posix/Europe/Berlin", "right/Europe/Berlin", "/Europe/Berlin", "Europe/Berlin ",
    "../Europe/Berlin", "Europe/../Europe/Berlin", "Europe", "Europe/", "europe/berlin", "Europe/Berlinn",
    "Mars/Olympus",
    "Europe/Ber\x00lin", "Europe/Berlın", "A" * 100_000, "/etc/localtime", "zone.tab", "tzdata.zi",
    "__init__.py", b"UTC",
]  # fmt: skip


def _refused(schedule: Any, timezone: Any = "UTC") -> ScheduleError:
    with pytest.raises(ScheduleError) as caught:
        compile_schedule(schedule, timezone=timezone)
    error = caught.value
    assert error.fix
    assert error.problem
    assert len(error.text) <= 80
    assert len(str(error)) < 1_000
    return error


def test_the_corpus_is_large() -> None:
    assert len(CRON_TEXTS) + len(NOT_TEXT) + len(OTHERS) + len(ZONES) > 400


@pytest.mark.parametrize("text", CRON_TEXTS, ids=lambda text: repr(text[:30]))
def test_a_text_that_is_not_cron_is_refused(text: str) -> None:
    assert _refused({"cron": text}).field.split(".")[0] == "cron"
    _refused({"cron": ["0 9 * * *", text]})


@pytest.mark.parametrize("value", NOT_TEXT, ids=lambda value: repr(type(value)))
def test_cron_that_is_not_text_is_refused(value: Any) -> None:
    assert _refused({"cron": value}).field == "cron"


@pytest.mark.parametrize("schedule", OTHERS, ids=lambda schedule: str(schedule)[:60])
def test_an_object_that_is_not_a_schedule_is_refused(schedule: Any) -> None:
    _refused(schedule)


@pytest.mark.parametrize("name", ZONES, ids=lambda name: repr(name)[:30])
def test_a_name_that_is_not_a_zone_is_refused_never_replaced(name: Any) -> None:
    assert _refused({"cron": "0 9 * * *"}, name).field == "timezone"


def test_refusing_takes_no_memory_to_speak_of() -> None:
    for text in CRON_TEXTS:
        tracemalloc.start()
        with pytest.raises(ScheduleError):
            compile_schedule({"cron": text})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000, text[:40]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYSETPOS=366;BYWEEKNO=9;BYDAY=SU;BYYEARDAY=-366;COUNT=10000",
        "FREQ=YEARLY;BYWEEKNO=-53;BYMONTHDAY=29;BYDAY=MO;BYSETPOS=-366",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=MONTHLY;INTERVAL=6;BYMONTH=2,3",
        "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2,4,6,9,11",
        "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3;COUNT=10000",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=HOURLY;INTERVAL=168;BYDAY=FR;COUNT=5",
        "FREQ=MINUTELY;BYSETPOS=366;BYYEARDAY=60;COUNT=1",
        "FREQ=MINUTELY;INTERVAL=10080;BYHOUR=10",
        "FREQ=HOURLY;INTERVAL=11;BYHOUR=8;COUNT=10000",
    ],
)
def test_a_rule_that_names_nothing_is_refused_without_a_long_search(rule: str) -> None:
    """They took up to 0.8 s: each period up to the horizon was looked at."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        _refused({"rrule": rule, "dtstart": "2026-01-01T09:00"})
    finally:
        sys.setprofile(None)
    assert calls < 40_000


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("22-6 * * * *", '"22-59,0-6"'),
        ("0 0 * * fri-sun", '"5-6,0"'),
        ("*/90 * * * *", "every_ms"),
        ("TZ=UTC 0 0 * * *", "timezone"),
        ("@Daily", '"@daily"'),
        ("@every 5m", "every_ms"),
        ("H * * * *", "jitter_ms"),
        ("* * * * * *", '"seconds": true'),
    ],
)
def test_the_fix_names_what_was_probably_meant(text: str, fix: str) -> None:
    assert fix in (_refused({"cron": text}).fix or "")


@pytest.mark.parametrize(
    ("name", "fix"),
    [("EST", "America/New_York"), ("europe/berlin", "Europe/Berlin"), ("Istanbul", "Europe/Istanbul"), ("utc", "UTC")],
)
def test_the_fix_names_the_zone_that_was_probably_meant(name: str, fix: str) -> None:
    assert f'"{fix}"' in (_refused({"cron": "@daily"}, name).fix or "")


@pytest.mark.parametrize("after", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), "2026", 5])
def test_a_preview_from_where_no_clock_can_be_told_is_refused(after: Any) -> None:
    with pytest.raises(ScheduleError) as refused:
        preview({"cron": "* * * * *"}, after=after)
    assert refused.value.field == "after"
