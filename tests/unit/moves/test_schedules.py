"""Compiled schedules are kept, and never mistaken for those of another edition of the job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mainspring.model.job import Job
from mainspring.moves.schedules import Schedules
from tests.unit.moves.conftest import START, Bench


def compiled(bench: Bench, job: Job) -> Any:
    return bench.do(lambda tx: bench.schedules.of(tx, job))


def every(bench: Bench, job: Job, cron: str, seconds: int) -> Job:
    """Return the next revision of a job, as an edit made some seconds later would store it."""
    definition = bench.job(f"other-{seconds}", schedule={"cron": cron}).definition
    return job.changed(definition=definition, revision=2, updated_at=START + timedelta(seconds=seconds))


async def test_a_schedule_is_compiled_once(bench: Bench) -> None:
    job = bench.job()
    assert compiled(bench, job) is compiled(bench, job)


async def test_an_edit_that_was_rolled_back_does_not_stand_for_the_next_one_of_its_revision(bench: Bench) -> None:
    bench.schedules, job = Schedules(), bench.job()
    hourly = compiled(bench, every(bench, job, "0 * * * *", 1))
    daily = compiled(bench, every(bench, job, "0 9 * * *", 2))
    assert hourly.next(START + timedelta(hours=2)).at != daily.next(START + timedelta(hours=2)).at
