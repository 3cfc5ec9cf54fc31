"""Copies of rows, so that no caller shares a dictionary with the store: taken on the way in and on the way out.

Rows are frozen, so only their fields of plain data are copied; in these any mapping becomes a dict and any tuple a
list, as after a trip through JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

from mainspring.model.access import ApiKey
from mainspring.model.admin import AuditEntry, Operation
from mainspring.model.decision import Decision
from mainspring.model.events import Event
from mainspring.model.execution import Attempt, DeadLetter, Execution, LogLine
from mainspring.model.job import Job, JobDefinition
from mainspring.model.node import DispatcherNode, HandlerRow, WorkerNode
from mainspring.model.rollup import Rollup
from mainspring.model.webhook import Webhook

R = TypeVar("R")

_SCALARS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a copy of plain data that shares nothing that can be changed."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def isolated(row: R) -> R:
    """Return a copy of a row whose plain data is its own."""
    kind = type(row)
    values_of, copied = _PLANS[kind]
    values = list(values_of(row))
    for index, copy in copied:
        values[index] = copy(values[index])
    return kind(*values)


def each_isolated(rows: Sequence[R]) -> list[R]:
    """Return copies of rows, in order."""
    return [isolated(row) for row in rows]


#: Which fields of an execution are plain data: a move's values are copied by this.
EXECUTION_DATA = ("payload", "event", "result", "error", "progress", "usage")

_DATA: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Execution: dict.fromkeys(EXECUTION_DATA, plain),
    JobDefinition: dict.fromkeys(("labels", "payload", "schedule"), plain),
    Job: {"definition": isolated},
    Decision: {"reason": plain},
    Event: {"data": plain, "extensions": plain},
    Webhook: {"events": tuple, "secrets": plain},
    Attempt: {"error": plain},
    LogLine: {"fields": plain},
    DeadLetter: {"error": plain},
    WorkerNode: {"queues": plain, "stats": plain},
    DispatcherNode: {"stats": plain},
    HandlerRow: {"schema": plain, "defaults": plain},
    AuditEntry: {"before": plain, "after": plain},
    Operation: {"params": plain, "errors": lambda errors: tuple(map(plain, errors))},
    ApiKey: {},
    Rollup: {"counts": plain, "durations": plain, "delays": plain},
}


def _plan(kind: Any, data: Mapping[str, Callable[[Any], Any]]) -> tuple[Callable[[Any], Any], tuple[Any, ...]]:
    names = [field.name for field in fields(kind)]
    return attrgetter(*names), tuple((names.index(name), copy) for name, copy in data.items())


#: By type of row: how to read all its fields at once, and which of them to copy how.
_PLANS = {kind: _plan(kind, data) for kind, data in _DATA.items()}
