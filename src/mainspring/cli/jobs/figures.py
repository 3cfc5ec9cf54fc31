"""`jobs stats`: how a job went, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainspring.cli.durations import elapsed_ms
from mainspring.cli.output import print_one
from mainspring.cli.target import Target
from mainspring.cli.times import span
from mainspring.client import asks


def show_stats(job: str, /, *, within: str = "7d", target: Target | None = None) -> None:
    """Show how a job went: outcomes, durations, start delays, its real cadence.

    Args:
        job: Name or id.
        within: How far back, from a minute to 366 days; counted by quarters of an hour.
    """
    target = target or Target()
    range_ms = elapsed_ms(within, "--within")
    found = target.run(lambda desk: desk.ask(asks.get_stats(job, range_ms=range_ms))).wire
    print_one(target.output, found, told(found, within))


def told(found: Mapping[str, Any], within: str) -> str:
    """Return a job's figures as lines of text."""
    rate = found["success_rate"]
    lines = [
        f"{found['job']}, within {within}" + ("" if found["complete"] else " (not all of it was counted)"),
        f"Ended          {found['executions']}" + _counts(found["outcomes"]),
        f"Success        {'-' if rate is None else f'{rate:.1%}'}",
        f"Retries        {found['retries']}, dead letters {found['dead_letters']}",
        f"Skipped        {sum(found['skipped_instants'].values())}" + _counts(found["skipped_instants"]),
        f"Took           {_percentiles(found['duration_ms'])}",
        f"Started late   {_percentiles(found['start_delay_ms'])}",
    ]
    cadence = found["effective_cadence_ms"]
    if cadence is not None:
        lines.append(f"Ran every      {span(cadence / 1000)}")
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{n} {name}' for name, n in counts.items())})" if counts else ""


def _percentiles(found: Mapping[str, int] | None) -> str:
    return "-" if found is None else ", ".join(f"{name} {span(ms / 1000)}" for name, ms in found.items())
