"""`watermark` and `metrics`: numbers for whoever watches from outside."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.output import print_one
from mainspring.cli.target import Client, Target
from mainspring.cli.times import span, stamp
from mainspring.control.watermark import Watermark, read_watermark


def watermark(
    *,
    max_lag: Annotated[str | None, Parameter(name="--max-lag")] = None,
    fleet: Annotated[bool, Parameter(name="--all-platforms", negative="")] = False,
    target: Target | None = None,
) -> int:
    """Show up to when every due instant has its decision. For a watchdog that lives somewhere else.

    Args:
        max_lag: Exit 10 where the watermark is further behind than this, such as 60s.
        fleet: Of all platforms together.
    """
    target = target or Target()
    limit = None if max_lag is None else timedelta(milliseconds=elapsed_ms(max_lag, "--max-lag"))

    async def work(client: Client) -> Watermark:
        platform_id = None if fleet else client.scheduler.platform_id
        return await client.scheduler.read(lambda tx: read_watermark(tx, platform_id))

    found = target.run(work)
    told = f"Every instant due before {stamp(found.decided_up_to, 'UTC')} has a decision; {span(found.lag)} behind."
    print_one(target.output, found.to_wire(), told + (" The fleet is held." if found.held else ""))
    return Exit.DONE if limit is None or found.lag <= limit else Exit.UNHEALTHY


def metrics(*, target: Target | None = None) -> None:
    """Print the fleet's metrics as Prometheus reads them; with -o json the platform's live counts and lags."""
    target = target or Target()

    async def counts(client: Client) -> Mapping[str, Any]:
        return await client.scheduler.get_metrics()

    async def text(client: Client) -> bytes:
        from mainspring.app.exposition import Exposition

        exposition = Exposition(client.app, fleet=True)
        return (await asyncio.to_thread(exposition.metrics))[0]

    if target.output == "table":
        sys.stdout.write(target.run(text).decode())
    else:
        print_one(target.output, target.run(counts), "")
