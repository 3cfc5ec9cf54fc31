"""What a person writes of a job: from plain data, to it, and back from a store that has kept it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from operator import attrgetter, is_
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model.job import JobDefinition, JobType
from mainspring.model.policy import Isolation, Misfire, Overlap, RetryJitter, RetryPolicy
from mainspring.model.wire.readers import (
    boolean,
    from_milliseconds,
    handler_name,
    integer,
    labels,
    mapping,
    member,
    multiplier,
    name,
    names,
    one_of,
    optional,
    span,
    text,
)
from mainspring.model.wire.values import HANDLER_TYPES, milliseconds, refuse_unknown

_WEEK = 7 * 86_400_000
_YEARS = 10 * 366 * 86_400_000
_RETRY: Mapping[str, tuple[str, Callable[[Any, str], Any]]] = {
    "max_retries": ("max_retries", integer(0, 1000)),
    "retry_delay_ms": ("retry_delay", span(0, _YEARS)),
    "backoff_multiplier": ("backoff_multiplier", multiplier),
    "max_retry_delay_ms": ("max_retry_delay", span(0, _YEARS)),
    "jitter": ("jitter", member(RetryJitter)),
}


def retry_from_wire(value: Any, field: str = "retry") -> RetryPolicy:
    """Read a retry policy; fields left out keep their defaults.

    >>> retry_from_wire({"max_retries": 3}).max_retries
    3
    """
    given = mapping(value, field)
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
    "type": ("type", member(JobType)),
    "handler": ("handler", handler_name),
    "handler_type": ("handler_type", one_of(HANDLER_TYPES)),
    "description": ("description", text(4096)),
    "labels": ("labels", labels),
    "owner": ("owner", optional(text(256))),
    "payload": ("payload", mapping),
    "schedule": ("schedule", optional(mapping)),
    "timezone": ("timezone", optional(text(64))),
    "priority": ("priority", integer(0, 9)),
    "queue": ("queue", name),
    "max_concurrency": ("max_concurrency", optional(integer(1, 1_000_000))),
    "concurrency_key": ("concurrency_key", optional(text(256))),
    "concurrency_limit": ("concurrency_limit", optional(integer(1, 1_000_000))),
    "overlap": ("overlap", optional(member(Overlap))),
    "buffer_limit": ("buffer_limit", integer(1, 100_000)),
    "misfire": ("misfire", member(Misfire)),
    "misfire_grace_ms": ("misfire_grace", span(0, _YEARS)),
    "catch_up_window_ms": ("catch_up_window", optional(span(0, _YEARS))),
    "max_catch_up": ("max_catch_up", integer(1, 10_000)),
    "timeout_ms": ("timeout", span(1000, _WEEK)),
    "retry": ("retry", retry_from_wire),
    "start_deadline_ms": ("start_deadline", optional(span(1, _YEARS))),
    "isolation": ("isolation", optional(member(Isolation))),
    "on_success": ("on_success", names),
    "on_failure": ("on_failure", names),
    "pause_after_failures": ("pause_after_failures", optional(integer(1, 1_000_000))),
    "dead_letter": ("dead_letter", boolean),
}
DEFINITION_FIELDS = tuple(_DEFINITION)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(JobDefinition) if field.default is not MISSING}


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
    read = {_DEFINITION[key][0]: _DEFINITION[key][1](value, key) for key, value in fields.items()}
    definition = JobDefinition.holding({**_DEFAULTS, "labels": {}, "payload": {}, **read})
    if (definition.schedule is None) != (definition.type is JobType.MANUAL):
        problem = "a manual job has no schedule" if definition.schedule else f"a {definition.type} job needs one"
        raise ValidationError(problem, field="schedule")
    if definition.concurrency_limit is not None and definition.concurrency_key is None:
        raise ValidationError("needs a concurrency_key to count by", field="concurrency_limit")
    return definition


#: The payload of a job that names none: one and the same.
_NONE: Mapping[str, Any] = {}


class DefinitionReader:
    """`definition_from_wire` for the jobs of one call: what they share besides name and payload is read once.

    A payload that is the very object the job before was given is read once as well, and shared.

    >>> reader = DefinitionReader()
    >>> job = {"type": "manual", "handler": "tidy"}
    >>> [reader.read({"name": name, **job}).name for name in ("attic", "cellar")]
    ['attic', 'cellar']
    """

    def __init__(self) -> None:
        self._read: dict[str, JobDefinition] = {}
        self._given: Any = _NONE
        self._payload: Mapping[str, Any] = {}

    def read(self, fields: Mapping[str, Any]) -> JobDefinition:
        """Read one definition. Raises `ValidationError` as for each by itself."""
        # Its repr, because 1, 1.0 and True are equal, and only one of them may be right.
        alike = dict(fields)
        own, payload = alike.pop("name", None), alike.pop("payload", _NONE)
        key = repr(alike)
        found = self._read.get(key)
        if found is None or own is None:
            found = self._read[key] = definition_from_wire(fields)
        called = name(own, "name")
        if payload is not self._given:
            self._payload = mapping(payload, "payload")
            self._given = payload
        return found.changed(name=called, payload=self._payload)


def _members(kind: type[StrEnum]) -> Callable[[Any], Any]:
    return {member.value: member for member in kind}.__getitem__


def _retry(fields: Mapping[str, Any]) -> RetryPolicy:
    return _recorded_retry(*map(fields.__getitem__, _RETRY))


#: Fields that are not the same on the wire: wire name, attribute, how a value that was checked once is read, and how it
#: is written.
_RECORDED: tuple[tuple[str, str, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("type", "type", _members(JobType), str),
    ("overlap", "overlap", _members(Overlap), str),
    ("misfire", "misfire", _members(Misfire), str),
    ("misfire_grace_ms", "misfire_grace", from_milliseconds, milliseconds),
    ("catch_up_window_ms", "catch_up_window", from_milliseconds, milliseconds),
    ("timeout_ms", "timeout", from_milliseconds, milliseconds),
    ("start_deadline_ms", "start_deadline", from_milliseconds, milliseconds),
    ("retry", "retry", _retry, retry_to_wire),
    ("isolation", "isolation", _members(Isolation), str),
    ("on_success", "on_success", tuple, list),
    ("on_failure", "on_failure", tuple, list),
)
#: How each field that is not the same is written; of an object, each side has its own.
_WRITTEN: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    *((key, write) for key, _, _, write in _RECORDED),
    *((key, dict) for key in ("labels", "payload", "schedule")),
)
_WRITE = dict(_WRITTEN)
_held = attrgetter(*(attribute for attribute, _ in _DEFINITION.values()))


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
        for key, attribute, read, _ in _RECORDED:
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
    wire = dict(zip(_DEFINITION, _held(definition), strict=True))
    for key, write in _WRITTEN:
        value = wire[key]
        if value is not None:
            wire[key] = write(value)
    return wire


def definitions_to_wire(several: Sequence[JobDefinition]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return definitions as plain data in two parts: what is each one's own, and what all of them share.

    Shared is a field in which all hold the very same object, as those of a `DefinitionReader` do. Both parts together
    are what `definition_to_wire` gives.

    >>> reader = DefinitionReader()
    >>> rooms = [reader.read({"name": name, "type": "manual", "handler": "tidy"}) for name in ("attic", "cellar")]
    >>> own, shared = definitions_to_wire(rooms)
    >>> [one["name"] for one in own], shared["handler"]
    (['attic', 'cellar'], 'tidy')
    """
    own: dict[str, list[Any]] = {}
    shared: dict[str, Any] = {}
    for key, column in zip(_DEFINITION, zip(*map(_held, several), strict=True), strict=True):
        write = _WRITE.get(key, _same)
        if all(map(is_, column, repeat(column[0]))):  # not by what they equal: 1 and True are written differently
            shared[key] = column[0] if column[0] is None else write(column[0])
        else:
            own[key] = [None if value is None else write(value) for value in column]
    rows = [dict(zip(own, row, strict=True)) for row in zip(*own.values(), strict=True)]
    return rows or [{} for _ in several], shared


def _same(value: Any) -> Any:
    return value


def plain(value: Any) -> Any:
    """Return a value of the model as plain data."""
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
