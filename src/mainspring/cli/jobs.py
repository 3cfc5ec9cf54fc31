"""`jobs`: list, get, create, update, pause, resume, trigger, archive, and the ledger."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from mainspring.cli import job_fields
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit, UsageError
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.moments import read_at
from mainspring.cli.output import pairs, print_one, print_page, say, short, table, warn
from mainspring.cli.schedule_options import ScheduleOptions
from mainspring.cli.target import Client, Target
from mainspring.cli.times import both, span, stamp
from mainspring.cli.waiting import wait_for
from mainspring.control.scheduler import JobView
from mainspring.model.decision import Decision
from mainspring.model.job import Job, JobStatus, JobType
from mainspring.model.policy import Misfire, Overlap
from mainspring.model.wire import decision_to_wire, execution_to_wire, job_to_wire
from mainspring.moves.jobs import Changed
from mainspring.schedule.compile import compile_schedule

HOW = Group("How", sort_key=2)


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


def create_job(
    name: str | None = None,
    /,
    *,
    handler: Annotated[str | None, Parameter(group=HOW)] = None,
    cron: Annotated[list[str] | None, Parameter(negative="", group="When")] = None,
    on: Annotated[list[str] | None, Parameter(negative="", group="When")] = None,
    manual: Annotated[bool, Parameter(negative="", group="When", show_default=False)] = False,
    tz: Annotated[str | None, Parameter(group="When")] = None,
    payload: Annotated[str | None, Parameter(group=HOW)] = None,
    queue: Annotated[str | None, Parameter(group=HOW)] = None,
    priority: Annotated[int | None, Parameter(group=HOW)] = None,
    overlap: Annotated[Overlap | None, Parameter(group=HOW)] = None,
    misfire: Annotated[Misfire | None, Parameter(group=HOW)] = None,
    timeout: Annotated[str | None, Parameter(group=HOW)] = None,
    retries: Annotated[int | None, Parameter(group=HOW)] = None,
    description: Annotated[str | None, Parameter(group=HOW)] = None,
    label: Annotated[list[str] | None, Parameter(negative="", group=HOW)] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="", group=HOW)] = None,
    file: Annotated[str | None, Parameter(name=["--file", "-f"], allow_leading_hyphen=True)] = None,
    name_option: Annotated[str | None, Parameter(name="--name")] = None,
    when: ScheduleOptions | None = None,
    target: Target | None = None,
) -> None:
    """Create a job from options or a file; where both name a field, the option counts.

    For example: mainspring jobs create nightly --handler reports:nightly --cron "0 2 * * *" --tz Europe/Istanbul

    Args:
        name: The job's name; --name does the same.
        handler: Name of the handler it runs.
        cron: A cron expression; may be repeated.
        on: A pattern of event types; may be repeated.
        manual: No schedule: it runs when triggered.
        tz: IANA name of its zone; by default the platform's, else UTC.
        payload: A JSON object, or @FILE; @- reads stdin.
        queue: The lane of workers.
        priority: 0 to 9; 9 goes first.
        overlap: What happens when it is due while an earlier execution is active.
        misfire: Which missed instants still run.
        timeout: Longest time an attempt may take, such as 5m.
        retries: How often a failed attempt is repeated.
        description: For people.
        label: KEY=VALUE; may be repeated.
        set_: Any field of the job as FIELD=JSON, such as retry.jitter=none; may be repeated.
        file: A JSON file with the job's fields; - reads stdin.
    """
    target = target or Target()
    fields = job_fields.read_object(f"@{file}", "--file") if file else {}
    named = {
        "name": name or name_option,
        "handler": handler,
        "timezone": tz,
        "payload": job_fields.read_object(payload, "--payload") if payload is not None else None,
        "queue": queue,
        "priority": priority,
        "overlap": overlap.value if overlap else None,
        "misfire": misfire.value if misfire else None,
        "timeout_ms": elapsed_ms(timeout, "timeout") if timeout is not None else None,
        "retry": {"max_retries": retries} if retries is not None else None,
        "description": description,
        "labels": job_fields.labels_of(label) if label else None,
    }
    schedule = (when or ScheduleOptions()).shape(cron or [], on, manual=manual)
    if schedule is not None or manual:
        named |= {"type": job_fields.type_of(schedule), "schedule": schedule}
    fields |= {key: value for key, value in named.items() if value is not None}
    fields = job_fields.with_assignments(fields, set_ or [])
    if "type" not in fields:
        if not fields.get("schedule"):
            fix = "Give --cron, --every, --rrule, --at, --on or --manual"
            raise UsageError("nothing says when the job runs", fix=fix)
        fields["type"] = job_fields.type_of(fields["schedule"])
    _change(target, lambda client: client.scheduler.create_job(fields), "created", create=True)


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

    async def work(client: Client) -> Changed:
        merged = changes
        if assigned:
            # A dotted path changes one field inside; what stands beside it must come from the job as it is.
            current = job_to_wire((await client.scheduler.get_job(name)).job)
            outer = {text.partition(".")[0] for text in assigned}
            base = {key: current[key] for key in outer if current.get(key) is not None}
            merged = job_fields.with_assignments({**base, **changes}, assigned)
        if not merged:
            raise UsageError("nothing to change", fix="Give --set FIELD=VALUE, --payload or --file")
        return await client.scheduler.update_job(name, merged, expected_revision=if_revision)

    _change(target, work, "updated")


def pause_job(name: str, /, *, reason: str, until: str | None = None, target: Target | None = None) -> None:
    """Stop deciding a job's instants; executions that exist go on.

    Args:
        name: The job's name or id.
        reason: Why; it is shown wherever somebody wonders.
        until: Resume then by itself: an instant, or a wall time in the job's zone.
    """
    target = target or Target()

    async def work(client: Client) -> Changed:
        return await client.scheduler.pause_job(name, reason=reason, until=await read_at(client, name, until, "until"))

    _change(target, work, "paused")


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
    _change(target or Target(), lambda client: client.scheduler.resume_job(name, catch_up=catch_up), "resumed")


def archive_job(name: str, /, *, target: Target | None = None) -> None:
    """Retire a job: it is decided no more, its name is free, its history stays.

    Args:
        name: The job's name or id.
    """
    _change(target or Target(), lambda client: client.scheduler.delete_job(name), "archived")


def trigger_job(
    name: str,
    /,
    *,
    payload: str | None = None,
    overlap: Overlap | None = None,
    idempotency_key: str | None = None,
    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    timeout: str | None = None,
    target: Target | None = None,
) -> int:
    """Run a job now, under its policies.

    Args:
        name: The job's name or id.
        payload: A JSON object, or @FILE, instead of the job's own.
        overlap: Another overlap policy for this once.
        idempotency_key: The same key makes the same execution, once.
        wait: Wait for its end; exit 8 unless it succeeded.
        timeout: Longest wait, such as 10m; exit 1 when it is over.
    """
    target = target or Target()
    body = job_fields.read_object(payload, "--payload") if payload is not None else None
    seconds = elapsed_ms(timeout, "timeout") / 1000 if timeout is not None else None

    async def work(client: Client) -> int:
        execution = await client.scheduler.trigger_job(
            name, payload=body, overlap=overlap, idempotency_key=idempotency_key
        )
        if wait:
            if target.output == "table":
                say(f"triggered {execution.job_name}: execution {execution.id}; waiting for its end")
            return await wait_for(client, execution.id, target.output, seconds)
        blocked = f", held back by {execution.blocked_by}" if execution.blocked_by else ""
        text = f"triggered {execution.job_name}: execution {execution.id} is {execution.status.value}{blocked}"
        print_one(target.output, execution_to_wire(execution), text)
        return Exit.DONE

    return target.run(work)


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


def page_size(limit: int) -> int:
    """Return a page's size, checked."""
    if not 1 <= limit <= 500:
        raise UsageError(f"--limit must be from 1 to 500, got {limit}")
    return limit


def _reason(decision: Decision) -> str | None:
    if not decision.reason:
        return None
    return short(json.dumps(dict(decision.reason), ensure_ascii=False, default=str), 120)


def _change(target: Target, work: Any, verb: str, *, create: bool = False) -> None:
    async def changed(client: Client) -> tuple[Changed, JobZones]:
        done = await work(client)
        return done, await client.scheduler.read(lambda tx: read_zones(tx, client.scheduler.platform_id))

    done, zones = target.run(changed, create=create)
    warn(done.warnings)
    job = done.job
    if not done.changed:
        text = f"{job.name} is as asked already: {job.status.value}, revision {job.revision}"
    else:
        following = f"; next run {stamp(job.next_run_at, zones.of_job(job))}" if job.next_run_at else ""
        pause = f" until {stamp(job.paused_until, zones.of_job(job))}" if job.paused_until else ""
        text = f"{verb} {job.name} (revision {job.revision}){pause}{following}"
    print_one(target.output, job_to_wire(job), text)


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
