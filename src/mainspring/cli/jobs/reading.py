"""`jobs list`, `get`, `next`, `decisions` and `revisions`: what there is, and what became of it."""

from __future__ import annotations

import json
from typing import Any, Literal

from mainspring.cli.desk import Desk
from mainspring.cli.filters import compared, contains, equals
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.moments import read_at
from mainspring.cli.output import columns, page_size, pairs, print_one, short, table
from mainspring.cli.pages import Listed, print_listing, print_rows
from mainspring.cli.target import Target
from mainspring.cli.times import both, span, stamp
from mainspring.client import asks
from mainspring.client.shape import Page
from mainspring.client.shapes import Decision, Job, NextRuns
from mainspring.schedule.compile import compile_schedule

HEADERS = ("NAME", "STATUS", "TYPE", "HANDLER", "NEXT RUN", "LAST", "OK", "FAILED", "SKIPPED")


def list_jobs(
    *,
    status: Literal["active", "paused", "completed", "archived"] | None = None,
    type: Literal["cron", "recurring", "one_time", "event", "manual"] | None = None,
    handler: str | None = None,
    name: str | None = None,
    listed: Listed | None = None,
    target: Target | None = None,
) -> None:
    """List jobs by name, with their next run and last result.

    Args:
        status: Only these; archived ones are shown only when asked for.
        type: Only these.
        handler: Only jobs of this handler.
        name: Only jobs whose name contains this.
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()
    conditions = (equals("status", status), equals("type", type), equals("handler", handler), contains("name", name))
    query = listed.query(*conditions)

    async def work(desk: Desk) -> tuple[Page[Job], JobZones]:
        page = await desk.ask(asks.list_jobs(**query))
        return page, await read_zones(desk) if target.for_people else JobZones()

    page, zones = target.run(work)
    empty = "No jobs. Make one with: mainspring jobs create, or in code and mainspring dev"
    print_listing(target, listed, page, HEADERS, lambda job: _row(job, zones), empty=empty)


def get_job(name: str, /, *, target: Target | None = None) -> None:
    """Show one job whole.

    Args:
        name: Its name or id.
    """
    target = target or Target()

    async def work(desk: Desk) -> tuple[Job, JobZones]:
        job = await desk.ask(asks.get_job(name))
        return job, await read_zones(desk) if target.for_people else JobZones()

    job, zones = target.run(work)
    print_one(target.output, job.wire, _told(job, zones.of_job(job)) if target.for_people else "")


def list_decisions(
    name: str,
    /,
    *,
    since: str | None = None,
    until: str | None = None,
    listed: Listed | None = None,
    target: Target | None = None,
) -> None:
    """Show what became of each due instant, newest first: the ledger.

    Args:
        name: The job's name or id.
        since: From this instant, or wall time in the job's zone, on.
        until: Up to but without this one.
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()

    async def work(desk: Desk) -> tuple[Job, Page[Decision], JobZones]:
        job = await desk.ask(asks.get_job(name))
        first, last = await read_at(desk, name, since, "since"), await read_at(desk, name, until, "until")
        bounds = (compared("scheduled_at", ">=", first), compared("scheduled_at", "<", last))
        page = await desk.ask(asks.list_occurrences(job.id, **listed.query(*bounds)))
        return job, page, await read_zones(desk) if target.for_people else JobZones()

    job, page, zones = target.run(work)
    zone = zones.of_job(job)
    headers = ("SCHEDULED AT", "DECISION", "LATE", "EXECUTION", "REASON")
    empty = f"Nothing is decided yet for {job.name}."
    print_listing(target, listed, page, headers, lambda one: _decided(one, zone), empty=empty)


def next_runs(
    name: str,
    /,
    *,
    count: int = 10,
    since: str | None = None,
    until: str | None = None,
    target: Target | None = None,
) -> None:
    """Show the instants a job's schedule names, from now on or in a range that may be past.

    Args:
        name: The job's name or id.
        count: How many, 1 to 500.
        since: From this instant, or wall time in the job's zone, on.
        until: To this one at most.
    """
    target = target or Target()

    async def work(desk: Desk) -> NextRuns:
        first, last = await read_at(desk, name, since, "since"), await read_at(desk, name, until, "until")
        return await desk.ask(asks.next_runs(name, count=count, since=first, until=last))

    found = target.run(work)
    rows = [[both(one.utc, found.timezone), "; ".join(one.notes), one.excluded_by] for one in found.instants]
    told = "\n".join([found.sentence, *(f"warning: {text}" for text in found.warnings), ""])
    print_one(target.output, found.wire, told + table(["AT", "NOTES", "EXCLUDED BY"], rows, columns()))


