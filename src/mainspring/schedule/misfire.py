"""Which missed instants still run. The cost follows what runs, never the length of the outage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mainspring.model.decision import Verdict
from mainspring.model.job import JobDefinition, JobType
from mainspring.model.policy import Misfire
from mainspring.schedule.compiled import CompiledSchedule
from mainspring.schedule.occurrence import Occurrence

#: How old a missed instant may be where no catch-up window is set, for ``fire_all`` and ``one_time``.
DEFAULT_WINDOW = timedelta(days=7)
#: Instants of a range are counted one by one up to here; beyond, a range without a closed form has no count.
COUNT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class SkippedRange:
    """A run of missed instants decided alike, from ``first`` to ``last``, both included."""

    verdict: Verdict
    first: datetime
    last: datetime
    reason: Mapping[str, Any]
    into: datetime | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """Missed instants: those not run, as ranges oldest first, then those that run (or are excluded), oldest first."""

    ranges: tuple[SkippedRange, ...] = ()
    run: tuple[Occurrence, ...] = field(default_factory=tuple)


def missed(
    definition: JobDefinition, schedule: CompiledSchedule, *, key: str, first: Occurrence, now: datetime
) -> Missed:
    """Split the instants from ``first`` on whose grace is over by the job's misfire policy (SPEC §3).

    ``skip`` runs none; ``fire_once`` the newest, the others coalesced into it; ``fire_all`` the newest
    ``max_catch_up``. What is older than the catch-up window is never run. The grace of ``first`` itself must be over.
    """
    grace_over = now - definition.misfire_grace
    last = _last_missed(schedule, key, grace_over, first)
    window = definition.catch_up_window
    if window is None and (definition.misfire is Misfire.FIRE_ALL or definition.type is JobType.ONE_TIME):
        window = DEFAULT_WINDOW
    oldest = None if window is None else now - window
    wanted = {Misfire.SKIP: 0, Misfire.FIRE_ONCE: 1, Misfire.FIRE_ALL: definition.max_catch_up}[definition.misfire]
    run = _newest(schedule, key, first.at, last, wanted, oldest)
    return _account(definition, schedule, key, first.at, last, run, oldest)


def _last_missed(schedule: CompiledSchedule, key: str, grace_over: datetime, first: Occurrence) -> Occurrence:
    """Return the newest instant whose ``fire_at`` is before ``grace_over``; jitter never reaches past the next one."""
    found = schedule.previous(grace_over)
    while found is not None and found.at > first.at and schedule.fire_at(found.at, key=key) >= grace_over:
        found = schedule.previous(found.at)
    return found if found is not None and found.at > first.at else first


def _newest(
    schedule: CompiledSchedule, key: str, first: datetime, last: Occurrence, wanted: int, oldest: datetime | None
) -> list[Occurrence]:
    """Return the newest ``wanted`` instants that may run, with the excluded ones between them, oldest first."""
    found: list[Occurrence] = []
    runs = 0
    at: Occurrence | None = last
    while at is not None and at.at >= first and runs < wanted and len(found) < wanted + 1000:
        if oldest is not None and schedule.fire_at(at.at, key=key) < oldest:
            break
        found.append(at)
        runs += at.excluded_by is None
        at = schedule.previous(at.at)
    while found and found[-1].excluded_by is not None:
        found.pop()  # nothing older runs: these belong to the range before
    return found[::-1]


def _account(
    definition: JobDefinition,
    schedule: CompiledSchedule,
    key: str,
    first: datetime,
    last: Occurrence,
    run: list[Occurrence],
    oldest: datetime | None,
) -> Missed:
    end = schedule.previous(run[0].at) if run else last
    if end is None or end.at < first:
        return Missed(run=tuple(run))
    ranges: list[SkippedRange] = []
    policy = {
        "misfire": definition.misfire.value,
        "misfire_grace_ms": definition.misfire_grace // timedelta(milliseconds=1),
    }
    too_old = _last_before(schedule, key, first, end.at, oldest)
    if too_old is not None:
        reason = {
            **policy,
            "older_than": oldest.isoformat() if oldest else None,
            "why": "older than the catch-up window",
        }
        ranges.append(_range(schedule, Verdict.SKIPPED_MISFIRE, first, too_old, reason))
        following = schedule.next(too_old)
        if following is None or following.at > end.at:
            return Missed(tuple(ranges), tuple(run))
        first = following.at
    if definition.misfire is Misfire.FIRE_ONCE and run:
        into = run[0].at  # what stands behind it is excluded, and recorded as such
        ranges.append(_range(schedule, Verdict.COALESCED, first, end.at, {**policy, "why": "the newest runs"}, into))
    else:
        why = "misfire is skip" if definition.misfire is Misfire.SKIP else "more missed than max_catch_up"
        reason = {**policy, "max_catch_up": definition.max_catch_up, "why": why}
        if definition.misfire is Misfire.FIRE_ONCE:
            reason = {**policy, "why": "every missed instant is excluded"}
        ranges.append(_range(schedule, Verdict.SKIPPED_MISFIRE, first, end.at, reason))
    return Missed(tuple(ranges), tuple(run))


def _last_before(
    schedule: CompiledSchedule, key: str, first: datetime, end: datetime, oldest: datetime | None
) -> datetime | None:
    """Return the newest instant in [first, end] whose ``fire_at`` is before ``oldest``; None where there is none."""
    if oldest is None or schedule.fire_at(first, key=key) >= oldest:
        return None
    if schedule.fire_at(end, key=key) < oldest:
        return end
    found = schedule.previous(oldest)
    while found is not None and found.at > first and schedule.fire_at(found.at, key=key) >= oldest:
        found = schedule.previous(found.at)
    return found.at if found is not None and found.at >= first else first


def _range(
    schedule: CompiledSchedule,
    verdict: Verdict,
    first: datetime,
    last: datetime,
    reason: Mapping[str, Any],
    into: datetime | None = None,
) -> SkippedRange:
    more = schedule.count_between(first, last, limit=COUNT_LIMIT) if last > first else 0
    return SkippedRange(verdict, first, last, reason, into, None if more is None else more + 1)
