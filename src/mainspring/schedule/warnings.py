"""What the author of a schedule may not have meant. Nothing here changes what the schedule does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainspring.schedule.cron_fields import CronFields
from mainspring.schedule.cron_match import CronMatcher
from mainspring.schedule.instants import DAY, to_ms
from mainspring.schedule.rules import Rule
from mainspring.schedule.sentence import day_fields_told, listed, values
from mainspring.schedule.zones import Zone

_YEAR = 366 * DAY

# Field, its place in CronFields.parts, how many values it has, and what restarts it.
_RESTARTS = (
    ("seconds", 0, 60, "minute"),
    ("minutes", 1, 60, "hour"),
    ("hours", 2, 24, "day"),
    ("months", 4, 12, "year"),
)


def cron_warnings(expressions: Sequence[CronFields], *, day_match_given: bool) -> Iterator[str]:
    """Yield what is surprising about the text itself, without looking at a zone.

    >>> from mainspring.schedule.cron_text import parse_cron
    >>> list(cron_warnings([parse_cron("*/40 * * * *")], day_match_given=False))
    ['uneven: */40 restarts every hour: the minutes are 0 and 40; for a steady interval use every_ms']
    """
    for fields in expressions:
        if fields.both_days_restricted and not day_match_given:
            fix = "all" if fields.either_day else "any"
            yield f'both_day_fields: runs {day_fields_told(fields)}; set "day_match": "{fix}" for the other reading'
        yield from _restarts(fields)
        if len(values(fields.seconds)) > 1:
            yield f"often: {fields.text} runs more than once a minute"
        dates = values(fields.days)
        if dates and min(dates) > 28 and not fields.day_rules and fields.parts[5] in ("*", "?"):
            told = listed([str(day) for day in dates])
            yield f"short_months: months without day {told} have no run; L is the last day"
    if not any(CronMatcher(fields).fires_every_year() for fields in expressions):
        yield "rare: less than one run a year"


def _restarts(fields: CronFields) -> Iterator[str]:
    for name, index, size, whole in _RESTARTS:
        text = fields.parts[index]
        if text.startswith("*/") and text[2:].isdigit() and size % int(text[2:]):
            told = listed([str(value) for value in values(getattr(fields, name))])
            yield f"uneven: {text} restarts every {whole}: the {name} are {told}; for a steady interval use every_ms"
    day = fields.parts[3]
    if day.startswith("*/") and day != "*/1":
        told = f'{day} restarts on the 1st of every month; for a steady interval use "every": {{"days": {day[2:]}}}'
        yield f"uneven: {told}"


def clock_change_warnings(rule: Rule, zone: Zone, since: int | None) -> Iterator[str]:
    """Yield one text for each clock change of the year after ``since`` (in ms) that moves or doubles a run.

    None is where nobody said from when on the schedule matters: nothing to say.
    """
    if since is None:
        return
    start = since // 1_000
    segment = zone.segment_at(start)
    while segment.end < start + _YEAR:
        earlier, segment = segment, zone.segment_at(segment.end)
        reach = abs(segment.offset - earlier.offset)
        if not reach:
            continue
        # A gap is met at the change itself, a fold in the passes before and after it.
        fold = segment.offset < earlier.offset
        found = rule.next((segment.start - (reach if fold else 0)) * 1_000 - 1)
        if found is not None and to_ms(found.at) < (segment.start + reach) * 1_000 and found.notes:
            yield f"clock_change: {found.notes[0]}"
