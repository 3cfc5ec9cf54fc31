"""Figures about one job or one kind of failure, from a bounded number of the newest rows.

Whatever history there is, no question reads more than `ROWS` rows; an answer says where that was not all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model.execution import DeadLetter, Execution, Status
from mainspring.model.filters import And, Compare, Node
from mainspring.model.ids import id_floor
from mainspring.model.job import JobStats
from mainspring.model.nouns import Noun
from mainspring.model.wire import instant, milliseconds
from mainspring.moves.jobs import existing
from mainspring.moves.schedules import Schedules
from mainspring.ports.search import Order, Search
from mainspring.ports.store import Tx
from mainspring.schedule.zones import zone

ROWS = 5_000
RANGE_MOST = timedelta(days=366)
_NEWEST = (Order("id", descending=True),)


def job_stats(tx: Tx, platform_id: str, name: str, span: timedelta) -> dict[str, Any]:
    """Return how a job went within the last ``span``: outcomes, durations, start delays and its real cadence."""
    _check_span(span)
    job = existing(tx, platform_id, name)
    executions, complete = _executions(tx, platform_id, job.id, tx.now - span)
    outcomes = Counter(e.status.value for e in executions)
    ended = outcomes[Status.SUCCESS.value] + outcomes[Status.FAILED.value]
    rollups = tx.jobs.stats([job.id]).get(job.id, JobStats(job.id))
    return {
        "job": job.name,
        "from": instant(tx.now - span),
        "to": instant(tx.now),
        "complete": complete,
        "executions": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "success_rate": outcomes[Status.SUCCESS.value] / ended if ended else None,
        "duration_ms": _percentiles([_between(e.started_at, e.finished_at) for e in executions]),
        "start_delay_ms": _percentiles([_between(e.scheduled_at, e.started_at) for e in executions]),
        "effective_cadence_ms": _cadence([e.scheduled_at for e in executions if e.scheduled_at and e.started_at]),
        "total": rollups.total,
        "success": rollups.success,
        "failed": rollups.failed,
        "skipped": rollups.skipped,
        "consecutive_failures": rollups.consecutive_failures,
    }


def heatmap(
    tx: Tx, schedules: Schedules, platform_id: str, name: str, since: datetime, until: datetime, timezone: str | None
) -> dict[str, Any]:
    """Return a job's executions counted by day and hour of a zone (the job's own, unless told), by outcome."""
    if since >= until or until - since > RANGE_MOST:
        raise ValidationError("must lie before `to`, and at most 366 days", field="from")
    job = existing(tx, platform_id, name)
    found = zone(timezone or job.definition.timezone or tx.platforms.timezone(platform_id) or "UTC", field="tz")
    executions, complete = _executions(tx, platform_id, job.id, since, until)
    cells: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for execution in executions:
        local = (execution.scheduled_at or execution.created_at).astimezone(found.info)
        cells[local.date().isoformat(), local.hour][execution.status.value] += 1
    return {
        "job": job.name,
        "timezone": found.name,
        "complete": complete,
        "cells": [
            {"date": day, "hour": hour, "count": sum(counts.values()), "outcomes": dict(sorted(counts.items()))}
            for (day, hour), counts in sorted(cells.items())
        ],
    }


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Open dead letters that failed alike."""

    fingerprint: str
    handler: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    newest_execution_id: str
    error: Mapping[str, Any] | None
    jobs: tuple[str, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "fingerprint": self.fingerprint,
            "handler": self.handler,
            "count": self.count,
            "oldest_at": instant(self.oldest_at),
            "newest_at": instant(self.newest_at),
            "newest_execution_id": self.newest_execution_id,
            "error": None
            if self.error is None
            else {"type": self.error.get("type"), "message": str(self.error.get("message", ""))[:500]},
            "jobs": list(self.jobs),
        }


def letter_groups(tx: Tx, platform_id: str) -> tuple[list[LetterGroup], bool]:
    """Return open dead letters by what went wrong, the largest group first, and whether all were looked at."""
    order = (Order("execution_id", descending=True),)
    search = Search(Noun.DEAD_LETTERS, platform_id, Compare("status", "=", "open"), order, limit=ROWS + 1)
    letters: list[DeadLetter] = tx.search.find(search)
    groups: dict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for letter in letters[:ROWS]:
        groups[letter.fingerprint, letter.handler].append(letter)
    told = [
        LetterGroup(
            fingerprint,
            handler,
            len(of_group),
            of_group[-1].created_at,
            of_group[0].created_at,
            of_group[0].execution_id,
            of_group[0].error,
            tuple(sorted({letter.job_name for letter in of_group if letter.job_name})[:20]),
        )
        for (fingerprint, handler), of_group in groups.items()
    ]
    return sorted(told, key=lambda group: (-group.count, group.fingerprint)), len(letters) <= ROWS


def _executions(
    tx: Tx, platform_id: str, job_id: str, since: datetime, until: datetime | None = None
) -> tuple[list[Execution], bool]:
    parts: list[Node] = [Compare("job_id", "=", job_id), Compare("created_at", ">=", since)]
    if until is not None:
        parts.append(Compare("id", "<", id_floor(until)))
    found = tx.search.find(Search(Noun.EXECUTIONS, platform_id, And(tuple(parts)), _NEWEST, limit=ROWS + 1))
    return found[:ROWS], len(found) <= ROWS


def _check_span(span: timedelta) -> None:
    if not timedelta(minutes=1) <= span <= RANGE_MOST:
        raise ValidationError("must be 1 minute to 366 days", field="range_ms")


def _between(start: datetime | None, end: datetime | None) -> int | None:
    return max(0, milliseconds(end - start)) if start is not None and end is not None else None


def _percentiles(values: Sequence[int | None]) -> dict[str, int] | None:
    """Return the 50th, 95th and 99th percentile by nearest rank; None for no values.

    >>> _percentiles([5, None, 1, 3])
    {'p50': 3, 'p95': 5, 'p99': 5}
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return {f"p{p}": known[min(len(known) - 1, -(-len(known) * p // 100) - 1)] for p in (50, 95, 99)}


def _cadence(instants: Sequence[datetime]) -> int | None:
    """Return the median distance of instants that ran, in milliseconds; None for fewer than two."""
    ordered = sorted({at.astimezone(UTC) for at in instants})
    gaps = sorted(milliseconds(later - earlier) for earlier, later in pairwise(ordered))
    return gaps[len(gaps) // 2] if gaps else None
