"""The record as a stream of plain rows, for audits from outside: decisions, executions, attempts, transitions.

A stream is read page by page, each a snapshot of its own, so that an export of any length holds no old snapshot and
no lock. What had been committed when it began is all there, each row whole and once; executions made after that are
left out, and decisions may be there or not. No clock bounds it: after a step back of the store's, rows lie ahead of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from mainspring.errors import NotFoundError
from mainspring.model.execution import Execution, Transition
from mainspring.model.wire import decision_to_wire, execution_to_wire, record_to_wire
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.schedule.history import derive_history

T = TypeVar("T")
Read = Callable[[Callable[[Tx], Any]], Awaitable[Any]]

#: Rows of one page. An execution may carry a payload of 256 KiB and a result of 64 KiB.
PAGE = 200


class Kind(StrEnum):
    """What can be exported."""

    DECISIONS = "decisions"
    EXECUTIONS = "executions"
    ATTEMPTS = "attempts"
    TRANSITIONS = "transitions"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next page begins: behind this key."""

    job_id: str | None
    after: Any = None


async def export(
    read: Read, platform_id: str, kind: Kind, *, job: str | None = None, page: int = PAGE
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the rows of one kind as plain data, a page at a time.

    Decisions come in the order of their key (job, ``scheduled_at``, key); executions newest first, and attempts and
    transitions with them: all of one execution together, in the order in which they happened. A transition says with
    ``recorded`` whether it was kept as it happened (the setting ``record_transitions``) or is derived.

    Args:
        read: Runs a work on one snapshot, such as ``SchedulerService.read``.
        platform_id: Whose rows.
        kind: Which rows.
        job: Only those of this job, by name or id.
        page: Executions, or decisions, read at once.

    Raises:
        NotFoundError: If there is no such job.
    """
    place = await read(lambda tx: _Place(_job_id(tx, platform_id, job)))
    while True:
        rows, after = await read(_one_page(kind, platform_id, place, page))
        if rows:
            yield rows
        if after is None:
            return
        place = _Place(place.job_id, after)


def _job_id(tx: Tx, platform_id: str, name: str | None) -> str | None:
    if name is None:
        return None
    job = tx.jobs.get(platform_id, name)
    if job is None:
        raise NotFoundError("job", name)
    return job.id


_Page = tuple[list[dict[str, Any]], Any]


def _one_page(kind: Kind, platform_id: str, place: _Place, size: int) -> Callable[[Tx], _Page]:
    step = _decisions if kind is Kind.DECISIONS else _PAGES[kind]
    return lambda tx: step(tx, platform_id, place, size)


def _decisions(tx: Tx, platform_id: str, place: _Place, size: int) -> _Page:
    found = tx.decisions.page(platform_id, job_id=place.job_id, after=place.after, limit=size)
    last = found[-1] if len(found) == size else None
    after = None if last is None else (last.job_id, last.scheduled_at, last.key)
    return [decision_to_wire(decision) for decision in found], after


def _of_executions(
    rows_of: Callable[[Tx, list[Execution]], list[dict[str, Any]]],
) -> Callable[[Tx, str, _Place, int], _Page]:
    def page(tx: Tx, platform_id: str, place: _Place, size: int) -> _Page:
        # Newest first: what is made while the export runs has ids above the first page's, and never comes up.
        query = ExecutionQuery(platform_id, job_id=place.job_id, before_id=place.after, limit=size)
        found = tx.executions.find(query)
        return rows_of(tx, found), found[-1].id if len(found) == size else None

    return page


def _attempts(tx: Tx, executions: list[Execution]) -> list[dict[str, Any]]:
    by_execution = _grouped(tx.executions.attempts_of([e.id for e in executions]))
    return [record_to_wire(attempt) for e in executions for attempt in by_execution.get(e.id, [])]


def _transitions(tx: Tx, executions: list[Execution]) -> list[dict[str, Any]]:
    ids = [execution.id for execution in executions]
    recorded = _grouped(tx.executions.transitions_of(ids))
    attempts = _grouped(tx.executions.attempts_of([i for i in ids if not _whole(recorded.get(i))]))
    rows = []
    for execution in executions:
        known = recorded.get(execution.id, [])
        kept = _whole(known)
        moves = known if kept else derive_history(execution, attempts.get(execution.id, []))
        rows += [record_to_wire(move) | {"recorded": kept} for move in moves]
    return rows


def _whole(recorded: list[Transition] | None) -> bool:
    """Whether recording was on from the execution's first moment: a part of a history would mislead."""
    return bool(recorded) and recorded is not None and recorded[0].source is None


def _grouped(rows: list[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(row.execution_id, []).append(row)  # type: ignore[attr-defined]
    return found


_PAGES = {
    Kind.EXECUTIONS: _of_executions(lambda _, executions: [execution_to_wire(e) for e in executions]),
    Kind.ATTEMPTS: _of_executions(_attempts),
    Kind.TRANSITIONS: _of_executions(_transitions),
}
