"""Schedules of cron expressions: ``{"cron": ...}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mainspring.errors import ScheduleError
from mainspring.schedule import sentence, warnings
from mainspring.schedule.anchor import Setting
from mainspring.schedule.clock_policy import REAL_TIME, ClockPolicy, read_policy
from mainspring.schedule.cron_fields import CronFields
from mainspring.schedule.cron_match import CronMatcher
from mainspring.schedule.cron_text import parse_cron
from mainspring.schedule.instants import describe
from mainspring.schedule.reading import flag
from mainspring.schedule.rules import Rule, Union
from mainspring.schedule.wall_clock import WallClockRule

MOST_EXPRESSIONS = 20


class CronShape(NamedTuple):
    """The union of one or more expressions."""

    rule: Rule
    expressions: Sequence[CronFields]
    setting: Setting
    day_match_given: bool

    @property
    def follows_wall_clock(self) -> bool:
        """Only wildcard expressions that name every hour of every day do not."""
        return any(not fields.every_hour or not fields.wildcard for fields in self.expressions)

    def sentence(self) -> str:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        return sentence.cron_sentence(self.expressions, self.setting.zone.name)

    def warnings(self) -> Iterator[str]:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        yield from warnings.cron_warnings(self.expressions, day_match_given=self.day_match_given)
        yield from warnings.clock_change_warnings(self.rule, self.setting.zone, self.setting.since)


def read_cron(spec: Mapping[str, Any], setting: Setting) -> CronShape:
    """Check the fields of such a schedule."""
    texts = spec["cron"]
    if not isinstance(texts, (list, tuple)):
        texts = (texts,)
    if not 1 <= len(texts) <= MOST_EXPRESSIONS:
        fix = f"Give 1 to {MOST_EXPRESSIONS} expressions."
        raise ScheduleError("cron", f"{len(texts)} expressions", "an unusable number of expressions", fix)
    day_match = spec.get("day_match")
    if "day_match" in spec and (not isinstance(day_match, str) or day_match not in ("any", "all")):
        raise ScheduleError("day_match", describe(day_match), "not one of the choices", "Use any or all.")
    seconds = flag(spec, "seconds")
    policy = read_policy(spec)
    expressions, rules = [], []
    for text in texts:
        fields = parse_cron(text, seconds=seconds, day_match=day_match)
        expressions.append(fields)
        rules.append(_rule(fields, setting, policy))
    rule = rules[0] if len(rules) == 1 else Union(rules)
    return CronShape(rule, expressions, setting, day_match is not None)


def _rule(fields: CronFields, setting: Setting, policy: ClockPolicy) -> Rule:
    matcher = CronMatcher(fields)
    if not matcher.fires():
        raise ScheduleError("cron", fields.text, "no date matches this, ever", "Mend the day or the month.")
    return WallClockRule(matcher, setting.zone, REAL_TIME if fields.wildcard else policy)
