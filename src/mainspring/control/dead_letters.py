"""Dead letters by filter: how many there are, redrive with a rate, discard. What is repeated does what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model.execution import DeadLetter, Failure
from mainspring.moves.jobs import existing
from mainspring.moves.redrive import BATCH, Batch, discard_batch, redrive_batch
from mainspring.ports.store import LetterQuery, Store, Tx

#: Most letters looked at to count them, and most worked on by one call unless it says otherwise.
COUNT, LIMIT = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which open dead letters of a platform; every field given must match.

    ``since`` (inclusive) and ``until`` (exclusive) speak of when they died. ``job`` is a name or an id.
    """

    job: str | None = None
    handler: str | None = None
    failure: Failure | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def empty(self) -> bool:
        """Whether it names nothing, and so means every letter there is."""
        return self == LetterFilter()


@dataclass(frozen=True, slots=True)
class Alike:
    """Letters that failed alike: how many, and what the oldest of them said."""

    fingerprint: str
    count: int
    handler: str
    error: str


@dataclass(frozen=True, slots=True)
class Matching:
    """What a filter matches. ``more``: there are more than ``count``, which were not counted."""

    count: int
    more: bool
    alike: tuple[Alike, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"count": self.count, "more": self.more, "alike": [asdict(one) for one in self.alike]}


@dataclass(slots=True)
class Worked:
    """What was done: (dead execution, its new one or None). ``more``: the limit kept it from the rest."""

    done: list[tuple[str, str | None]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    more: bool = False
    until: datetime | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data; ``until`` is when the last of them may start."""
        return {
            "count": len(self.done),
            "executions": [{"execution_id": dead, "redriven_as": new} for dead, new in self.done],
            "skipped": self.skipped,
            "more": self.more,
            "until": self.until,
        }


class DeadLetterService:
    """The open dead letters of one platform, many at a time.

    Each batch is a transaction; a call that breaks off has done whole batches, and repeating it does the rest.
    """

    def __init__(self, store: Store, *, platform_id: str = "default") -> None:
        self._store, self.platform_id = store, platform_id

    async def matching(self, wanted: LetterFilter, *, limit: int = COUNT) -> Matching:
        """Count what a filter matches, up to ``limit``, grouped by how they failed. Changes nothing."""

        def work(tx: Tx) -> list[DeadLetter]:
            return tx.dead_letters.open(self.platform_id, self._query(tx, wanted), limit=limit + 1)

        found = await self._store.read(work)
        counted = found[:limit]
        return Matching(len(counted), len(found) > limit, _alike(counted))

    async def redrive(
        self, wanted: LetterFilter, *, limit: int = LIMIT, rate: float | None = None, everything: bool = False
    ) -> Worked:
        """Run letters again, oldest first, each as a new execution, ``rate`` of them a second (None: all at once).

        Raises `ValidationError` for an empty filter unless ``everything``, and `LimitExceededError` where the
        platform's ``max_pending`` is reached: what was redriven until then stays so.
        """
        if rate is not None and not 0.001 <= rate <= 10_000:
            raise ValidationError(f"must be from 0.001 to 10000 a second, got {rate}", field="rate")
        apart = timedelta(0) if rate is None else timedelta(seconds=1 / rate)
        worked = Worked()
        begun: list[datetime] = []

        def batch(tx: Tx, query: LetterQuery, after_id: str | None, size: int) -> Batch:
            return redrive_batch(
                tx,
                self.platform_id,
                query,
                after_id=after_id,
                limit=size,
                first_at=begun[0] if begun else None,
                apart=apart,
                number=len(worked.done),
            )

        await self._each(wanted, worked, batch, limit=limit, everything=everything, begun=begun)
        if begun and worked.done:
            worked.until = begun[0] + apart * (len(worked.done) - 1)
        return worked

    async def discard(
        self, wanted: LetterFilter, *, reason: str, limit: int = LIMIT, everything: bool = False
    ) -> Worked:
        """Close letters without running them; ``reason`` is kept with each."""
        if not reason.strip():
            raise ValidationError("say why they are discarded", field="reason")
        worked = Worked()

        def batch(tx: Tx, query: LetterQuery, after_id: str | None, size: int) -> Batch:
            return discard_batch(tx, self.platform_id, query, reason=reason, after_id=after_id, limit=size)

        await self._each(wanted, worked, batch, limit=limit, everything=everything, begun=[])
        return worked

    async def _each(
        self,
        wanted: LetterFilter,
        worked: Worked,
        batch: Callable[[Tx, LetterQuery, str | None, int], Batch],
        *,
        limit: int,
        everything: bool,
        begun: list[datetime],
    ) -> None:
        if wanted.empty and not everything:
            raise ValidationError("names nothing", field="filter", fix="Narrow it, or ask for all of them")
        if not 1 <= limit <= 1_000_000:
            raise ValidationError(f"must be from 1 to 1000000, got {limit}", field="limit")
        after_id: str | None = None
        seen = 0
        while True:
            size = min(BATCH, limit - seen)
            done = await self._store.write(partial(self._one, wanted, batch, after_id, size))
            worked.done += done.done
            worked.skipped += done.skipped
            seen += len(done.done) + len(done.skipped)
            after_id = done.last_id
            if not begun and done.now is not None:
                begun.append(done.now)
            if not done.more or seen >= limit:
                worked.more = done.more
                return

    def _one(
        self,
        wanted: LetterFilter,
        batch: Callable[[Tx, LetterQuery, str | None, int], Batch],
        after_id: str | None,
        size: int,
        tx: Tx,
    ) -> Batch:
        return batch(tx, self._query(tx, wanted), after_id, size)

    def _query(self, tx: Tx, wanted: LetterFilter) -> LetterQuery:
        """Return the query; raises `NotFoundError` for a job there is none of."""
        query = LetterQuery(
            handler=wanted.handler,
            failure=wanted.failure,
            fingerprint=wanted.fingerprint,
            since=wanted.since,
            until=wanted.until,
        )
        return query if wanted.job is None else replace(query, job_id=existing(tx, self.platform_id, wanted.job).id)


def _alike(letters: list[DeadLetter]) -> tuple[Alike, ...]:
    counts = Counter(letter.fingerprint for letter in letters)
    oldest: dict[str, DeadLetter] = {}
    for letter in letters:
        oldest.setdefault(letter.fingerprint, letter)
    return tuple(
        Alike(fingerprint, count, oldest[fingerprint].handler, _said(oldest[fingerprint]))
        for fingerprint, count in counts.most_common(20)
    )


def _said(letter: DeadLetter) -> str:
    error = letter.error or {}
    return f"{error.get('type')}: {str(error.get('message', ''))[:200]}" if error else letter.failure.value
