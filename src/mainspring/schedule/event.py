"""Event schedules: which events start a job. They name no instants, so nothing here walks time.

A type is cut into segments by dots and colons: ``order.created`` has two, ``kb:document.indexed`` three. A pattern is
such a type in which ``*`` stands for exactly one segment and ``**``, at the end only, for one or more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from mainspring.errors import ScheduleError
from mainspring.schedule.anchor import bound_of
from mainspring.schedule.instants import DAY_MS, describe, from_ms
from mainspring.schedule.reading import refuse_unknown, require_mapping, text_list, whole_number
from mainspring.schedule.zones import zone

MOST_PATTERNS = 20
_MOST_DEPTH = 8
_MOST_CONDITIONS = 200
_KNOWN = ("events", "filter", "debounce_ms", "throttle", "jitter_ms", "start_at", "end_at", "max_executions")
_PATTERN = re.compile(r"(?:\*|[A-Za-z0-9_-]+)(?:[.:](?:\*|[A-Za-z0-9_-]+))*(?:[.:]\*\*)?|\*\*")
_OPERATORS = ("anything-but", "equals-ignore-case", "exists", "numeric", "prefix", "suffix")
_COMPARISONS = ("<", "<=", "=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most ``limit`` events in any ``per``; the others are decided as skipped."""

    limit: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class EventSchedule:
    """What a job waits for.

    Attributes:
        events: Type patterns, 1 to 20; an event that any of them matches starts the job.
        filter: An EventBridge-style pattern over the event; empty: every event passes.
        debounce: How long it must be quiet before the last of a burst starts the job; zero: no debouncing.
        jitter: Upper bound of a stable delay after the event.
        start_at, end_at: First and last instant at which an event counts, inclusive, in UTC.
        max_executions: How many executions the schedule may make.
    """

    events: tuple[str, ...]
    filter: Mapping[str, Any]
    debounce: timedelta
    throttle: Throttle | None
    jitter: timedelta
    start_at: datetime | None
    end_at: datetime | None
    max_executions: int | None

    @property
    def debounce_ms(self) -> int:
        """The debounce as on the wire, in milliseconds."""
        return self.debounce // timedelta(milliseconds=1)

    def matches(self, event_type: str) -> bool:
        """Return whether one of the patterns matches a type; the filter is not looked at."""
        return any(event_matches(pattern, event_type) for pattern in self.events)


def validate_event_schedule(schedule: Mapping[str, Any], *, timezone: str = "UTC") -> EventSchedule:
    """Check an event schedule and return it.

    Args:
        schedule: ``events`` (required), ``filter``, ``debounce_ms`` (up to a day), ``throttle``, ``jitter_ms``,
            ``start_at``, ``end_at``, ``max_executions``.
        timezone: IANA name; ``start_at`` and ``end_at`` may be wall times in it.

    Raises:
        ScheduleError: For anything that cannot be used.

    >>> validate_event_schedule({"events": ["order.*"], "debounce_ms": 500}).debounce_ms
    500
    """
    spec = require_mapping(schedule, "schedule", 'Write an object such as {"events": ["order.*"]}.')
    if "events" not in spec:
        raise ScheduleError("events", "", "the schedule names no events", 'Add "events": ["order.*"].')
    refuse_unknown(spec, _KNOWN)
    patterns = text_list(spec, "events", limit=MOST_PATTERNS)
    for pattern in patterns:
        _check_pattern(pattern)
    place = zone(timezone)
    start_at, end_at = bound_of(spec, "start_at", place), bound_of(spec, "end_at", place)
    if start_at is not None and end_at is not None and end_at < start_at:
        raise ScheduleError("end_at", describe(str(spec["end_at"])), "end_at is before start_at", "Swap them.")
    return EventSchedule(
        events=patterns,
        filter=_checked_filter(spec.get("filter", {})),
        debounce=_milliseconds(spec, "debounce_ms"),
        throttle=_throttle(spec["throttle"]) if "throttle" in spec else None,
        jitter=_milliseconds(spec, "jitter_ms"),
        start_at=None if start_at is None else from_ms(start_at),
        end_at=None if end_at is None else from_ms(end_at),
        max_executions=whole_number(spec, "max_executions", 1, 2**53) if "max_executions" in spec else None,
    )


