"""`events`: list them, publish one, or ask whether it would start a job."""

from __future__ import annotations

from typing import Any

from mainspring.cli import job_fields
from mainspring.cli.exits import Exit
from mainspring.cli.job_fields import given_only
from mainspring.cli.output import print_one
from mainspring.cli.pages import Listed, print_listing
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.client import asks
from mainspring.client.shapes import PublishedEvent


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

    asked: Any = given_only({"type": type, "data": body, "id": id, "source": source, "subject": subject})
    published = target.run(lambda desk: desk.ask(asks.publish_event(**asked)))
    print_one(target.output, published.wire, _told(published))


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

    event: Any = given_only({"type": type, "data": body, "source": source, "subject": subject})
    match = target.run(lambda desk: desk.ask(asks.test_match(event=event, job=job)))
    text = f"{match.job}: matches" if match.matches else f"{match.job}: does not match\n  {match.why}"
    print_one(target.output, match.wire, text)
    return Exit.DONE if match.matches else Exit.FAILED


def list_events(*, listed: Listed | None = None, target: Target | None = None) -> None:
    """List accepted events, newest first; of the last 7 days unless the filter names `at`.

    Args:
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed(sort="-at")
    page = target.run(lambda desk: desk.ask(asks.list_events(**listed.query(include="payload"))))
    headers = ("ID", "TYPE", "SOURCE", "SUBJECT", "AT")
    print_listing(
        target, listed, page, headers, lambda e: [e.id, e.type, e.source, e.subject, stamp(e.at)], empty="No events."
    )


def _told(published: PublishedEvent) -> str:
    name = f"event {published.source}#{published.id}"
    if published.duplicate:
        return f"{name} was accepted before: nothing was done"
    if not published.jobs:
        return f"{name} is accepted; it matches no job"
    made = ", ".join(published.executions) or "no execution yet"
    return f"{name} is accepted; it matches {', '.join(published.jobs)}: {made}"
