"""The wire shapes of SPEC §3 and §6: values to plain data and back, the same in API, tables, job files and JSON output.

Durations are integer milliseconds with the suffix ``_ms``; instants are RFC 3339 in UTC with microseconds. Unknown
fields are refused with the nearest known name, wrong values with the path to them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from mainspring.errors import ValidationError
from mainspring.model.decision import Decision
from mainspring.model.execution import Attempt, Cause, DeadLetter, Execution, Failure, LogLine, Status, Transition
from mainspring.model.job import Job, JobDefinition, JobStats, JobType
from mainspring.model.policy import Isolation, Misfire, Overlap, RetryJitter, RetryPolicy

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")
HANDLER = re.compile(r"[a-zA-Z0-9_<][a-zA-Z0-9._:<>/@-]{0,254}")
HANDLER_TYPES = ("function", "agent", "workflow")
PAYLOAD_LIMIT = 256 * 1024
RESULT_LIMIT = 64 * 1024

_E = TypeVar("_E", bound=StrEnum)


def milliseconds(delta: timedelta) -> int:
    """Return a duration in whole milliseconds, rounded down.

    >>> milliseconds(timedelta(seconds=1.5))
    1500
    """
    return delta // timedelta(milliseconds=1)


@lru_cache(4096)  # what happens together is told by the hundred
def instant(at: datetime | None) -> str | None:
    """Return an instant as RFC 3339 in UTC with microseconds, None for None.

    >>> instant(datetime(2026, 3, 1, 9, tzinfo=UTC))
    '2026-03-01T09:00:00.000000Z'
    """
    if at is None:
        return None
    # Not strftime: it leaves the zeros out of years before 1000. Instants of the record are in UTC already.
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"


# -- reading -----------------------------------------------------------------------------------------------------


def refuse_unknown(fields: Iterable[str], known: Collection[str], where: str = "") -> None:
    """Raise `ValidationError` for the first field that is not known, naming the nearest that is."""
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known fields: {', '.join(known)}"
            raise ValidationError("unknown field", field=f"{where}{name}"[:100], fix=hint)


def _enum(kind: type[_E]) -> Callable[[Any, str], _E]:
    def read(value: Any, field: str) -> _E:
        try:
            return kind(value)
        except ValueError:
            options = ", ".join(kind)
            raise ValidationError(f"{str(value)[:40]!r} is not one of: {options}", field=field) from None

    return read


def _integer(low: int, high: int) -> Callable[[Any, str], int]:
    def read(value: Any, field: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValidationError(f"must be a whole number from {low} to {high}, got {str(value)[:40]}", field=field)
        return value

    return read


def _span(low_ms: int, high_ms: int) -> Callable[[Any, str], timedelta]:
    whole = _integer(low_ms, high_ms)
    return lambda value, field: timedelta(milliseconds=whole(value, field))


def _milliseconds(value: int) -> timedelta:
    return timedelta(0, 0, 0, value)


def _optional(read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, field: None if value is None else read(value, field)


def _text(limit: int) -> Callable[[Any, str], str]:
    def read(value: Any, field: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise ValidationError(f"must be text of at most {limit} characters", field=field)
        if "\x00" in value:
            raise ValidationError("must not contain a null character", field=field)
        return value

    return read


def _named(pattern: re.Pattern[str], rule: str) -> Callable[[Any, str], str]:
    def read(value: Any, field: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValidationError(f"{str(value)[:60]!r} is not a name", field=field, fix=rule)
        return value

    return read


name = _named(NAME, "Use letters, digits, '.', '_' and '-', at most 128, starting with a letter or digit")
handler_name = _named(HANDLER, "Use letters, digits and . _ : / - , at most 255")


def _mapping(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"must be an object, got {type(value).__name__}", field=field)
    return dict(value)


def _labels(value: Any, field: str) -> dict[str, str]:
    labels = _mapping(value, field)
    if len(labels) > 32:
        raise ValidationError(f"at most 32 labels, got {len(labels)}", field=field)
    for key, text in labels.items():
        if not isinstance(key, str) or not isinstance(text, str) or len(key) > 128 or len(text) > 256:
            raise ValidationError("labels map text to text (128 and 256 characters)", field=f"{field}.{str(key)[:60]}")
    return labels


def _names(value: Any, field: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValidationError("must be a list of job names", field=field)
    return tuple(name(item, f"{field}[{index}]") for index, item in enumerate(value))


def _boolean(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise ValidationError("must be true or false", field=field)
    return value


def _multiplier(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
        raise ValidationError("must be a number from 1 to 100", field=field)
    return float(value)


def _one_of(options: tuple[str, ...]) -> Callable[[Any, str], str]:
    def read(value: Any, field: str) -> str:
        if value not in options:
            raise ValidationError(f"{str(value)[:40]!r} is not one of: {', '.join(options)}", field=field)
        return str(value)

    return read


_WEEK = 7 * 86_400_000
_YEARS = 10 * 366 * 86_400_000

_RETRY: Mapping[str, tuple[str, Callable[[Any, str], Any]]] = {
    "max_retries": ("max_retries", _integer(0, 1000)),
    "retry_delay_ms": ("retry_delay", _span(0, _YEARS)),
    "backoff_multiplier": ("backoff_multiplier", _multiplier),
    "max_retry_delay_ms": ("max_retry_delay", _span(0, _YEARS)),
    "jitter": ("jitter", _enum(RetryJitter)),
}


def retry_from_wire(value: Any, field: str = "retry") -> RetryPolicy:
    """Read a retry policy; fields left out keep their defaults.

    >>> retry_from_wire({"max_retries": 3}).max_retries
    3
    """
    given = _mapping(value, field)
    refuse_unknown(given, _RETRY, f"{field}.")
    return RetryPolicy(**{_RETRY[key][0]: _RETRY[key][1](item, f"{field}.{key}") for key, item in given.items()})


@lru_cache(256)
def _recorded_retry(*values: Any) -> RetryPolicy:
    # In the order of `_RETRY`. Most jobs share one of a few policies.
    return retry_from_wire(dict(zip(_RETRY, values, strict=True)))


def retry_to_wire(retry: RetryPolicy) -> dict[str, Any]:
    """Return a retry policy as plain data."""
    return {
        "max_retries": retry.max_retries,
        "retry_delay_ms": milliseconds(retry.retry_delay),
        "backoff_multiplier": retry.backoff_multiplier,
        "max_retry_delay_ms": milliseconds(retry.max_retry_delay),
        "jitter": retry.jitter.value,
    }


#: wire name -> (attribute of `JobDefinition`, reader)
_DEFINITION: Mapping[str, tuple[str, Callable[[Any, str], Any]]] = {
    "name": ("name", name),
    "type": ("type", _enum(JobType)),
    "handler": ("handler", handler_name),
    "handler_type": ("handler_type", _one_of(HANDLER_TYPES)),
    "description": ("description", _text(4096)),
    "labels": ("labels", _labels),
    "owner": ("owner", _optional(_text(256))),
    "payload": ("payload", _mapping),
    "schedule": ("schedule", _optional(_mapping)),
    "timezone": ("timezone", _optional(_text(64))),
    "priority": ("priority", _integer(0, 9)),
    "queue": ("queue", name),
    "max_concurrency": ("max_concurrency", _optional(_integer(1, 1_000_000))),
    "concurrency_key": ("concurrency_key", _optional(_text(256))),
    "concurrency_limit": ("concurrency_limit", _optional(_integer(1, 1_000_000))),
    "overlap": ("overlap", _optional(_enum(Overlap))),
    "buffer_limit": ("buffer_limit", _integer(1, 100_000)),
    "misfire": ("misfire", _enum(Misfire)),
    "misfire_grace_ms": ("misfire_grace", _span(0, _YEARS)),
    "catch_up_window_ms": ("catch_up_window", _optional(_span(0, _YEARS))),
    "max_catch_up": ("max_catch_up", _integer(1, 10_000)),
    "timeout_ms": ("timeout", _span(1000, _WEEK)),
    "retry": ("retry", retry_from_wire),
    "start_deadline_ms": ("start_deadline", _optional(_span(1, _YEARS))),
    "isolation": ("isolation", _optional(_enum(Isolation))),
    "on_success": ("on_success", _names),
    "on_failure": ("on_failure", _names),
    "pause_after_failures": ("pause_after_failures", _optional(_integer(1, 1_000_000))),
    "dead_letter": ("dead_letter", _boolean),
}

DEFINITION_FIELDS = tuple(_DEFINITION)


def check_policies(fields: Mapping[str, Any]) -> None:
    """Check policies given apart from a job, such as an enqueue's or a handler's, by the rules of SPEC §3.

    Raises:
        ValidationError: For the first that is unknown or out of bounds.

    >>> check_policies({"priority": 9, "queue": "reports", "timeout_ms": 60_000})
    """
    if not fields.keys() <= _DEFINITION.keys():
        refuse_unknown(fields, _DEFINITION)
    for key, value in fields.items():
        _DEFINITION[key][1](value, key)


def definition_from_wire(fields: Mapping[str, Any]) -> JobDefinition:
    """Read a job's definition. ``schedule`` is only checked for its outer shape here; `compile_schedule` does the rest.

    Raises:
        ValidationError: For an unknown, missing or unusable field, with its path.

    >>> definition_from_wire({"name": "tidy", "type": "manual", "handler": "tidy"}).timeout
    datetime.timedelta(seconds=300)
    """
    refuse_unknown(fields, _DEFINITION)
    for needed in ("name", "type", "handler"):
        if needed not in fields:
            raise ValidationError("is missing", field=needed)
    definition = JobDefinition(
        **{_DEFINITION[key][0]: _DEFINITION[key][1](value, key) for key, value in fields.items()}
    )
    if (definition.schedule is None) != (definition.type is JobType.MANUAL):
        problem = "a manual job has no schedule" if definition.schedule else f"a {definition.type} job needs one"
        raise ValidationError(problem, field="schedule")
    if definition.concurrency_limit is not None and definition.concurrency_key is None:
        raise ValidationError("needs a concurrency_key to count by", field="concurrency_limit")
    return definition


def _members(kind: type[StrEnum]) -> Callable[[Any], Any]:
    return {member.value: member for member in kind}.__getitem__


#: Fields that are not the same on the wire: wire name, attribute, and how a value that was checked once is read.
_RECORDED: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("type", "type", _members(JobType)),
    ("overlap", "overlap", _members(Overlap)),
    ("misfire", "misfire", _members(Misfire)),
    ("misfire_grace_ms", "misfire_grace", _milliseconds),
    ("catch_up_window_ms", "catch_up_window", _milliseconds),
    ("timeout_ms", "timeout", _milliseconds),
    ("start_deadline_ms", "start_deadline", _milliseconds),
    ("retry", "retry", lambda fields: _recorded_retry(*map(fields.__getitem__, _RETRY))),
    ("isolation", "isolation", _members(Isolation)),
    ("on_success", "on_success", tuple),
    ("on_failure", "on_failure", tuple),
)


def definition_from_record(fields: Mapping[str, Any]) -> JobDefinition:
    """Read a definition back from what `definition_to_wire` gave and a store kept, without checking it once more.

    A dispatcher reads thousands of them a second. What another version wrote, with other fields than today's or words
    unknown here, is read as if it came from outside.

    >>> kept = definition_to_wire(definition_from_wire({"name": "a", "type": "manual", "handler": "h"}))
    >>> definition_from_record(kept) == definition_from_wire(kept)
    True
    """
    if fields.keys() != _DEFINITION.keys() or fields["retry"].keys() != _RETRY.keys():
        return definition_from_wire(fields)
    values = dict(fields)
    try:
        for key, attribute, read in _RECORDED:
            value = values.pop(key)
            values[attribute] = None if value is None else read(value)
    except KeyError:
        return definition_from_wire(fields)
    return JobDefinition.holding(values)


def definition_to_wire(definition: JobDefinition) -> dict[str, Any]:
    """Return a job's definition as plain data, every field named.

    >>> definition_to_wire(definition_from_wire({"name": "a", "type": "manual", "handler": "h"}))["timeout_ms"]
    300000
    """
    wire: dict[str, Any] = {}
    for key, (attribute, _) in _DEFINITION.items():
        value = getattr(definition, attribute)
        wire[key] = _plain(value)
    return wire


def _plain(value: Any) -> Any:
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, timedelta):
        return milliseconds(value)
    if isinstance(value, RetryPolicy):
        return retry_to_wire(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


_PLAIN = frozenset({str, int, bool, float})


# -- showing -----------------------------------------------------------------------------------------------------


def job_to_wire(job: Job, stats: JobStats | None = None) -> dict[str, Any]:
    """Return a job as the API, ``-o json`` and the dashboard show it."""
    stats = stats or JobStats(job.id)
    average = stats.avg_duration
    return {
        "id": job.id,
        "platform_id": job.platform_id,
        **definition_to_wire(job.definition),
        "overlap": job.definition.overlap_policy.value,
        "status": job.status.value,
        "status_reason": job.status_reason,
        "paused_until": instant(job.paused_until),
        "revision": job.revision,
        "created_at": instant(job.created_at),
        "updated_at": instant(job.updated_at),
        "next_run_at": instant(job.next_run_at),
        "cursor_at": instant(job.cursor_at),
        "last_run_at": instant(stats.last_run_at),
        "last_status": stats.last_status.value if stats.last_status else None,
        "total_count": stats.total,
        "success_count": stats.success,
        "failed_count": stats.failed,
        "skipped_count": stats.skipped,
        "avg_duration_ms": milliseconds(average) if average is not None else None,
        "consecutive_failures": stats.consecutive_failures,
    }


def execution_to_wire(execution: Execution) -> dict[str, Any]:
    """Return an execution as the API, ``-o json`` and the dashboard show it."""
    started, finished = execution.started_at, execution.finished_at
    wire: dict[str, Any] = {}
    for field in Execution.__dataclass_fields__:
        value = getattr(execution, field)
        if value is None or type(value) in _PLAIN:
            wire[field] = value
        elif type(value) is datetime:
            wire[field] = instant(value)
        elif field == "timeout":
            wire["timeout_ms"] = milliseconds(value)
        else:
            wire[field] = _plain(value)
    wire["duration_ms"] = milliseconds(finished - started) if started and finished and finished >= started else None
    return wire


def execution_from_wire(wire: Mapping[str, Any]) -> Execution:
    """Read an execution back from the shape `execution_to_wire` gives.

    >>> at = datetime(2026, 3, 1, tzinfo=UTC)
    >>> one = Execution("i", "default", "h", Status.QUEUED, Cause.ENQUEUE, at, at)
    >>> execution_from_wire(execution_to_wire(one)) == one
    True
    """
    values: dict[str, Any] = {}
    for field in Execution.__dataclass_fields__:
        if field == "timeout":
            values[field] = timedelta(milliseconds=wire["timeout_ms"])
        elif field == "retry":
            values[field] = retry_from_wire(wire[field])
        elif field.endswith(("_at", "_until")):
            values[field] = None if wire[field] is None else datetime.fromisoformat(wire[field])
        else:
            values[field] = wire[field]
    values["status"], values["cause"] = Status(values["status"]), Cause(values["cause"])
    values["failure"] = None if values["failure"] is None else Failure(values["failure"])
    return Execution(**values)


def decision_to_wire(decision: Decision) -> dict[str, Any]:
    """Return a ledger row as plain data."""
    wire: dict[str, Any] = {}
    for field in Decision.__dataclass_fields__:
        value = getattr(decision, field)
        if field == "late":
            wire["late_ms"] = milliseconds(value)
        else:
            wire[field] = instant(value) if isinstance(value, datetime) else _plain(value)
    return wire


def record_to_wire(record: Attempt | Transition | LogLine | DeadLetter) -> dict[str, Any]:
    """Return an attempt, a move, a log line or a dead letter as plain data."""
    wire: dict[str, Any] = {}
    for field in record.__dataclass_fields__:
        value = getattr(record, field)
        wire[field] = instant(value) if isinstance(value, datetime) else _plain(value)
    return wire
