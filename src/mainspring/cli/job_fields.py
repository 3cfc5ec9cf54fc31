"""Options and files -> the wire shape of a job (SPEC §3). Checking the fields is the work of `control`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mainspring.cli.exits import UsageError
from mainspring.model.job import JobType
from mainspring.model.wire import DEFINITION_FIELDS, check_policies, refuse_unknown

_TYPE_OF = {
    "cron": JobType.CRON,
    "every_ms": JobType.RECURRING,
    "every": JobType.RECURRING,
    "rrule": JobType.RECURRING,
    "run_at": JobType.ONE_TIME,
    "events": JobType.EVENT,
}


def type_of(schedule: Mapping[str, Any] | None) -> str:
    """Return the type of job a schedule's shape belongs to.

    >>> type_of({"cron": "@daily"}), type_of(None)
    ('cron', 'manual')
    """
    found = (kind for key, kind in _TYPE_OF.items() if schedule and key in schedule)
    return next(found, JobType.MANUAL).value


def read_object(text: str, option: str) -> dict[str, Any]:
    """Return the JSON object an option gives: as it stands, from ``@file``, or from stdin for ``@-``.

    >>> read_object('{"region": "tr"}', "--payload")
    {'region': 'tr'}
    """
    if text.startswith("@"):
        text = read_text(text[1:], option)
    value = _json(text, option)
    if not isinstance(value, dict):
        raise UsageError(f"{option} must be a JSON object, got {type(value).__name__}", fix="""Write '{"key": 1}'""")
    return value


def read_text(path: str, option: str) -> str:
    """Return what a file holds; ``-`` is stdin."""
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: cannot read {path}: {error}") from error


def with_assignments(fields: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return fields with ``name=value`` set, where a dot leads inside; values are JSON, or text if they are not.

    >>> with_assignments({"retry": {"max_retries": 1}}, ["retry.jitter=none", "priority=9", "owner=null"])
    {'retry': {'max_retries': 1, 'jitter': 'none'}, 'priority': 9, 'owner': None}
    """
    after: dict[str, Any] = dict(fields)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise UsageError(f"--set {assignment!r} is not FIELD=VALUE", fix="Write --set queue=reports")
        *outer, last = path.split(".")
        inner = after
        for key in outer:
            before = inner.get(key)
            inner[key] = inner = dict(before) if isinstance(before, Mapping) else {}
        inner[last] = _value(text)
    return after


def check(fields: Mapping[str, Any]) -> None:
    """Refuse fields there are not and values that cannot be, before anybody is asked; null is for the default.

    >>> check({"name": "nightly", "priority": 9, "owner": None})
    """
    refuse_unknown(fields, DEFINITION_FIELDS)
    check_policies({name: value for name, value in fields.items() if value is not None})


def given_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not None.

    >>> given_only({"url": None, "reason": "moved"})
    {'reason': 'moved'}
    """
    return {name: value for name, value in values.items() if value is not None}


def labels_of(texts: Sequence[str]) -> dict[str, str]:
    """Return labels given as ``key=value``.

    >>> labels_of(["team=ops"])
    {'team': 'ops'}
    """
    labels = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--label {text!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} is not JSON: {error}", fix="""Write '{"key": 1}', or @file""") from error
