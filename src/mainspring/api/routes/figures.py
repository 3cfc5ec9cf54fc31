"""How a platform goes in numbers: live counts, health, the watermark, and figures over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from mainspring.api.call import Reading, Reply
from mainspring.api.routing import Routes
from mainspring.api.shapes import admin, base
from mainspring.api.show import aware
from mainspring.control.figures import timeseries
from mainspring.control.health import check_health, collect_metrics
from mainspring.control.watermark import read_watermark
from mainspring.ports.store import Tx

routes = Routes("figures", "/api/v1/platforms/{platform_id}")


@routes.on("GET", "/watermark", scope="metrics:read", answers=admin.Watermark)
async def get_watermark(call: Reading) -> Response:
    """Tell up to when every due instant has its decision: what to poll from outside, so that silence is noticed."""
    mark = await call.read(lambda tx: read_watermark(tx, call.platform_id))
    return call.answer(Reply(mark.to_wire()))


@routes.on("GET", "/metrics", scope="metrics:read", answers=admin.Metrics)
async def get_metrics(call: Reading) -> Response:
    """Count what lives and waits, and tell how late things are."""
    return call.answer(Reply(await call.read(lambda tx: collect_metrics(tx, call.platform_id))))


@routes.on("GET", "/health", scope="metrics:read", answers=admin.Health)
async def health_check(call: Reading) -> Response:
    """Judge the health by progress: the oldest undecided instant, the oldest unclaimed execution."""
    found = await call.read(lambda tx: check_health(tx, call.platform_id, call.state.health))
    return call.answer(Reply({"status": found.status, "checks": {name: dict(c) for name, c in found.checks.items()}}))


@routes.on("GET", "/stats/timeseries", scope="metrics:read", answers=admin.Timeseries)
async def get_timeseries(
    call: Reading,
    since: Annotated[base.Moment | None, Query(alias="from")] = None,
    until: Annotated[base.Moment | None, Query(alias="to")] = None,
    bucket_ms: Annotated[int, Query(ge=60_000, le=31 * 86_400_000)] = 60_000,
) -> Response:
    """Tell how it went, span by span: outcomes, skipped instants, durations and start delays. By default an hour."""
    bucket = timedelta(milliseconds=bucket_ms)

    def found(tx: Tx) -> dict[str, Any]:
        end = aware(until, "to") or tx.now
        start = aware(since, "from") or end - timedelta(hours=1)
        return timeseries(tx, call.platform_id, start, end, bucket)

    return call.answer(Reply(await call.read(found)))
