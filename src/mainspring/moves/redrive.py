"""Dead letters, many at a time: run them again, spread over time, or close them. One batch is one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mainspring.moves.admit import add_executions
from mainspring.moves.enqueue import check_pending, repeated
from mainspring.ports.store import LetterQuery, Tx

#: Letters of one batch.
BATCH = 200


@dataclass(slots=True)
class Batch:
    """What one batch did: (dead, its new execution or None) in order, where to go on, and whether there may be more."""

    done: list[tuple[str, str | None]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    last_id: str | None = None
    more: bool = False
    now: datetime | None = None


def redrive_batch(
    tx: Tx,
    platform_id: str,
    query: LetterQuery,
    *,
    after_id: str | None = None,
    limit: int = BATCH,
    first_at: datetime | None = None,
    apart: timedelta = timedelta(0),
    number: int = 0,
) -> Batch:
    """Run open dead letters again, oldest first, each as a new execution, and close them.

    The first of all becomes available at ``first_at`` (now by default), each further one ``apart`` later; ``number``
    says how many came before this batch. One whose execution is past its retention is left open and told as skipped.

    Raises:
        LimitExceededError: If the platform's ``max_pending`` would be passed; then none of the batch is redriven.
    """
    letters = tx.dead_letters.open(platform_id, query, after_id=after_id, limit=limit, lock=True)
    batch = Batch(last_id=letters[-1].execution_id if letters else after_id, more=len(letters) == limit, now=tx.now)
    check_pending(tx, platform_id, len(letters))
    begin, fresh = first_at or tx.now, []
    for letter in letters:
        old = tx.executions.get(letter.execution_id)
        if old is None:
            batch.skipped.append(letter.execution_id)
            continue
        at = max(begin + apart * (number + len(batch.done)), tx.now)
        execution = repeated(old, tx.new_id(), tx.now, available_at=at)
        tx.dead_letters.resolve(letter.execution_id, status="redriven", redriven_as=execution.id)
        fresh.append(execution)
        batch.done.append((letter.execution_id, execution.id))
    add_executions(tx, fresh)
    return batch


def discard_batch(
    tx: Tx, platform_id: str, query: LetterQuery, *, reason: str, after_id: str | None = None, limit: int = BATCH
) -> Batch:
    """Close open dead letters without running them, oldest first."""
    letters = tx.dead_letters.open(platform_id, query, after_id=after_id, limit=limit, lock=True)
    batch = Batch(last_id=letters[-1].execution_id if letters else after_id, more=len(letters) == limit, now=tx.now)
    for letter in letters:
        tx.dead_letters.resolve(letter.execution_id, status="discarded", reason=reason)
        batch.done.append((letter.execution_id, None))
    return batch
