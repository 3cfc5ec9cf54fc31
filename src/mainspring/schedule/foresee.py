"""What `decide` will make of a job at its next instant, worked out before that: in the usual case, and only for it.

The usual case is one due instant, decided on time while nothing of the job is active. What is foreseen holds until the
next instant or the misfire grace makes it another case; from then on, and in every other case, `decide` is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from mainspring.model.columns import Columns
from mainspring.model.decision import Decision, Verdict
from mainspring.model.execution import Execution
from mainspring.model.job import Job, JobCursor
from mainspring.schedule.compiled import CompiledSchedule
from mainspring.schedule.decide import Plan, decide, is_timed

_TICK = timedelta(microseconds=1)
_DECISION = tuple(field.name for field in fields(Decision))
_EXECUTION = tuple(field.name for field in fields(Execution))
_decision_values, _execution_values = attrgetter(*_DECISION), attrgetter(*_EXECUTION)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The decision of ``job``'s next instant, but for when it is decided and for the execution's id.

    It holds for ``job`` as it is here, ``zone`` as the place of its times, and a decision from ``since`` to ``until``,
    both included. ``decision`` and ``execution`` hold the values of these by field, which take less room.
    """

    job: Job
    zone: str
    since: datetime
    until: datetime
    decision: tuple[Any, ...]
    execution: tuple[Any, ...]
    cursor: JobCursor

    def plan(self, now: datetime, execution_id: str) -> Plan:
        """Return what `decide` returns at ``now``, which must be in bounds, if it is given ``execution_id``."""
        found = together([self], now, [execution_id])
        return Plan(list(found.decisions), list(found.executions), cursor=self.cursor)


@dataclass(frozen=True, slots=True)
class Together:
    """The decisions of several jobs that are all as foreseen, in the order of the jobs."""

    decisions: Columns[Decision]
    executions: Columns[Execution]
    cursors: Sequence[JobCursor]


def together(found: Sequence[Foreseen], now: datetime, execution_ids: Sequence[str]) -> Together:
    """Return what `decide` returns of each at ``now``, which must be in bounds, given its execution's id."""
    nows = [now] * len(found)
    decisions = Columns.of(Decision, _DECISION, [one.decision for one in found])
    executions = Columns.of(Execution, _EXECUTION, [one.execution for one in found])
    return Together(
        decisions.changed(decided_at=nows, late=[now - one.since for one in found], execution_id=execution_ids),
        executions.changed(id=execution_ids, created_at=nows, idempotency_key=execution_ids),
        [one.cursor for one in found],
    )


def foresee(
    job: Job, schedule: CompiledSchedule, *, zone: str, tzdb_version: str, dispatcher_id: str | None
) -> Foreseen | None:
    """Work out the decision of a job's ``next_run_at``; None where that is no job or no case to foresee.

    Args:
        job: The job as stored.
        schedule: Its compiled schedule.
        zone: The zone it was compiled in.
        tzdb_version: Version of the zone data it was compiled with.
        dispatcher_id: Who will decide.
    """
    at = job.next_run_at
    # Calendars may change without the job.
    if at is None or not is_timed(job) or (job.definition.schedule or {}).get("calendars"):
        return None
    # With now at the instant itself nothing is late and nothing else is due: what is the same for any later now.
    plan = decide(
        job,
        schedule,
        now=at,
        active=(),
        new_id=str,
        tzdb_version=tzdb_version,
        dispatcher_id=dispatcher_id,
    )
    cursor = plan.cursor
    if cursor is None or len(plan.decisions) != 1 or len(plan.executions) != 1:
        return None
    decision, execution = plan.decisions[0], plan.executions[0]
    if decision.decision is not Verdict.DISPATCHED or execution.available_at != at or execution.blocked_by is not None:
        return None
    until = at + job.definition.misfire_grace
    if cursor.next_run_at is not None:
        until = min(until, cursor.next_run_at - _TICK)
    return Foreseen(job, zone, at, until, _decision_values(decision), _execution_values(execution), cursor)
