"""`watermark` and `metrics`: numbers for whoever watches from outside."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.output import print_one
from mainspring.cli.target import Opened, Target
from mainspring.cli.times import span, stamp
from mainspring.client import asks
from mainspring.control.watermark import read_watermark


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

    if fleet:
        wire = target.run_on_store(_of_fleet, what="the watermark of all platforms")
    else:
        wire = dict(target.run(lambda desk: desk.ask(asks.get_watermark())).wire)
    lag = timedelta(milliseconds=wire["lag_ms"])
    at = stamp(datetime.fromisoformat(wire["decided_up_to"]), "UTC")
    told = f"Every instant due before {at} has a decision; {span(lag)} behind."
    print_one(target.output, wire, told + (" The fleet is held." if wire["held"] else ""))
    return Exit.DONE if limit is None or lag <= limit else Exit.UNHEALTHY


async def _of_fleet(opened: Opened) -> dict[str, Any]:
    return (await opened.scheduler.read(lambda tx: read_watermark(tx, None))).to_wire()


def metrics(*, target: Target | None = None) -> None:
    """Print the fleet's metrics as Prometheus reads them; with -o json the platform's live counts and lags.

    Prometheus itself asks a server: GET /metrics.
    """
    target = target or Target()
    if target.for_people:
        sys.stdout.write(target.run_on_store(_exposed, what="the fleet's metrics as text").decode())
    else:
        print_one(target.output, target.run(lambda desk: desk.ask(asks.get_metrics())).wire, "")


async def _exposed(opened: Opened) -> bytes:
    from mainspring.app.exposition import Exposition

    exposition = Exposition(opened.app, fleet=True)
    return (await asyncio.to_thread(exposition.metrics))[0]
