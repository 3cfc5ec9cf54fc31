"""What became of a due instant or a matching event: one row of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mainspring.model.value import Value


class Verdict(StrEnum):
    """The decision itself."""

    DISPATCHED = "dispatched"
    COALESCED = "coalesced"
    BUFFERED = "buffered"
    SKIPPED_OVERLAP = "skipped_overlap"
    SKIPPED_MISFIRE = "skipped_misfire"
    SKIPPED_PAUSED = "skipped_paused"
    SKIPPED_CALENDAR = "skipped_calendar"
    SKIPPED_LIMIT = "skipped_limit"
    DROPPED_BUFFER_FULL = "dropped_buffer_full"
    BACKFILLED = "backfilled"

    @property
    def runs(self) -> bool:
        """Whether the decision made an execution."""
        return self in _RUN


_RUN = frozenset((Verdict.DISPATCHED, Verdict.BUFFERED, Verdict.BACKFILLED))


@dataclass(frozen=True)
class Decision(Value):
    """One decided occurrence, or a run of identical skips as one range.

    The key is (``job_id``, ``scheduled_at``, ``key``); ``key`` is empty for schedules, and source + id for events.
    A range covers every due instant from ``scheduled_at`` to ``until_at``, both included; ``count`` says how many
    where counting was cheap. ``into_at`` names the instant a coalesced one was folded into. ``late`` counts from the
    instant with its jitter to ``decided_at``.
    """

    job_id: str
    platform_id: str
    scheduled_at: datetime
    decision: Verdict
    decided_at: datetime
    revision: int
    key: str = ""
    late: timedelta = timedelta(0)
    reason: Mapping[str, Any] = field(default_factory=dict)
    dispatcher_id: str | None = None
    execution_id: str | None = None
    into_at: datetime | None = None
    until_at: datetime | None = None
    count: int | None = 1
