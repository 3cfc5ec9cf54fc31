"""The one order in which transactions wait for each other, and what holds several rows in it at once.

A transaction waits for a lock only if it comes, in this order, after all it holds; inside a rank, after all it holds of
that rank. Then no circle of transactions can wait for each other, so no deadlock has to be found and undone:

1. what a step works on: an operation, the answer kept for a request, events being marked, an accepted event
2. webhooks, by id; then their deliveries
3. rollups of spans of time, by key; then the counters of jobs, by id of the job
4. dead letters, by id
5. jobs, by id
6. idempotency keys, by name
7. executions, by id
8. limits, by platform, scope and name
9. notes

Rows found with SKIP LOCKED (due jobs, what is promoted, claimed, reaped or deleted) are never waited for, so they may
be taken at any time; waiting for anything below them afterwards may not. New rows are nobody else's. What each move
takes is written down in ``docs/decisions/0015-one-order-of-locks.md``; ``tests/locks.py`` watches every transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.model.job import Job, JobStatus
from mainspring.model.node import Limit
from mainspring.model.policy import Overlap
from mainspring.ports.store import Tx

_STOPPING = (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER)


def hold_jobs_to_start(tx: Tx, job_ids: Iterable[str]) -> None:
    """Hold all that starting executions of several jobs, one after the other in one transaction, will wait for."""
    jobs = tx.jobs.lock(sorted(set(job_ids)))
    hold_stoppable(tx, jobs)
    hold_limits(tx, {job.platform_id for job in jobs})


def hold_jobs_to_change(tx: Tx, job_ids: Iterable[str]) -> None:
    """Hold all that changing several jobs will wait for: a change first decides what is due by now."""
    due = [job for job in tx.jobs.lock(sorted(set(job_ids))) if is_due(tx, job)]
    hold_stoppable(tx, due)
    hold_limits(tx, {job.platform_id for job in due})


def hold_stoppable(tx: Tx, jobs: Iterable[Job]) -> None:
    """Hold the executions that deciding these jobs, which are held, may stop."""
    stopping = [job.id for job in jobs if job.definition.overlap_policy in _STOPPING]
    tx.executions.hold([execution.id for execution in tx.executions.active_of(stopping)])


def hold_limits(tx: Tx, platform_ids: Iterable[str]) -> list[Limit]:
    """Hold and return all limits of these platforms."""
    limits = [limit for platform_id in sorted(set(platform_ids)) for limit in tx.platforms.limits(platform_id)]
    tx.platforms.lock_limits(limits)
    return limits


def is_due(tx: Tx, job: Job) -> bool:
    """Tell whether a job has something to be decided by now."""
    return job.status is JobStatus.ACTIVE and job.next_run_at is not None and job.next_run_at <= tx.now
