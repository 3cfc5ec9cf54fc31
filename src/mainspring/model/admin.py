"""What a platform's keepers leave behind: platforms, the audit trail, answers kept for repeats, bulk operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Platform:
    """A tenant."""

    id: str
    timezone: str | None = None
    description: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a change: a name for the record, the way it came in, and where from."""

    actor: str
    via: str = "api"
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, written in its own transaction: who did what to what, and what it was before and after.

    ``action`` is noun.verb, ``target`` the name or id it was done to.
    """

    id: str
    platform_id: str
    at: datetime
    actor: str
    via: str
    action: str
    target: str
    address: str | None = None
    request_id: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request with an idempotency key, to be given again. ``status`` 0: not known yet."""

    platform_id: str
    principal: str
    key: str
    fingerprint: str
    created_at: datetime
    status: int = 0
    body: str = ""
    etag: str | None = None


class OperationStatus(StrEnum):
    """How a bulk operation stands."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether it will do nothing more."""
        return self not in (OperationStatus.RUNNING, OperationStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class Operation:
    """A long bulk action: done in steps, each one transaction with its progress, so that none is lost or doubled.

    ``params`` say what is to be done; ``cursor`` how far it is. ``total`` counts what matched at the start, no further
    than a bound (then ``total_at_least``). ``errors`` keeps the first ones: ``{"id": …, "code": …, "message": …}``.
    """

    id: str
    platform_id: str
    kind: str
    status: OperationStatus
    actor: str
    created_at: datetime
    updated_at: datetime
    next_at: datetime
    params: Mapping[str, Any] = field(default_factory=dict)
    total: int = 0
    total_at_least: bool = False
    done: int = 0
    failed: int = 0
    cursor: str | None = None
    errors: tuple[Mapping[str, Any], ...] = ()
    reason: str | None = None
    finished_at: datetime | None = None
