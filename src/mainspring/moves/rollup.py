"""Events -> rollups: counted once each, in the transaction that marks the event as published or applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.model import histogram
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Status
from mainspring.model.ids import id_time
from mainspring.model.rollup import Rollup, Span, blank
from mainspring.ports.store import Tx

#: Pairs of a queue and a handler the fleet's totals tell apart. The rest is one more, of the name `OTHER`.
TOTALS = 500
OTHER = "other"
#: How long minutes are kept; quarters and hours go with the ledger.
MINUTES = timedelta(days=2)
#: The note of a database that is older than its rollups: since when everything is counted.
SINCE = "rollups_since"

_ENDED = {
    EventType.EXECUTION_SUCCESS: Status.SUCCESS.value,
    EventType.EXECUTION_FAILED: Status.FAILED.value,
    EventType.EXECUTION_CANCELLED: Status.CANCELLED.value,
    EventType.EXECUTION_EXPIRED: Status.EXPIRED.value,
}
_TIMED = (EventType.EXECUTION_SUCCESS, EventType.EXECUTION_FAILED)
_COUNTED = {*_ENDED, EventType.EXECUTION_RETRY, EventType.OCCURRENCE_SKIPPED}


@dataclass(slots=True)
class _Sum:
    """What a batch of events adds to one rollup."""

    blank: Rollup
    counts: dict[str, int] = field(default_factory=dict)
    durations: dict[str, int] = field(default_factory=dict)
    delays: dict[str, int] = field(default_factory=dict)
    instants: list[datetime] = field(default_factory=list)

    def add(self, fact: _Fact) -> None:
        for name, count in fact.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if fact.duration is not None:
            histogram.observe(self.durations, fact.duration)
        if fact.delay is not None:
            histogram.observe(self.delays, fact.delay)
        if fact.ran_at is not None:
            self.instants.append(fact.ran_at)

    def onto(self, kept: Rollup) -> Rollup:
        counts, durations, delays = dict(kept.counts), dict(kept.durations), dict(kept.delays)
        histogram.merge(counts, self.counts)
        histogram.merge(durations, self.durations)
        histogram.merge(delays, self.delays)
        instants = [*self.instants, *(at for at in (kept.first_at, kept.last_at) if at is not None)]
        first, last = (min(instants), max(instants)) if instants else (None, None)
        return replace(kept, counts=counts, durations=durations, delays=delays, first_at=first, last_at=last)


@dataclass(frozen=True, slots=True)
class _Fact:
    """What one event says."""

    platform_id: str
    at: datetime
    due_at: datetime
    counts: Mapping[str, int]
    job_id: str = ""
    queue: str = ""
    handler: str = ""
    duration: int | None = None
    delay: int | None = None
    ran_at: datetime | None = None


def roll_up(tx: Tx, events: Iterable[Event]) -> None:
    """Count events into the rollups they belong to."""
    facts = [_fact(event) for event in events if event.type in _COUNTED]
    if not facts:
        return
    sums: dict[str, _Sum] = {}
    known = _told_apart(tx, facts)
    for fact in facts:
        for row in _rows(fact, known):
            sums.setdefault(row.key, _Sum(row)).add(fact)
    kept = tx.rollups.hold([one.blank for one in sums.values()])
    tx.rollups.put([one.onto(kept[key]) for key, one in sums.items()])


def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete a batch of rollups past their time; ``before`` is since when the ledger is kept."""
    deleted = tx.rollups.delete(Span.MINUTE, tx.now - MINUTES, limit)
    deleted += tx.rollups.delete(Span.QUARTER, before, limit)
    return deleted + tx.rollups.delete(Span.HOUR, before, limit)


def counted_since(tx: Tx) -> datetime | None:
    """Return since when everything is counted; None where nothing was ever left out."""
    noted = tx.platforms.note(SINCE)
    return None if noted is None else datetime.fromisoformat(noted)


def _rows(fact: _Fact, known: set[str]) -> list[Rollup]:
    platform, work = {"platform_id": fact.platform_id}, {"queue": fact.queue, "handler": fact.handler}
    rows = [blank(Span.MINUTE, fact.at, **platform)]
    if fact.job_id:
        rows.append(blank(Span.QUARTER, fact.due_at, job_id=fact.job_id, **platform))
    if fact.handler:
        rows.append(blank(Span.HOUR, fact.at, **platform, **work))
    total = blank(Span.TOTAL, fact.at, **work)
    rows.append(total if total.key in known else blank(Span.TOTAL, fact.at, queue=OTHER, handler=OTHER))
    return rows


def _told_apart(tx: Tx, facts: Sequence[_Fact]) -> set[str]:
    """Return the keys of totals these facts are counted under, as long as there are not too many of them."""
    wanted = {blank(Span.TOTAL, fact.at, queue=fact.queue, handler=fact.handler).key for fact in facts}
    known = tx.rollups.known(sorted(wanted))
    new = sorted(wanted - known)
    if new:
        room = max(0, TOTALS - len(tx.rollups.totals(TOTALS)))
        known |= set(new[:room])
    return known


def _fact(event: Event) -> _Fact:
    data, at = event.data, event.at
    job_id = str(data.get("job_id") or "")
    due = _instant(data.get("scheduled_at"))
    if event.type == EventType.OCCURRENCE_SKIPPED:
        counts = {str(data.get("decision")): int(data.get("count") or 1)}
        return _Fact(event.platform_id, at, due or at, counts, job_id)
    kind = EventType(event.type)
    counts = {_ENDED.get(kind, "retry"): 1}
    if data.get("dead_letter"):
        counts["dead"] = 1
    ran_at = due if kind in _ENDED and data.get("started_at") is not None else None
    if ran_at is not None:
        counts["ran"] = 1
    return _Fact(
        event.platform_id,
        at,
        due or id_time(str(data["execution_id"])),
        counts,
        job_id,
        str(data.get("queue") or ""),
        str(data.get("handler") or ""),
        duration=_number(data.get("duration_ms")) if kind in _TIMED else None,
        delay=_number(data.get("delay_ms")),
        ran_at=ran_at,
    )


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
