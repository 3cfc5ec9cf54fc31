"""Puts rows into Mainspring's database by the batch that would take hours to come about: schedules, and history.

Each is a copy of one that came about in the usual way, written through the store as the engine writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mainspring import Mainspring
from mainspring.model.job import Job
from mainspring.ports.store import ExecutionQuery, Tx

#: Rows in one transaction.
AT_ONCE = 5_000


async def copy_job(ms: Mainspring, name: str, copies: int) -> None:
    """Store copies of a job, named after it."""
    store = await ms.open()
    job = (await ms.scheduler().get_job(name)).job

    def add(tx: Tx, numbers: range) -> None:
        pairs = zip(tx.new_ids(len(numbers)), numbers, strict=True)
        tx.jobs.add([_renamed(job, new, f"{name}-{number}") for new, number in pairs], actor="benchmark")
        tx.wake("jobs")

    for numbers in _batches(copies):
        await store.write(lambda tx, numbers=numbers: add(tx, numbers))  # type: ignore[misc]


async def copy_history(ms: Mainspring, copies: int) -> None:
    """Store copies of the newest execution, which has ended."""
    store = await ms.open()
    (ended,) = await store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=1)))
    if not ended.status.terminal:
        raise RuntimeError(f"execution {ended.id} has not ended: it is {ended.status}")

    def add(tx: Tx, numbers: range) -> None:
        tx.executions.add([replace(ended, id=new) for new in tx.new_ids(len(numbers))])

    for numbers in _batches(copies):
        await store.write(lambda tx, numbers=numbers: add(tx, numbers))  # type: ignore[misc]


def _renamed(job: Job, new: str, name: str) -> Job:
    return replace(job, id=new, definition=replace(job.definition, name=name))


def _batches(rows: int) -> Iterator[range]:
    for begin in range(0, rows, AT_ONCE):
        yield range(begin, min(begin + AT_ONCE, rows))
