"""`jobs create`, from options or a file."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Group, Parameter

from mainspring.cli import job_fields
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import UsageError
from mainspring.cli.jobs.changing import report_change
from mainspring.cli.schedule_options import ScheduleOptions
from mainspring.cli.target import Target
from mainspring.client import asks
from mainspring.model.policy import Misfire, Overlap

HOW = Group("How", sort_key=2)


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
    job_fields.check(fields)
    made: Any = fields
    report_change(target, lambda desk: desk.ask(asks.create_job(**made)), "created", create=True)
