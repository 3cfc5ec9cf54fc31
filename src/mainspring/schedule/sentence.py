"""A schedule in plain English: short for the common shapes, exact for all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mainspring.schedule.cron_fields import CronFields, DayKind, DayRule
from mainspring.schedule.rrule_text import Frequency, Recurrence

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def cron_sentence(expressions: Sequence[CronFields], zone: str) -> str:
    """Return what a union of expressions means, ending in the zone.

    >>> from mainspring.schedule.cron_text import parse_cron
    >>> cron_sentence([parse_cron("0 9,17 * * 1-5")], "Europe/Istanbul")
    'At 09:00 and 17:00, Monday to Friday, Europe/Istanbul'
    """
    told = [_one(fields) for fields in expressions]
    rest = (text[0].lower() + text[1:] for text in told[1:])
    return f"{'; and '.join((told[0], *rest))}, {zone}"


def _one(fields: CronFields) -> str:
    return ", ".join((_times(fields), *_days(fields)))


def _times(fields: CronFields) -> str:
    seconds, minutes, hours = values(fields.seconds), values(fields.minutes), values(fields.hours)
    if _few(fields):
        tail = f":{seconds[0]:02}" if seconds[0] else ""
        return "At " + listed([f"{hour:02}:{minute:02}{tail}" for hour in hours for minute in minutes])
    if seconds == minutes == [0] and len(hours) == 24:
        return "Every hour, on the hour"
    told = _within_hour(seconds, minutes)
    if len(hours) == 24:
        return told if told.startswith("Every") else f"{told} of every hour"
    runs = spans(hours)
    if len(runs) <= 4:
        return f"{told}, {listed([f'from {low:02}:00 to {high:02}:59' for low, high in runs])}"
    return f"{told}, in the hours {listed([f'{hour:02}' for hour in hours])}"


def _few(fields: CronFields) -> bool:
    """Whether the times of day are few enough to be written out."""
    return fields.seconds.bit_count() == 1 and fields.minutes.bit_count() * fields.hours.bit_count() <= 6


def _within_hour(seconds: list[int], minutes: list[int]) -> str:
    """Say which minutes (and seconds) of an hour are meant."""
    if len(seconds) > 1:
        step = _even(seconds, 60)
        told = f"Every {counted(step, 'second')}" if step else f"At the seconds {ranged(seconds)}"
        return told if len(minutes) == 60 else f"{told} of {_minutes(minutes)}"
    tail = f", {seconds[0]} seconds past" if seconds[0] else ""
    step = _even(minutes, 60)
    return (f"Every {counted(step, 'minute')}" if step else f"At {_minutes(minutes)}") + tail


def _minutes(minutes: list[int]) -> str:
    return f"minute {minutes[0]}" if len(minutes) == 1 else f"minutes {ranged(minutes)}"


def _days(fields: CronFields) -> list[str]:
    months = values(fields.months)
    in_months = "" if len(months) == 12 else listed([_span(low, high, _MONTHS, 1) for low, high in spans(months)])
    by_date, by_weekday = _dates(fields, in_months or "the month"), _weekdays(fields)
    if by_date and by_weekday:
        days = f"{by_date}, and also {by_weekday}" if fields.either_day else f"{by_date} if that is {by_weekday}"
    else:
        days = by_date or by_weekday
    told = [days] if days else []
    if in_months and (by_weekday or not by_date):
        told.append(f"in {in_months}")
    if not told and _few(fields):
        told.append("every day")
    return told


def _dates(fields: CronFields, month: str) -> str:
    text, days = fields.parts[3], values(fields.days)
    if len(days) == 31 and text[0] in "*?":
        return ""
    if text.startswith("*/") and text[2:].isdigit():
        return f"on every {_ordinal(int(text[2:]))} day of {month} from the 1st"
    told = ["the " + _span_of_days(low, high) for low, high in spans(days)]
    told += [_rule(rule) for rule in fields.day_rules]
    return f"on {listed(told)} of {month}"


def _span_of_days(low: int, high: int) -> str:
    return _ordinal(low) if low == high else f"{_ordinal(low)} to {_ordinal(high)}"


def _weekdays(fields: CronFields) -> str:
    days = values(fields.weekdays)
    if len(days) == 7 and fields.parts[5][0] in "*?":
        return ""
    # The week ends on Sunday for people: 0 goes last.
    days = sorted(day or 7 for day in days)
    told = [_span(low, high, _WEEKDAYS, 0) for low, high in spans(days)]
    told += [_rule(rule) + " of the month" for rule in fields.weekday_rules]
    return listed(told)


def _rule(rule: DayRule) -> str:
    match rule.kind:
        case DayKind.BEFORE_LAST if rule.day:
            return f"the day {rule.day} {'day' if rule.day == 1 else 'days'} before the last"
        case DayKind.BEFORE_LAST:
            return "the last day"
        case DayKind.LAST_WORKDAY:
            return "the last Monday-to-Friday day"
        case DayKind.NEAREST_WORKDAY:
            return f"the Monday-to-Friday day nearest the {_ordinal(rule.day)}"
        case DayKind.NTH_WEEKDAY:
            return f"the {_ORDINALS[rule.nth]} {_WEEKDAYS[rule.day]}"
        case DayKind.LAST_WEEKDAY:
            return f"the last {_WEEKDAYS[rule.day]}"


def day_fields_told(fields: CronFields) -> str:
    """Return what the two day fields of an expression amount to: the text of a warning."""
    return ", ".join(_days(fields))


def grid_sentence(every: timedelta, anchor: datetime) -> str:
    """Return what an elapsed grid means.

    >>> grid_sentence(timedelta(minutes=10), datetime(2026, 1, 1))
    'Every 10 minutes of elapsed time, counted from 2026-01-01 00:00:00 UTC'
    """
    return f"Every {span_told(every)} of elapsed time, counted from {anchor:%Y-%m-%d %H:%M:%S} UTC"


def steps_sentence(size: int, unit: str, anchor: datetime, zone: str) -> str:
    """Return what calendar steps mean.

    >>> steps_sentence(2, "weeks", datetime(2026, 1, 5, 9), "Europe/Istanbul")
    'Every 2 weeks at 09:00, counted from 2026-01-05, Europe/Istanbul'
    """
    return f"Every {counted(size, unit[:-1])} at {_clock(anchor)}, counted from {anchor:%Y-%m-%d}, {zone}"


def once_sentence(at: datetime, zone: str) -> str:
    """Return what a single run means.

    >>> once_sentence(datetime(2026, 3, 1, 9), "UTC")
    'Once, on 2026-03-01 at 09:00, UTC'
    """
    return f"Once, on {at:%Y-%m-%d} at {_clock(at)}, {zone}"


def rrule_sentence(rule: Recurrence, start: datetime, zone: str) -> str:
    """Return what a recurrence rule means; its dates in words, what is rarer in its own terms.

    >>> from mainspring.schedule.rrule_text import parse_rrule
    >>> rule = parse_rrule("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR")
    >>> rrule_sentence(rule, datetime(2026, 1, 5, 9), "Europe/Istanbul")
    'Every 2 weeks, on Monday and Friday, at 09:00, from 2026-01-05, Europe/Istanbul'
    """
    noun = ("year", "month", "week", "day", "hour", "minute")[rule.frequency]
    told = [f"Every {counted(rule.interval, noun)}"]
    if rule.values("BYMONTH"):
        told.append("in " + listed([_MONTHS[month - 1] for month in rule.values("BYMONTH")]))
    if rule.values("BYMONTHDAY"):
        told.append(f"on the {listed([_from_end(day, 'day') for day in rule.values('BYMONTHDAY')])}")
    if rule.by_day:
        told.append("on " + listed([_numbered_day(ordinal, day) for ordinal, day in rule.by_day]))
    for part, name in (("BYYEARDAY", "day of the year"), ("BYWEEKNO", "week"), ("BYSETPOS", "of these")):
        if rule.values(part):
            told.append(f"{name} {listed([str(number) for number in rule.values(part)])}")
    told += _rrule_clock(rule, start)
    if rule.count is not None:
        told.append("once" if rule.count == 1 else f"{rule.count} times")
    told.append(f"from {start:%Y-%m-%d}")
    until = rule.until or rule.until_utc
    if until is not None:
        told.append(f"until {until:%Y-%m-%d %H:%M}" + (" UTC" if rule.until_utc else ""))
    return f"{', '.join(told)}, {zone}"


def _rrule_clock(rule: Recurrence, start: datetime) -> list[str]:
    hours, minutes, seconds = (rule.values(part) for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    if rule.frequency < Frequency.HOURLY and not minutes and not seconds:
        return ["at " + listed([_clock(start.replace(hour=hour)) for hour in hours or (start.hour,)])]
    told = []
    if rule.frequency < Frequency.HOURLY or hours:
        named = [f"{hour:02}" for hour in hours or (start.hour,)]
        told.append(("in the hour " if len(named) == 1 else "in the hours ") + listed(named))
    if rule.frequency < Frequency.MINUTELY or minutes:
        told.append("at " + _minutes(list(minutes or (start.minute,))))
    if seconds:
        told.append("at the seconds " + ranged(list(seconds)))
    return told


def _numbered_day(ordinal: int, weekday: int) -> str:
    return f"the {_from_end(ordinal, '')}{_WEEKDAYS[weekday]}" if ordinal else _WEEKDAYS[weekday]


def _from_end(number: int, noun: str) -> str:
    if number > 0:
        return _ordinal(number) + ("" if noun else " ")
    place = "last" if number == -1 else f"{_ordinal(-number)} last"
    return f"{place} {noun}"


def span_told(span: timedelta) -> str:
    """Return a duration in words; a single unit as it follows "every".

    >>> span_told(timedelta(minutes=1))
    'minute'

    >>> span_told(timedelta(days=1, seconds=90))
    '1 day 1 minute 30 seconds'
    """
    milliseconds = span // timedelta(milliseconds=1)
    parts = []
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000)):
        number, milliseconds = divmod(milliseconds, size)
        if number:
            parts.append((number, unit))
    if milliseconds:
        parts.append((milliseconds, "millisecond"))
    if len(parts) == 1:
        return counted(*parts[0])
    return " ".join(f"{number} {unit}{'s' if number > 1 else ''}" for number, unit in parts)


def counted(number: int, noun: str) -> str:
    """Return ``noun`` in the number given; one of it without the number's ``1``.

    >>> counted(1, "minute"), counted(5, "minute")
    ('minute', '5 minutes')
    """
    return noun if number == 1 else f"{number} {noun}s"


def listed(items: Sequence[str]) -> str:
    """Return items as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def ranged(numbers: list[int]) -> str:
    """Return numbers with their runs put together: ``1 to 3 and 7``."""
    return listed([str(low) if low == high else f"{low} to {high}" for low, high in spans(numbers)])


def values(mask: int) -> list[int]:
    """Return the bits set in a mask, lowest first."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of three or more neighbours as (low, high); the others stand alone.

    >>> spans([1, 2, 3, 5, 6])
    [(1, 3), (5, 5), (6, 6)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return [
        piece for low, high in found for piece in ([(low, high)] if high - low != 1 else [(low, low), (high, high)])
    ]


def _even(numbers: list[int], size: int) -> int:
    """The step when numbers are 0, n, 2n, ... and n divides ``size`` (or they are all of it); else 0."""
    if len(numbers) < 2 or numbers[0] != 0:
        return 0
    step = numbers[1]
    return step if size % step == 0 and numbers == list(range(0, size, step)) else 0


def _span(low: int, high: int, names: Sequence[str], first: int) -> str:
    def name(number: int) -> str:
        return names[(number - first) % len(names)]

    return name(low) if low == high else f"{name(low)} to {name(high)}"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"
