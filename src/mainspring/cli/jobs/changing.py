"""`jobs update`, `pause`, `resume`, `archive`, `revert` and `skip`: each says what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli import job_fields
from mainspring.cli.desk import Desk
from mainspring.cli.exits import UsageError
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.moments import read_at
from mainspring.cli.output import print_one, warn
from mainspring.cli.target import Target
from mainspring.cli.times import both, stamp
from mainspring.client import asks
from mainspring.client.shapes import ChangedJob, Decision


def update_job(
    name: str,
    /,
    *,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    payload: str | None = None,
    file: Annotated[str | None, Parameter(name=["--file", "-f"], allow_leading_hyphen=True)] = None,
    if_revision: int | None = None,
    target: Target | None = None,
) -> None:
    """Change the fields named; the others stay. null returns a field to its default.

    Args:
        name: The job's name or id.
        set_: Any field as FIELD=JSON, such as priority=9 or schedule={"cron":"@daily"}; may be repeated.
        payload: A JSON object, or @FILE; @- reads stdin.
        file: A JSON file with the fields to change; - reads stdin.
        if_revision: Change it only if the job is still at this revision.
    """
    target = target or Target()
    changes = job_fields.read_object(f"@{file}", "--file") if file else {}
    if payload is not None:
        changes["payload"] = job_fields.read_object(payload, "--payload")
    assigned = [text for text in set_ or [] if "." in text.partition("=")[0]]
    changes = job_fields.with_assignments(changes, [text for text in set_ or [] if text not in assigned])

    async def work(desk: Desk) -> ChangedJob:
        merged: Any = changes
        if assigned:
            # A dotted path changes one field inside; what stands beside it must come from the job as it is.
            current = (await desk.ask(asks.get_job(name))).wire
            outer = {text.partition(".")[0] for text in assigned}
            base = {key: current[key] for key in outer if current.get(key) is not None}
            merged = job_fields.with_assignments({**base, **changes}, assigned)
        if not merged:
            raise UsageError("nothing to change", fix="Give --set FIELD=VALUE, --payload or --file")
        job_fields.check(merged)
        return await desk.ask(asks.update_job(name, if_revision=if_revision, **merged))

    report_change(target, work, "updated")


def pause_job(name: str, /, *, reason: str, until: str | None = None, target: Target | None = None) -> None:
    """Stop deciding a job's instants; executions that exist go on.

    Args:
        name: The job's name or id.
        reason: Why; it is shown wherever somebody wonders.
        until: Resume then by itself: an instant, or a wall time in the job's zone.
    """
    target = target or Target()

    async def work(desk: Desk) -> ChangedJob:
        at = await read_at(desk, name, until, "until")
        return await desk.ask(asks.pause_job(name, reason=reason, until=at))

    report_change(target, work, "paused")


def resume_job(
    name: str,
    /,
    *,
    catch_up: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    target: Target | None = None,
) -> None:
    """Decide a paused job again from now on.

    Args:
        name: The job's name or id.
        catch_up: Decide what passed meanwhile by the misfire policy, instead of skipping it.
    """
    report_change(target or Target(), lambda desk: desk.ask(asks.resume_job(name, catch_up=catch_up)), "resumed")


def archive_job(name: str, /, *, target: Target | None = None) -> None:
    """Retire a job: it is decided no more, its name is free, its history stays.

    Args:
        name: The job's name or id.
    """
    report_change(target or Target(), lambda desk: desk.ask(asks.archive_job(name)), "archived")


def revert_job(name: str, revision: int, /, *, target: Target | None = None) -> None:
    """Let a former revision's definition hold again, as a new revision.

    Args:
        name: The job's name or id.
        revision: Which one; `jobs revisions` shows them.
    """
    report_change(target or Target(), lambda desk: desk.ask(asks.revert_job(name, revision=revision)), "reverted")


def skip_next(name: str, /, *, reason: str, at: str | None = None, target: Target | None = None) -> None:
    """Pass over a job's next instant.

    Args:
        name: The job's name or id.
        reason: Why; it is shown wherever somebody wonders.
        at: The instant that is meant, or a wall time in the job's zone: refused if it is not the next one.
    """
    target = target or Target()

    async def work(desk: Desk) -> tuple[Decision, str]:
        zone = (await read_zones(desk)).of_job(await desk.ask(asks.get_job(name)))
        moment = await read_at(desk, name, at, "at")
        occurrence: Any = "next" if moment is None else moment
        return await desk.ask(asks.skip_occurrence(name, occurrence=occurrence, reason=reason)), zone

    decision, zone = target.run(work)
    print_one(target.output, decision.wire, f"{name} will not run at {both(decision.scheduled_at, zone)}")


def report_change(
    target: Target, work: Callable[[Desk], Awaitable[ChangedJob]], verb: str, *, create: bool = False
) -> None:
    """Make a change and print the job as it is now, with the warnings and its next run."""

    async def changed(desk: Desk) -> tuple[ChangedJob, JobZones]:
        done = await work(desk)
        return done, await read_zones(desk) if target.for_people else JobZones()

    job, zones = target.run(changed, create=create)
    warn(job.warnings)
    if not job.changed:
        text = f"{job.name} is as asked already: {job.status}, revision {job.revision}"
    else:
        following = f"; next run {stamp(job.next_run_at, zones.of_job(job))}" if job.next_run_at else ""
        pause = f" until {stamp(job.paused_until, zones.of_job(job))}" if job.paused_until else ""
        text = f"{verb} {job.name} (revision {job.revision}){pause}{following}"
    print_one(target.output, job.wire, text)
