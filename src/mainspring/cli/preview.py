"""`preview`: when a schedule will run, by the code the dispatcher itself uses. Needs no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli.moments import is_date, to_instant
from mainspring.cli.output import columns, print_lines, print_whole, say, table, warn
from mainspring.cli.schedule_options import ScheduleOptions
from mainspring.cli.target import Target
from mainspring.cli.times import span, whole
from mainspring.errors import ScheduleError
from mainspring.schedule.preview import Preview, PreviewItem
from mainspring.schedule.preview import preview as preview_of


def preview(
    expr: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    tz: Annotated[str, Parameter(allow_leading_hyphen=True)] = "UTC",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    count: int = 10,
    when: ScheduleOptions | None = None,
    target: Target | None = None,
) -> None:
    """Show when a schedule will run; needs no database.

        mainspring preview "0 9 * * MON-FRI" --tz Europe/Istanbul
        mainspring preview --every PT10M --anchor 2026-01-01T00:00:00Z
        mainspring preview --every P1M --calendar --anchor 2026-01-31T09:00 --tz Europe/London

    Args:
        expr: A cron expression of five fields (six with --seconds), or a name such as @hourly.
        tz: IANA name of the zone.
        from_: Show what comes strictly after this: an instant, or a wall time or date in the zone. By default now.
        count: How many, from 0 to 1000.
    """
    when, target = when or ScheduleOptions(), target or Target()
    shape = when.shape([expr] if expr is not None else [])
    if shape is None:
        fix = 'Give a cron expression such as "0 9 * * 1-5", or --every, --rrule or --at.'
        raise ScheduleError("schedule", "", "nothing says when", fix)
    found = preview_of(shape, tz, _after(from_, tz), count)
    if target.whole:
        print_whole(
            target.output,
            {
                "instants": [_to_wire(item) for item in found],
                "sentence": found.sentence,
                "timezone": found.timezone,
                "warnings": list(found.warnings),
            },
        )
    elif target.output == "jsonl":
        print_lines(_to_wire(item) for item in found)
    else:
        _print(found, count)


def _after(text: str | None, tz: str) -> datetime:
    if text is None:
        return datetime.now(UTC)
    # A date means the whole of it: its midnight is not before it, and what comes is strictly after.
    return to_instant(text, tz, "from") - (timedelta(milliseconds=1) if is_date(text) else timedelta(0))


def _to_wire(item: PreviewItem) -> dict[str, Any]:
    return {
        "at": item.at.isoformat(),
        "utc": item.utc.isoformat().replace("+00:00", "Z"),
        "notes": list(item.notes),
    }


def _print(found: Preview, count: int) -> None:
    print(found.sentence)
    warn(found.warnings)
    if not found:
        say("No run is left." if count else "No run was asked for.")
        return
    print()
    rows = []
    before: datetime | None = None
    utc = found.timezone == "UTC"
    for item in found:
        at = f"{item.at:%a %Y-%m-%d %H:%M:%S}"
        where = "UTC" if utc else f"{item.at.isoformat()[-6:]} {found.timezone}"
        gap = "" if before is None else f"+{span(whole(item.utc - before))}"
        row = [f"{at} {where}", *([] if utc else [f"{item.utc:%Y-%m-%d %H:%M:%S} UTC"]), gap, "; ".join(item.notes)]
        rows.append([cell or " " for cell in row])
        before = item.utc
    headers = ["RUN", *([] if utc else ["SAME IN UTC"]), "STEP", "NOTES"]
    print(table(headers, rows, columns()))
    if len(found) < count:
        say("The schedule ends here.")
