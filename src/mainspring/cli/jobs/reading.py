"""`jobs list`, `jobs get` and `jobs decisions`: what there is, and what became of it."""

from __future__ import annotations

import json
from typing import Any, Literal

from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.moments import read_at
from mainspring.cli.output import page_size, pairs, print_one, print_page, short, table
from mainspring.cli.target import Client, Target
from mainspring.cli.times import both, span, stamp
from mainspring.control.jobs import JobView
from mainspring.model.decision import Decision
from mainspring.model.job import Job, JobStatus, JobType
from mainspring.model.wire import decision_to_wire, job_to_wire
from mainspring.schedule.compile import compile_schedule


def list_jobs(
    *,
    status: Literal["active", "paused", "completed", "archived"] | None = None,
    type: Literal["cron", "recurring", "one_time", "event", "manual"] | None = None,
    handler: str | None = None,
    name: str | None = None,
    after: str | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """List jobs by name, with their next run and last result.

    Args:
        status: Only these; archived ones are shown only when asked for.
        type: Only these.
        handler: Only jobs of this handler.
        name: Only jobs whose name contains this.
        after: Start behind this name: the one a page ended with.
        limit: How many.
    """
    target = target or Target()
    size = page_size(limit)

    async def work(client: Client) -> tuple[list[JobView], JobZones]:
        found = await client.scheduler.list_jobs(
            status=JobStatus(status) if status else None,
            type=JobType(type) if type else None,
            handler=handler,
            name_contains=name,
            after=after,
            limit=size + 1,
        )
        return found, await client.scheduler.read(lambda tx: read_zones(tx, client.scheduler.platform_id))

    views, zones = target.run(work)
    page = views[:size]
    rows = [_row(view, zones) for view in page]
    headers = ["NAME", "STATUS", "TYPE", "HANDLER", "NEXT RUN", "LAST", "OK", "FAILED", "SKIPPED"]
    print_page(
        target.output,
        [job_to_wire(view.job, view.stats) for view in page],
        table(headers, rows),
        following=page[-1].job.name if len(views) > size else None,
        empty="No jobs. Make one with: mainspring jobs create, or in code and mainspring dev",
    )


def get_job(name: str, /, *, target: Target | None = None) -> None:
    """Show one job whole.

    Args:
        name: Its name or id.
    """
    target = target or Target()

    async def work(client: Client) -> tuple[JobView, JobZones]:
        view = await client.scheduler.get_job(name)
        return view, await client.scheduler.read(lambda tx: read_zones(tx, client.scheduler.platform_id))

    view, zones = target.run(work)
    print_one(target.output, job_to_wire(view.job, view.stats), _told(view, zones))


def list_decisions(
    name: str,
    /,
    *,
    since: str | None = None,
    until: str | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """Show what became of each due instant, newest first: the ledger.

    Args:
        name: The job's name or id.
        since: From this instant, or wall time in the job's zone, on.
        until: Up to but without this one; the first of a page's last row continues it.
        limit: How many.
    """
    target = target or Target()
    size = page_size(limit)

    async def work(client: Client) -> tuple[Job, list[Decision], JobZones]:
        job = (await client.scheduler.get_job(name)).job
        first, last = await read_at(client, name, since, "since"), await read_at(client, name, until, "until")
        found = await client.scheduler.decisions(name, since=first, until=last, limit=size + 1)
        return job, found, await client.scheduler.read(lambda tx: read_zones(tx, job.platform_id))

    job, found, zones = target.run(work)
    zone, page = zones.of_job(job), found[:size]
    rows = [
        [
            stamp(d.scheduled_at, zone),
            d.decision.value + (f" x{d.count}" if d.count and d.count > 1 else ""),
            span(d.late),
            d.execution_id,
            _reason(d),
        ]
        for d in page
    ]
    print_page(
        target.output,
        [decision_to_wire(d) for d in page],
        table(["SCHEDULED AT", "DECISION", "LATE", "EXECUTION", "REASON"], rows),
        following=page[-1].scheduled_at.isoformat() if len(found) > size else None,
        empty=f"Nothing is decided yet for {job.name}.",
    )


def _reason(decision: Decision) -> str | None:
    if not decision.reason:
        return None
    return short(json.dumps(dict(decision.reason), ensure_ascii=False, default=str), 120)


def _row(view: JobView, zones: JobZones) -> list[Any]:
    job, stats = view.job, view.stats
    zone = zones.of_job(job)
    waits = stamp(job.next_run_at, zone, none="")
    if not waits:
        waits = f"paused until {stamp(job.paused_until, zone)}" if job.paused_until else "-"
    last = stats.last_status.value if stats.last_status else "never ran"
    d = job.definition
    return [
        job.name, job.status.value, d.type.value, d.handler, waits, last, stats.success, stats.failed, stats.skipped,
    ]  # fmt: skip


def _told(view: JobView, zones: JobZones) -> str:
    job, stats, d = view.job, view.stats, view.job.definition
    zone = zones.of_job(job)
    when = "on request"
    if d.type.timed and d.schedule is not None:
        calendars = {k: v for k, v in d.schedule.items() if k != "calendars"}
        when = compile_schedule(calendars, timezone=zone, created_at=job.created_at).sentence
        when += f", by calendars {json.dumps(d.schedule['calendars'])}" if "calendars" in d.schedule else ""
    elif d.type is JobType.EVENT:
        when = "on events " + ", ".join((d.schedule or {}).get("events", []))
    reason = f": {job.status_reason}" if job.status_reason else ""
    return pairs(
        {
            "name": job.name,
            "id": job.id,
            "status": f"{job.status.value}{reason}",
            "paused until": both(job.paused_until, zone) if job.paused_until else None,
            "type": d.type.value,
            "when": when,
            "schedule": d.schedule,
            "timezone": zone + ("" if d.timezone else " (not the job's own)"),
            "handler": d.handler + ("" if d.handler_type == "function" else f" ({d.handler_type})"),
            "payload": d.payload,
            "description": d.description,
            "labels": d.labels,
            "owner": d.owner,
            "queue": f"{d.queue}, priority {d.priority}",
            "overlap": f"{d.overlap_policy.value}, at most {d.slots or 'any number'} at once",
            "misfire": f"{d.misfire.value} when later than {span(d.misfire_grace)}",
            "timeout": f"{span(d.timeout)} an attempt",
            "retry": f"{d.retry.max_retries} times, from {span(d.retry.retry_delay)} on, jitter {d.retry.jitter.value}",
            "on success": ", ".join(d.on_success),
            "on failure": ", ".join(d.on_failure),
            "next run": both(job.next_run_at, zone),
            "last run": both(stats.last_run_at, zone) if stats.last_run_at else "never ran",
            "last status": stats.last_status.value if stats.last_status else None,
            "counters": f"{stats.success} succeeded, {stats.failed} failed, {stats.skipped} skipped",
            "duration": f"{span(stats.avg_duration)} on average" if stats.avg_duration else None,
            "revision": job.revision,
            "created": both(job.created_at, zone),
            "updated": both(job.updated_at, zone),
        }
    )