def list_revisions(
    name: str,
    /,
    *,
    before: int | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """Show a job's definitions, the present one first.

    Args:
        name: The job's name or id.
        before: Only those below this one.
        limit: How many, 1 to 500.
    """
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_revisions(name, before=before, page_size=page_size(limit))))
    print_rows(
        target,
        found,
        ("REVISION", "AT", "BY", "SCHEDULE"),
        lambda one: [one.revision, stamp(one.at), one.actor, one.definition.get("schedule")],
        empty="No revisions.",
    )


def _decided(decision: Decision, zone: str) -> list[Any]:
    many = f" x{decision.count}" if decision.count and decision.count > 1 else ""
    reason = short(json.dumps(decision.reason, ensure_ascii=False), 120) if decision.reason else None
    late = span(decision.late_ms / 1000)
    return [stamp(decision.scheduled_at, zone), f"{decision.decision}{many}", late, decision.execution_id, reason]


def _row(job: Job, zones: JobZones) -> list[Any]:
    zone = zones.of_job(job)
    waits = stamp(job.next_run_at, zone, none="")
    if not waits:
        waits = f"paused until {stamp(job.paused_until, zone)}" if job.paused_until else "-"
    last = job.last_status or "never ran"
    return [
        job.name, job.status, job.type, job.handler, waits, last, job.success_count, job.failed_count,
        job.skipped_count,
    ]  # fmt: skip


def _when(job: Job, zone: str) -> str:
    schedule = job.schedule
    if schedule is None:
        return "on request"
    if "events" in schedule:
        return "on events " + ", ".join(schedule["events"])
    known = {name: value for name, value in schedule.items() if name != "calendars"}
    when = compile_schedule(known, timezone=zone, created_at=job.created_at).sentence
    return when + (f", by calendars {json.dumps(schedule['calendars'])}" if "calendars" in schedule else "")


def _told(job: Job, zone: str) -> str:
    reason = f": {job.status_reason}" if job.status_reason else ""
    retry: Any = job.retry
    slots = job.max_concurrency or ("any number" if job.overlap == "allow_all" else 1)
    return pairs(
        {
            "name": job.name,
            "id": job.id,
            "status": f"{job.status}{reason}",
            "paused until": both(job.paused_until, zone) if job.paused_until else None,
            "type": job.type,
            "when": _when(job, zone),
            "schedule": job.schedule,
            "timezone": zone + ("" if job.timezone else " (not the job's own)"),
            "handler": job.handler + ("" if job.handler_type == "function" else f" ({job.handler_type})"),
            "payload": job.payload,
            "description": job.description,
            "labels": job.labels,
            "owner": job.owner,
            "queue": f"{job.queue}, priority {job.priority}",
            "overlap": f"{job.overlap}, at most {slots} at once",
            "misfire": f"{job.misfire} when later than {span(job.misfire_grace_ms / 1000)}",
            "timeout": f"{span(job.timeout_ms / 1000)} an attempt",
            "retry": f"{retry['max_retries']} times, from {span(retry['retry_delay_ms'] / 1000)} on, "
            f"jitter {retry['jitter']}",
            "on success": ", ".join(job.on_success),
            "on failure": ", ".join(job.on_failure),
            "next run": both(job.next_run_at, zone),
            "last run": both(job.last_run_at, zone) if job.last_run_at else "never ran",
            "last status": job.last_status,
            "counters": f"{job.success_count} succeeded, {job.failed_count} failed, {job.skipped_count} skipped",
            "duration": f"{span(job.avg_duration_ms / 1000)} on average" if job.avg_duration_ms is not None else None,
            "revision": job.revision,
            "created": both(job.created_at, zone),
            "updated": both(job.updated_at, zone),
        }
    )
