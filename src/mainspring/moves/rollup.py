"""Events -> rollups: counted once each, in the transaction that marks the event as published or applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
_MINUTE, _QUARTER = Span.MINUTE.length.total_seconds(), Span.QUARTER.length.total_seconds()
_TIMED = (EventType.EXECUTION_SUCCESS, EventType.EXECUTION_FAILED)
_COUNTED = {*_ENDED, EventType.EXECUTION_RETRY, EventType.OCCURRENCE_SKIPPED}


#: Data that decides how an event is counted.
_ALIKE = ("job_id", "scheduled_at", "queue", "handler", "dead_letter", "decision", "count")

#: What some events have in common.
_Place = tuple[object, ...]


@dataclass(slots=True)
class _Sum:
    """What some events add up to."""

    counts: dict[str, int] = field(default_factory=dict)
    durations: dict[str, int] = field(default_factory=dict)
    delays: dict[str, int] = field(default_factory=dict)
    first_at: datetime | None = None
    last_at: datetime | None = None

    def add(self, fact: _Fact) -> None:
        histogram.merge(self.counts, fact.counts)
        histogram.observe(self.durations, fact.durations)
        histogram.observe(self.delays, fact.delays)
        if fact.ran_at is not None:
            self._bound(fact.ran_at, fact.ran_at)

    def merge(self, other: _Sum | Rollup) -> None:
        histogram.merge(self.counts, other.counts)
        histogram.merge(self.durations, other.durations)
        histogram.merge(self.delays, other.delays)
        if other.first_at is not None and other.last_at is not None:
            self._bound(other.first_at, other.last_at)

    def _bound(self, first_at: datetime, last_at: datetime) -> None:
        self.first_at = first_at if self.first_at is None else min(self.first_at, first_at)
        self.last_at = last_at if self.last_at is None else max(self.last_at, last_at)

    def onto(self, kept: Rollup) -> Rollup:
        self.merge(kept)
        return kept.changed(
            counts=self.counts,
            durations=self.durations,
            delays=self.delays,
            first_at=self.first_at,
            last_at=self.last_at,
        )


@dataclass(slots=True)
class _Fact:
    """What events say that differ in nothing but how long things took."""

    platform_id: str
    at: datetime
    due_at: datetime
    counts: Mapping[str, int]
    job_id: str = ""
    queue: str = ""
    handler: str = ""
    durations: Sequence[int] = ()
    delays: Sequence[int] = ()
    ran_at: datetime | None = None

    @property
    def place(self) -> _Place:
        """What decides which rollups count it, but for its job's."""
        return self.platform_id, self.queue, self.handler, self.at.timestamp() // _MINUTE

    @property
    def quarter(self) -> _Place:
        """What decides which rollup of its job counts it."""
        return self.platform_id, self.job_id, self.due_at.timestamp() // _QUARTER


def roll_up(tx: Tx, events: Iterable[Event]) -> None:
    """Count events into the rollups they belong to.

    Those that belong to the same are added up first: most of a batch are of one minute, queue and handler.
    """
    alike: dict[tuple[object, ...], list[Event]] = {}
    for event in events:
        if event.type in _COUNTED:
            alike.setdefault(_likeness(event), []).append(event)
    places: dict[_Place, tuple[_Fact, _Sum]] = {}
    quarters: dict[_Place, tuple[_Fact, _Sum]] = {}
    for fact in map(_fact, alike.values()):
        places.setdefault(fact.place, (fact, _Sum()))[1].add(fact)
        if fact.job_id:
            quarters.setdefault(fact.quarter, (fact, _Sum()))[1].add(fact)
    if not places:
        return
    known = _told_apart(tx, [fact for fact, _ in places.values()])
    rows: dict[str, Rollup] = {}
    sums: dict[str, _Sum] = {}
    for fact, total in places.values():
        for row in _rows(fact, known):
            rows[row.key] = row
            sums.setdefault(row.key, _Sum()).merge(total)
    for fact, total in quarters.values():
        row = blank(Span.QUARTER, fact.due_at, platform_id=fact.platform_id, job_id=fact.job_id)
        rows[row.key], sums[row.key] = row, total
    kept = tx.rollups.hold(list(rows.values()))
    tx.rollups.put([total.onto(kept[key]) for key, total in sums.items()])


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


def _likeness(event: Event) -> tuple[object, ...]:
    """All that decides how an event is counted, but how long things took."""
    get = event.data.get
    told = tuple(map(get, _ALIKE))
    job_id, scheduled_at = told[:2]
    # Of a job, what was due at no instant counts where it was made.
    made = get("execution_id") if job_id and not scheduled_at else None
    return event.type, event.platform_id, event.at, made, get("started_at") is None, told


def _fact(alike: Sequence[Event]) -> _Fact:
    event, times = alike[0], len(alike)
    data, at, kind = event.data, event.at, event.type
    job_id = str(data.get("job_id") or "")
    due = _instant(data.get("scheduled_at"))
    if kind == EventType.OCCURRENCE_SKIPPED:
        counts = {str(data.get("decision")): int(data.get("count") or 1) * times}
        return _Fact(event.platform_id, at, due or at, counts, job_id)
    counts = {_ENDED.get(kind, "retry"): times}  # type: ignore[call-overload]
    if data.get("dead_letter"):
        counts["dead"] = times
    ran_at = due if kind in _ENDED and data.get("started_at") is not None else None
    if ran_at is not None:
        counts["ran"] = times
    return _Fact(
        event.platform_id,
        at,
        due or id_time(str(data["execution_id"])),
        counts,
        job_id,
        str(data.get("queue") or ""),
        str(data.get("handler") or ""),
        durations=_numbers(alike, "duration_ms") if kind in _TIMED else (),
        delays=_numbers(alike, "delay_ms"),
        ran_at=ran_at,
    )


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _numbers(events: Sequence[Event], name: str) -> list[int]:
    return [int(value) for event in events if (value := event.data.get(name)) is not None]