def event_matches(pattern: str, event_type: str) -> bool:
    """Return whether an event type matches a pattern.

    ``*`` is one whole segment, ``**`` at the end one or more; everything else, the separators too, is literal and
    case counts.

    Raises:
        ScheduleError: If ``pattern`` is not a pattern.

    >>> event_matches("order.*", "order.created"), event_matches("order.*", "order.item.added")
    (True, False)
    >>> event_matches("order.**", "order.item.added"), event_matches("kb:*", "kb:reindexed")
    (True, True)
    """
    return _compiled(pattern).fullmatch(event_type) is not None


@lru_cache(maxsize=4_096)
def _compiled(pattern: str) -> re.Pattern[str]:
    _check_pattern(pattern)
    segment, tail = r"[^.:]+", r"[^.:]+(?:[.:][^.:]+)*"
    pieces = re.split(r"([.:])", pattern)
    return re.compile("".join({"*": segment, "**": tail}.get(piece, re.escape(piece)) for piece in pieces))


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
        fix = 'Write segments of letters, digits, _ and - with . or : between: "order.*", "kb:**".'
        raise ScheduleError("events", describe(pattern), "not an event pattern", fix)


def _milliseconds(spec: Mapping[str, Any], key: str) -> timedelta:
    return timedelta(milliseconds=whole_number(spec, key, 0, DAY_MS) if key in spec else 0)


def _throttle(value: object) -> Throttle:
    advice = 'Write {"limit": 10, "per_ms": 60000}.'
    spec = require_mapping(value, "throttle", advice)
    refuse_unknown(spec, ("limit", "per_ms"), within="throttle.")
    if len(spec) != 2:
        raise ScheduleError("throttle", ", ".join(spec), "needs both limit and per_ms", advice)
    limit = whole_number(spec, "limit", 1, 1_000_000, within="throttle.")
    return Throttle(limit, timedelta(milliseconds=whole_number(spec, "per_ms", 1, 31 * DAY_MS, within="throttle.")))


def _checked_filter(value: object) -> Mapping[str, Any]:
    pattern = require_mapping(value, "filter", 'Write {"data": {"status": ["paid"]}}.')
    budget = [_MOST_CONDITIONS]
    return _checked_object(pattern, "filter", 1, budget)


def _checked_object(pattern: Mapping[str, Any], path: str, depth: int, budget: list[int]) -> Mapping[str, Any]:
    """Check one level: each key leads to a list of conditions or to a deeper object; return it immutable."""
    if depth > _MOST_DEPTH:
        raise ScheduleError(path[:128], path, f"deeper than {_MOST_DEPTH} levels", "Compare fewer levels.")
    checked: dict[str, Any] = {}
    for key, wanted in pattern.items():
        here = f"{path}.{describe(key)}"
        if isinstance(wanted, Mapping):
            checked[key] = _checked_object(require_mapping(wanted, here, "Use text keys."), here, depth + 1, budget)
            continue
        fix = 'List the values allowed: ["paid", {"prefix": "re"}].'
        if not isinstance(wanted, (list, tuple)) or not wanted:
            raise ScheduleError(here, describe(wanted), "expected a list of conditions or an object", fix)
        budget[0] -= len(wanted)
        if budget[0] < 0:
            raise ScheduleError(path[:128], key, f"more than {_MOST_CONDITIONS} conditions", "Use fewer.")
        checked[key] = tuple(_checked_condition(condition, here) for condition in wanted)
    return MappingProxyType(checked)


def _checked_condition(condition: object, path: str) -> object:
    if condition is None or isinstance(condition, (str, int, float)):
        return condition
    fix = f"Use a plain value or one of {', '.join(_OPERATORS)}."
    if not isinstance(condition, Mapping) or len(condition) != 1:
        raise ScheduleError(path, describe(condition), "not a condition", fix)
    ((operator, operand),) = condition.items()
    if not _operand_fits(operator, operand):
        raise ScheduleError(path, f"{describe(operator)}: {describe(operand)}", "not a condition", fix)
    kept = tuple(operand) if isinstance(operand, (list, tuple)) else operand
    return MappingProxyType({operator: kept})


def _operand_fits(operator: object, operand: object) -> bool:
    match operator:
        case "prefix" | "suffix" | "equals-ignore-case":
            return isinstance(operand, str)
        case "exists":
            return isinstance(operand, bool)
        case "anything-but":
            items = operand if isinstance(operand, (list, tuple)) else (operand,)
            return 0 < len(items) <= _MOST_CONDITIONS and all(
                item is None or isinstance(item, (str, int, float)) for item in items
            )
        case "numeric":
            return (
                isinstance(operand, (list, tuple))
                and len(operand) in (2, 4)
                and all(sign in _COMPARISONS for sign in operand[::2])
                and all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in operand[1::2])
            )
    return False
