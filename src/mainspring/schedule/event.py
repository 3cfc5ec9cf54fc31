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
from typing import Any

from mainspring.errors import ScheduleError
from mainspring.model.events import Event
from mainspring.model.wire import instant
from mainspring.schedule.anchor import bound_of
from mainspring.schedule.event_filter import checked_filter, first_mismatch
from mainspring.schedule.instants import DAY_MS, describe, from_ms
from mainspring.schedule.reading import refuse_unknown, require_mapping, text_list, whole_number
from mainspring.schedule.zones import zone

MOST_PATTERNS = 20
_MOST_THROTTLED = 10_000  # that many ledger rows are counted for each event
_KNOWN = ("events", "filter", "debounce_ms", "throttle", "jitter_ms", "start_at", "end_at", "max_executions")
_PATTERN = re.compile(r"(?:\*|[A-Za-z0-9_-]+)(?:[.:](?:\*|[A-Za-z0-9_-]+))*(?:[.:]\*\*)?|\*\*")


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most ``limit`` events in any ``per``; the others are decided as skipped."""

    limit: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an event does not match: the path of the first condition that fails, and a sentence."""

    path: str
    why: str


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

    def objection(self, event: Event) -> Objection | None:
        """Return the first reason why an event does not concern a job with this schedule; None: it matches.

        Looked at, in this order: the type, ``start_at`` and ``end_at``, the filter. Throttle, debounce and overlap are
        no matter of matching: they decide what becomes of an event that does.
        """
        if not self.matches(event.type):
            wanted = ", ".join(self.events)
            return Objection("events", f"{event.type!r} matches none of the patterns {wanted}")
        if self.start_at is not None and event.at < self.start_at:
            return Objection("start_at", f"events count from {self.start_at.isoformat()} on")
        if self.end_at is not None and event.at > self.end_at:
            return Objection("end_at", f"events counted until {self.end_at.isoformat()}")
        mismatch = first_mismatch(self.filter, as_object(event)) if self.filter else None
        return None if mismatch is None else Objection(mismatch.path, mismatch.why)


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
        filter=checked_filter(spec.get("filter", {})),
        debounce=_milliseconds(spec, "debounce_ms"),
        throttle=_throttle(spec["throttle"]) if "throttle" in spec else None,
        jitter=_milliseconds(spec, "jitter_ms"),
        start_at=None if start_at is None else from_ms(start_at),
        end_at=None if end_at is None else from_ms(end_at),
        max_executions=whole_number(spec, "max_executions", 1, 2**53) if "max_executions" in spec else None,
    )


def as_object(event: Event) -> dict[str, Any]:
    """Return an event as filters see it: the attributes of a CloudEvent, ``data``, and its extensions beside them.

    >>> from datetime import UTC
    >>> as_object(Event("7", "order.paid", "default", datetime(2026, 3, 2, tzinfo=UTC), "shop"))["source"]
    'shop'
    """
    found: dict[str, Any] = {
        **event.extensions,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": instant(event.at),
        "data": event.data,
    }
    return found if event.subject is None else {**found, "subject": event.subject}


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
    limit = whole_number(spec, "limit", 1, _MOST_THROTTLED, within="throttle.")
    return Throttle(limit, timedelta(milliseconds=whole_number(spec, "per_ms", 1, 31 * DAY_MS, within="throttle.")))
