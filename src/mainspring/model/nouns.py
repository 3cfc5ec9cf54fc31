"""What can be listed: for each noun the fields a list may be filtered and sorted by, and whether time narrows it.

Names are those of the wire. One table for API, CLI and dashboard, read by both kinds of store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mainspring.model.decision import Verdict
from mainspring.model.execution import Cause, Failure, Status
from mainspring.model.filters import And, Compare, Field, Fields, Kind, Node, Not, Or
from mainspring.model.job import JobStatus, JobType
from mainspring.model.webhook import DeliveryState


class Noun(StrEnum):
    """The kinds of rows a platform can list."""

    JOBS = "jobs"
    EXECUTIONS = "executions"
    DECISIONS = "decisions"
    DEAD_LETTERS = "dead_letters"
    EVENTS = "events"
    OUTBOX = "outbox"
    AUDIT = "audit"
    OPERATIONS = "operations"
    KEYS = "keys"
    WEBHOOK_DELIVERIES = "webhook_deliveries"


@dataclass(frozen=True, slots=True)
class Listing:
    """How a noun is listed. ``key`` are the fields that make rows unique; ``order`` the one used unless told.

    ``window`` names the instant a list is narrowed by to the last days, unless its filter names it: history is long.
    """

    fields: Fields
    key: tuple[str, ...]
    order: str
    window: str | None = None


def _text(attribute: str, *, sortable: bool = False, headline: bool = False) -> Field:
    return Field(Kind.TEXT, attribute, sortable=sortable, headline=headline)


def _word(attribute: str, kind: type[StrEnum]) -> Field:
    return Field(Kind.WORD, attribute, words=tuple(kind))


def _words(attribute: str, *words: str) -> Field:
    return Field(Kind.WORD, attribute, words=words)


def _instant(attribute: str, *, sortable: bool = False) -> Field:
    return Field(Kind.INSTANT, attribute, sortable=sortable)


def _number(attribute: str) -> Field:
    return Field(Kind.NUMBER, attribute)


_ID = _text("id", sortable=True)

_JOBS = {
    "id": _ID,
    "name": _text("definition.name", sortable=True, headline=True),
    "type": _word("definition.type", JobType),
    "status": _word("status", JobStatus),
    "handler": _text("definition.handler"),
    "description": _text("definition.description", headline=True),
    "owner": _text("definition.owner"),
    "queue": _text("definition.queue"),
    "timezone": _text("definition.timezone"),
    "labels": Field(Kind.MAP, "definition.labels"),
    "revision": _number("revision"),
    "created_at": _instant("created_at", sortable=True),
    "updated_at": _instant("updated_at", sortable=True),
    "next_run_at": _instant("next_run_at", sortable=True),
    "paused_until": _instant("paused_until"),
}
_EXECUTIONS = {
    "id": _ID,
    "status": _word("status", Status),
    "job": _text("job_name", headline=True),
    "job_id": _text("job_id"),
    "handler": _text("handler", headline=True),
    "queue": _text("queue"),
    "cause": _word("cause", Cause),
    "failure": _word("failure", Failure),
    "priority": _number("priority"),
    "attempt": _number("attempt"),
    "blocked_by": _text("blocked_by"),
    "worker_id": _text("worker_id"),
    "concurrency_key": _text("concurrency_key"),
    "retry_of": _text("retry_of"),
    "trace_id": _text("trace_id"),
    "created_at": _instant("created_at"),
    "scheduled_at": _instant("scheduled_at"),
    "started_at": _instant("started_at"),
    "finished_at": _instant("finished_at"),
    "payload": Field(Kind.MAP, "payload", scan=True),
    "result": Field(Kind.MAP, "result", scan=True),
}
_DECISIONS = {
    "job_id": _text("job_id"),
    "key": _text("key", sortable=True),
    "decision": _word("decision", Verdict),
    "scheduled_at": _instant("scheduled_at", sortable=True),
    "decided_at": _instant("decided_at"),
    "execution_id": _text("execution_id"),
    "revision": _number("revision"),
}
_DEAD_LETTERS = {
    "execution_id": _text("execution_id", sortable=True),
    "status": _words("status", "open", "redriven", "discarded"),
    "job": _text("job_name", headline=True),
    "job_id": _text("job_id"),
    "handler": _text("handler", headline=True),
    "failure": _word("failure", Failure),
    "fingerprint": _text("fingerprint"),
    "created_at": _instant("created_at"),
    "resolved_at": _instant("resolved_at"),
}
_EVENTS = {
    "id": _text("id", sortable=True),
    "type": _text("type", headline=True),
    "source": _text("source", sortable=True),
    "subject": _text("subject"),
    "at": _instant("at", sortable=True),
}
_OUTBOX = {"id": _ID, "type": _text("type"), "subject": _text("subject"), "at": _instant("at")}
_AUDIT = {
    "id": _ID,
    "actor": _text("actor", headline=True),
    "via": _text("via"),
    "action": _text("action", headline=True),
    "target": _text("target", headline=True),
    "at": _instant("at"),
    "request_id": _text("request_id"),
}
_OPERATIONS = {
    "id": _ID,
    "kind": _text("kind", headline=True),
    "status": _words("status", "running", "paused", "cancelled", "finished", "failed"),
    "actor": _text("actor"),
    "created_at": _instant("created_at"),
}
_KEYS = {
    "id": _ID,
    "name": _text("name", headline=True),
    "role": _text("role"),
    "created_at": _instant("created_at"),
    "expires_at": _instant("expires_at"),
    "revoked_at": _instant("revoked_at"),
}

_DELIVERIES = {
    "id": _ID,
    "webhook_id": _text("webhook_id"),
    "state": _word("state", DeliveryState),
    "event_type": _text("event_type", headline=True),
    "event_id": _text("event_id"),
    "subject": _text("subject"),
    "attempts": _number("attempts"),
    "created_at": _instant("created_at"),
    "ended_at": _instant("ended_at"),
}

LISTINGS: Mapping[Noun, Listing] = {
    Noun.JOBS: Listing(_JOBS, key=("id",), order="name"),
    Noun.EXECUTIONS: Listing(_EXECUTIONS, key=("id",), order="-id", window="created_at"),
    Noun.DECISIONS: Listing(_DECISIONS, key=("scheduled_at", "key"), order="-scheduled_at"),
    Noun.DEAD_LETTERS: Listing(_DEAD_LETTERS, key=("execution_id",), order="-execution_id"),
    Noun.EVENTS: Listing(_EVENTS, key=("source", "id"), order="-at", window="at"),
    Noun.OUTBOX: Listing(_OUTBOX, key=("id",), order="-id"),
    Noun.AUDIT: Listing(_AUDIT, key=("id",), order="-id"),
    Noun.OPERATIONS: Listing(_OPERATIONS, key=("id",), order="-id"),
    Noun.KEYS: Listing(_KEYS, key=("id",), order="-id"),
    Noun.WEBHOOK_DELIVERIES: Listing(_DELIVERIES, key=("id",), order="-id"),
}


def names_of(node: Node | None) -> set[str]:
    """Return the fields a filter looks at.

    >>> sorted(names_of(Not(Compare("status", "=", "failed"))))
    ['status']
    """
    return {one.field for one in compared(node)}


def compared(node: Node | None) -> tuple[Compare, ...]:
    """Return the conditions a filter is made of, as they stand in it."""
    match node:
        case None:
            return ()
        case Compare():
            return (node,)
        case Not(part):
            return compared(part)
        case And(parts) | Or(parts):
            return tuple(one for part in parts for one in compared(part))
