"""Whether a recurrence rule can name anything at all, told from its parts, without a search.

A period fits where it has a day, a time and a place (BYSETPOS) that the rule names. Years, and so months and days, come
in few kinds, and INTERVAL leads to few places of a year or a week: what fits none of them never fits. What may fit can
still be cut off by UNTIL, or be too rare to be found before the horizon.
"""

from __future__ import annotations

from math import gcd

from mainspring.schedule.rrule_days import RecurrenceDays, years_of_each_kind
from mainspring.schedule.rrule_text import Frequency, Recurrence

#: How many periods a day has.
PER_DAY = {Frequency.DAILY: 1, Frequency.HOURLY: 24, Frequency.MINUTELY: 1_440}


def may_fit(rule: Recurrence, days: RecurrenceDays, *, times: int, origin: int) -> bool:
    """Return whether some period may fit.

    Args:
        rule: What the periods have to fit.
        days: The days it names.
        times: How many times it names in one base: a day, an hour or a minute.
        origin: The period its INTERVAL counts from.
    """

    def chooses(named: int) -> bool:
        size, places = named * times, rule.values("BYSETPOS")
        return size > 0 and (not places or any(0 <= index_of(place, size) < size for place in places))

    match rule.frequency:
        case Frequency.YEARLY:
            return any(chooses(days.count(year * 12, 12)) for year in years_of_each_kind())
        case Frequency.MONTHLY:
            led = gcd(rule.interval, 12)
            months = (month for year in years_of_each_kind() for month in range(year * 12, year * 12 + 12))
            return any(chooses(days.count(month)) for month in months if (month - origin) % led == 0)
        case Frequency.WEEKLY:
            return chooses(sum(map(days.names_weekday, range(7))))
        case _:
            named = any(
                days.count(month) for year in years_of_each_kind() for month in range(year * 12, year * 12 + 12)
            )
            return chooses(1) and named and _leads_to_a_time(rule, days, origin)


def index_of(place: int, size: int) -> int:
    """Return where in a list of so many a place of BYSETPOS lies; outside of it, where the list is too short.

    >>> index_of(1, 5), index_of(-1, 5)
    (0, 4)
    """
    return place - 1 if place > 0 else size + place


def _leads_to_a_time(rule: Recurrence, days: RecurrenceDays, origin: int) -> bool:
    """Whether steps of INTERVAL days, hours or minutes ever come to a weekday, hour and minute that are named."""
    per_day = PER_DAY[rule.frequency]
    led = gcd(rule.interval, 7 * per_day)
    hours = rule.values("BYHOUR") or range(24) if per_day > 1 else (0,)
    minutes = rule.values("BYMINUTE") or range(60) if per_day > 24 else (0,)
    return any(
        (day * per_day + (hour * 60 + minute) * per_day // 1_440 - origin) % led == 0
        for day in range(7)
        if days.names_weekday((day + 4) % 7)  # day 0 was a Thursday
        for hour in hours
        for minute in minutes
    )
