"""What runs the work and what steers it: handlers, workers, dispatchers, queues, limits and calendars."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli.desk import Desk
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import UsageError
from mainspring.cli.job_fields import given_only, read_text
from mainspring.cli.output import pairs, print_one
from mainspring.cli.pages import print_rows
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.client import asks
from mainspring.client.shapes import Calendar, Limit
from mainspring.control.fleet import calendar_dates


def list_handlers(*, target: Target | None = None) -> None:
    """List the handlers some node has announced, by name."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_handlers()))
    headers = ("HANDLER", "TYPE", "ANNOUNCED", "DESCRIPTION")
    print_rows(
        target, found, headers, lambda h: [h.name, h.type, stamp(h.announced_at), h.description], empty="No handlers."
    )


def get_handler(name: str, /, *, target: Target | None = None) -> None:
    """Show a handler with the schema of its payload and its defaults.

    Args:
        name: Its name.
    """
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.get_handler(name)))
    print_one(target.output, found.wire, pairs(found.wire))


def list_workers(*, target: Target | None = None) -> None:
    """List worker processes, newest first."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_workers()))
    headers = ("WORKER", "STATUS", "ALIVE", "RUNNING", "QUEUES", "VERSION", "SEEN")
    print_rows(
        target,
        found,
        headers,
        lambda w: [w.id, w.status, _yes(w.alive), w.running, _queues(w.queues), w.version, stamp(w.seen_at)],
        empty="No workers.",
    )


def list_dispatchers(*, target: Target | None = None) -> None:
    """List dispatcher processes, newest first."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_dispatchers()))
    headers = ("DISPATCHER", "STATUS", "ALIVE", "DISPATCHED", "ERRORS", "VERSION", "ZONE DATA", "SEEN")
    print_rows(
        target,
        found,
        headers,
        lambda d: [
            d.id, d.status, _yes(d.alive), d.stats.get("jobs_dispatched"), d.stats.get("errors"), d.version,
            d.tzdb_version, stamp(d.seen_at),
        ],
        empty="No dispatchers.",
    )  # fmt: skip


def list_queues(*, target: Target | None = None) -> None:
    """List queues with what waits and runs in them."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_queues()))
    headers = ("QUEUE", "QUEUED OR RUNNING", "SLOTS", "LIMIT", "OLDEST SINCE")
    print_rows(
        target,
        found,
        headers,
        lambda q: [q.name, q.occupied, q.slots, q.limit, stamp(q.oldest_queued_at)],
        empty="No queues.",
    )


# -- limits ------------------------------------------------------------------------------------------------------


def list_limits(*, target: Target | None = None) -> None:
    """List the bounds somebody has set."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_limits()))
    headers = ("SCOPE", "NAME", "RUNNING", "RATE", "PENDING", "JOBS", "MIN INTERVAL")
    print_rows(target, found, headers, _limit_row, empty="No limits.")


def set_limit(
    scope: Literal["queue", "key", "platform"],
    name: str = "",
    /,
    *,
    max_running: int | None = None,
    rate: int | None = None,
    rate_per: str = "1s",
    max_pending: int | None = None,
    max_jobs: int | None = None,
    min_interval: str | None = None,
    target: Target | None = None,
) -> None:
    """Set the bounds of a queue, of a concurrency key, or of the platform; without any bound the limit is gone.

    Args:
        scope: What is bounded.
        name: The queue's or the key's name.
        max_running: Most executions queued or running.
        rate: Most executions admitted in each stretch of time.
        rate_per: That stretch, such as 1s or 1h.
        max_pending: Most executions waiting, of the platform.
        max_jobs: Most jobs, of the platform.
        min_interval: Shortest interval of a schedule, of the platform, such as 1m.
    """
    target = target or Target()
    if (scope == "platform") == bool(name):
        raise UsageError("a queue or a key is named, and the platform is not", fix="limits set queue reports …")
    bounds: Any = given_only(
        {
            "max_running": max_running,
            "rate": rate,
            "rate_per": elapsed_ms(rate_per, "rate-per") / 1000,
            "max_pending": max_pending,
            "max_jobs": max_jobs,
            "min_interval_ms": elapsed_ms(min_interval, "min-interval") if min_interval is not None else None,
        }
    )
    ask = asks.put_platform_limit(**bounds) if scope == "platform" else asks.put_limit(scope, name, **bounds)
    limit = target.run(lambda desk: desk.ask(ask))
    set_ = [f"{field} {value}" for field, value in limit.wire.items() if field in bounds and field != "rate_per"]
    told = f"{scope} {name}".strip()
    print_one(target.output, limit.wire, f"{told}: {', '.join(set_)}" if set_ else f"{told} has no limit")


def _limit_row(one: Limit) -> list[Any]:
    rate = f"{one.rate} in {one.rate_per:g} s" if one.rate is not None else None
    interval = f"{one.min_interval_ms} ms" if one.min_interval_ms is not None else None
    return [one.scope, one.name, one.max_running, rate, one.max_pending, one.max_jobs, interval]


# -- calendars ---------------------------------------------------------------------------------------------------


def list_calendars(*, target: Target | None = None) -> None:
    """List the named calendars."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.list_calendars()))
    headers = ("CALENDAR", "DATES", "FIRST", "LAST")
    print_rows(target, found, headers, _calendar_row, empty="No calendars.")


def get_calendar(name: str, /, *, target: Target | None = None) -> None:
    """Show the dates of a calendar.

    Args:
        name: Its name.
    """
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.get_calendar(name)))
    print_one(target.output, found.wire, "\n".join(found.dates) or "no dates")


def set_calendar(
    name: str,
    /,
    *,
    date: Annotated[list[str] | None, Parameter(negative="")] = None,
    ics: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    country: str | None = None,
    subdivision: str | None = None,
    years: Annotated[list[int] | None, Parameter(negative="")] = None,
    target: Target | None = None,
) -> None:
    """Replace a calendar's dates: by dates given, by an iCalendar file, or by a country's public holidays.

    Args:
        name: Its name.
        date: A date, such as 2026-04-23; may be repeated.
        ics: An iCalendar file; - reads stdin.
        country: ISO code, such as TR.
        subdivision: A part of the country.
        years: Which years' holidays; may be repeated.
    """
    target = target or Target()
    if date:
        calendar_dates(name, {"dates": dict.fromkeys(date, "")})  # refused before anybody is asked
    body: Any = given_only(
        {
            "dates": dict.fromkeys(date, "") if date else None,
            "ics": read_text(ics, "--ics") if ics is not None else None,
            "country": country,
            "subdivision": subdivision,
            "years": years,
        }
    )

    async def work(desk: Desk) -> Calendar:
        return await desk.ask(asks.put_calendar(name, **body))

    made = target.run(work)
    print_one(target.output, made.wire, f"{name} has {len(made.dates)} dates")


def delete_calendar(name: str, /, *, target: Target | None = None) -> None:
    """Delete a calendar that no job's schedule names.

    Args:
        name: Its name.
    """
    target = target or Target()
    target.run(lambda desk: desk.ask(asks.delete_calendar(name)))
    print_one(target.output, {"name": name, "deleted": True}, f"{name} is deleted")


def _calendar_row(one: Calendar) -> list[Any]:
    first, last = (one.dates[0], one.dates[-1]) if one.dates else (None, None)
    return [one.name, len(one.dates), first, last]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _queues(queues: dict[str, int]) -> str:
    return ", ".join(f"{name}:{slots}" for name, slots in queues.items())
