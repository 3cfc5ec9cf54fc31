"""Figures about a job or a platform over time, from rollups alone: what they cost does not depend on what has happened.

Counts are exact and at most seconds old; percentiles are within 5 % (see `mainspring.model.histogram`). A job's figures
belong to the instants it was due, so that a backfill fills the days it is about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model import histogram
from mainspring.model.job import JobStats
from mainspring.model.rollup import Rollup, Span
from mainspring.model.wire import instant, milliseconds
from mainspring.moves.jobs import existing
from mainspring.moves.retain import ledger_since
from mainspring.moves.rollup import MINUTES, counted_since
from mainspring.ports.store import Tx
from mainspring.schedule.zones import zone

RANGE_MOST = timedelta(days=366)
#: The outcomes of executions among what is counted; the rest are decisions to skip, retries and dead letters.
OUTCOMES = ("success", "failed", "cancelled", "expired")
_NO_DECISION = (*OUTCOMES, "retry", "dead", "ran")
#: Rollups read at once: a year of quarters, or two days of minutes.
_MOST = 36_000
#: Buckets of a chart.
BUCKETS_MOST = 2_000


def job_stats(tx: Tx, platform_id: str, name: str, span: timedelta) -> dict[str, Any]:
    """Return how a job went within the last ``span``: outcomes, durations, start delays and its real cadence.

    Raises `ValidationError` for a span that is not 1 minute to 366 days, `NotFoundError` for an unknown job.
    """
    if not timedelta(minutes=1) <= span <= RANGE_MOST:
        raise ValidationError("must be 1 minute to 366 days", field="range_ms")
    job = existing(tx, platform_id, name)
    since = Span.QUARTER.floor(tx.now - span)
    rows = _quarters(tx, platform_id, job.id, since, tx.now + timedelta(minutes=15))
    rollups = tx.jobs.stats([job.id]).get(job.id, JobStats(job.id))
    return {
        "job": job.name,
        "from": instant(since),
        "to": instant(tx.now),
        "complete": _complete(tx, since),
        **_summary(rows),
        "effective_cadence_ms": _cadence(rows),
        "total": rollups.total,
        "success": rollups.success,
        "failed": rollups.failed,
        "skipped": rollups.skipped,
        "consecutive_failures": rollups.consecutive_failures,
    }


def heatmap(
    tx: Tx, platform_id: str, name: str, since: datetime, until: datetime, timezone: str | None
) -> dict[str, Any]:
    """Return a job's executions counted by day and hour of a zone (the job's own, unless told), by outcome."""
    if since >= until or until - since > RANGE_MOST:
        raise ValidationError("must lie before `to`, and at most 366 days", field="from")
    job = existing(tx, platform_id, name)
    found = zone(timezone or job.definition.timezone or tx.platforms.timezone(platform_id) or "UTC", field="tz")
    cells: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for row in _quarters(tx, platform_id, job.id, since, until):
        local = row.at.astimezone(found.info)
        cells[local.date().isoformat(), local.hour].update(_ended(row.counts.items()))
    return {
        "job": job.name,
        "timezone": found.name,
        "complete": _complete(tx, since),
        "cells": [
            {"date": day, "hour": hour, "count": sum(counts.values()), "outcomes": dict(sorted(counts.items()))}
            for (day, hour), counts in sorted(cells.items())
            if counts
        ],
    }


def timeseries(tx: Tx, platform_id: str, since: datetime, until: datetime, bucket: timedelta) -> dict[str, Any]:
    """Return a platform's figures by span of ``bucket``: whole minutes within the last two days, whole hours beyond.

    Raises `ValidationError` for more than `BUCKETS_MOST` buckets, and for minutes that are not kept any more.
    """
    _check_series(tx, since, until, bucket)
    by_hour = bucket % timedelta(hours=1) == timedelta(0)
    kept = Span.HOUR if by_hour and since < tx.now - MINUTES else Span.MINUTE
    groups: dict[int, list[Rollup]] = defaultdict(list)
    start = _floor(since, bucket)
    for row in _every(tx, kept, platform_id, start, until):
        groups[(row.at - start) // bucket].append(row)
    return {
        "from": instant(start),
        "to": instant(until),
        "bucket_ms": milliseconds(bucket),
        "complete": _complete(tx, start),
        "buckets": [{"at": instant(start + n * bucket), **_summary(groups[n])} for n in sorted(groups)],
    }


def last_hour(tx: Tx, platform_id: str) -> dict[str, Any]:
    """Return how a platform went in the last hour, for a screen that says it in one line."""
    since = Span.MINUTE.floor(tx.now - timedelta(hours=1))
    return _summary(_every(tx, Span.MINUTE, platform_id, since, tx.now + timedelta(minutes=1)))


def _summary(rows: Iterable[Rollup]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    durations: dict[str, int] = {}
    delays: dict[str, int] = {}
    for row in rows:
        histogram.merge(counts, row.counts)
        histogram.merge(durations, row.durations)
        histogram.merge(delays, row.delays)
    outcomes = dict(sorted(_ended(counts.items()).items()))
    judged = counts.get("success", 0) + counts.get("failed", 0)
    return {
        "executions": sum(outcomes.values()),
        "outcomes": outcomes,
        "success_rate": counts.get("success", 0) / judged if judged else None,
        "retries": counts.get("retry", 0),
        "dead_letters": counts.get("dead", 0),
        "skipped_instants": dict(sorted((name, n) for name, n in counts.items() if name not in _NO_DECISION)),
        "duration_ms": _percentiles(durations),
        "start_delay_ms": _percentiles(delays),
    }


def _ended(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    return {name: count for name, count in counts if name in OUTCOMES}


def _percentiles(durations: histogram.Histogram) -> dict[str, int | None] | None:
    """Return the 50th, 95th and 99th percentile; None for no values."""
    if not histogram.count_of(durations):
        return None
    return {f"p{percent}": histogram.percentile(durations, percent) for percent in (50, 95, 99)}


def _cadence(rows: Sequence[Rollup]) -> int | None:
    """Return the mean distance of the instants that ran, in milliseconds; None for fewer than two."""
    ran = sum(row.counts.get("ran", 0) for row in rows)
    bounds = [(row.first_at, row.last_at) for row in rows if row.first_at is not None and row.last_at is not None]
    if ran < 2 or not bounds:
        return None
    return milliseconds(max(last for _, last in bounds) - min(first for first, _ in bounds)) // (ran - 1)


def _quarters(tx: Tx, platform_id: str, job_id: str, since: datetime, until: datetime) -> list[Rollup]:
    # Sorted by the instant they stand for; a year of one job's quarters at most.
    bounds = {"since": Span.QUARTER.floor(since), "until": until}
    return tx.rollups.series(Span.QUARTER, platform_id, job_id=job_id, limit=_MOST, **bounds)


def _every(tx: Tx, span: Span, platform_id: str, since: datetime, until: datetime) -> list[Rollup]:
    return tx.rollups.series(span, platform_id, since=since, until=until, limit=_MOST)


def _check_series(tx: Tx, since: datetime, until: datetime, bucket: timedelta) -> None:
    if since >= until or until - since > RANGE_MOST:
        raise ValidationError("must lie before `to`, and at most 366 days", field="from")
    if bucket < timedelta(minutes=1) or bucket % timedelta(minutes=1):
        raise ValidationError("must be whole minutes", field="bucket_ms")
    if (until - since) / bucket > BUCKETS_MOST:
        raise ValidationError(f"gives more than {BUCKETS_MOST} buckets", field="bucket_ms", fix="Ask for longer ones")
    if since < tx.now - MINUTES and bucket % timedelta(hours=1):
        fix = "Ask for whole hours, or for less than that long ago"
        raise ValidationError("minutes are kept for two days", field="bucket_ms", fix=fix)


def _floor(at: datetime, bucket: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return at - (at - epoch) % bucket


def _complete(tx: Tx, since: datetime) -> bool:
    """Tell whether everything from an instant on was counted, and is still kept."""
    return all(bound is None or bound <= since for bound in (counted_since(tx), ledger_since(tx)))
