"""`events`: publish one, or ask whether it would start a job."""

from __future__ import annotations

from typing import Any

from mainspring.cli import job_fields
from mainspring.cli.exits import Exit
from mainspring.cli.output import print_one
from mainspring.cli.target import Client, Target
from mainspring.control.match import Match
from mainspring.moves.events import Published


def publish_event(
    type: str,
    /,
    *,
    data: str | None = None,
    id: str | None = None,
    source: str = "mainspring",
    subject: str | None = None,
    target: Target | None = None,
) -> None:
    """Publish an event: it runs the event jobs that match it. The same id of one source is accepted once.

    Args:
        type: Such as order.paid.
        data: A JSON object, or @FILE.
        id: What makes it the same event when it is published again; a new one by default.
        source: Who says so.
        subject: What it is about.
    """
    target = target or Target()
    body = job_fields.read_object(data, "--data") if data is not None else None

    async def work(client: Client) -> Published:
        return await client.scheduler.handle_event(type, body, id=id, source=source, subject=subject)

    published = target.run(work)
    wire = {
        "id": published.event.id,
        "source": published.event.source,
        "type": published.event.type,
        "duplicate": published.duplicate,
        "jobs": list(published.jobs),
        "executions": [execution.id for execution in published.executions],
    }
    print_one(target.output, wire, _told(published))


def try_match(
    job: str,
    type: str,
    /,
    *,
    data: str | None = None,
    source: str = "mainspring",
    subject: str | None = None,
    target: Target | None = None,
) -> int:
    """Say whether an event would concern a job, and if not, which condition fails. Nothing is published.

    Args:
        job: An event job, by name or id.
        type: The event's type.
        data: A JSON object, or @FILE.
        source: Who says so.
        subject: What it is about.
    """
    target = target or Target()
    body: dict[str, Any] | None = job_fields.read_object(data, "--data") if data is not None else None

    async def work(client: Client) -> Match:
        return await client.scheduler.match_event(job, type, body, source=source, subject=subject)

    match = target.run(work)
    text = f"{match.job}: matches" if match.matches else f"{match.job}: does not match\n  {match.path}: {match.why}"
    print_one(target.output, match.to_wire(), text)
    return Exit.DONE if match.matches else Exit.FAILED


def _told(published: Published) -> str:
    name = f"event {published.event.source}#{published.event.id}"
    if published.duplicate:
        return f"{name} was accepted before: nothing was done"
    if not published.jobs:
        return f"{name} is accepted; it matches no job"
    made = ", ".join(execution.id for execution in published.executions) or "no execution yet"
    return f"{name} is accepted; it matches {', '.join(published.jobs)}: {made}"
