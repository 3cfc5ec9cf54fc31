"""`export`: the record as JSON lines, for audits and other programs. It only reads.

Lines are written as pages are read, whatever ``-o`` says, but for ``-o json``: that is one array, held whole.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.desk import Desk
from mainspring.cli.output import print_lines, print_whole
from mainspring.cli.target import Target
from mainspring.client.watching import export_record
from mainspring.control.export import Kind

Job = Annotated[str | None, Parameter(name="--job")]


def export_decisions(*, job: Job = None, target: Target | None = None) -> None:
    """Write the ledger: one line for each decision, in the order of job, scheduled_at and key.

    Args:
        job: Only those of this job, by name or id.
    """
    _export(Kind.DECISIONS, job, target)


def export_executions(*, job: Job = None, target: Target | None = None) -> None:
    """Write every execution whole, newest first.

    Args:
        job: Only those of this job, by name or id.
    """
    _export(Kind.EXECUTIONS, job, target)


def export_attempts(*, job: Job = None, target: Target | None = None) -> None:
    """Write the kept attempts: every ended one but a success at the first try.

    Args:
        job: Only those of this job, by name or id.
    """
    _export(Kind.ATTEMPTS, job, target)


def export_transitions(*, job: Job = None, target: Target | None = None) -> None:
    """Write every move of every execution: as recorded, or derived where record_transitions was off.

    Args:
        job: Only those of this job, by name or id.
    """
    _export(Kind.TRANSITIONS, job, target)


def _export(kind: Kind, job: str | None, target: Target | None) -> None:
    target = target or Target()

    ask = export_record(kind.value, job=job)

    async def work(desk: Desk) -> None:
        if target.whole:
            print_whole(target.output, [row async for row in desk.lines(ask)])
            return
        async for row in desk.lines(ask):
            print_lines([row])

    target.run(work)
