"""The server itself: probes, who asks, what it is, and schedules to try."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mainspring._version import __version__
from mainspring.api.call import confined, encoded
from mainspring.api.guard import ANY, PUBLIC, Principal
from mainspring.api.routing import Routes
from mainspring.api.shapes import admin, jobs
from mainspring.api.show import as_utc
from mainspring.api.strict import BODY_LIMIT
from mainspring.app.exposition import Exposition
from mainspring.control.fleet import read_day
from mainspring.control.listing import PAGE_MOST
from mainspring.model.strict_json import DEPTH
from mainspring.model.wire import PAYLOAD_LIMIT, RESULT_LIMIT, instant
from mainspring.ports.store import Tx
from mainspring.schedule import Calendar, preview, tzdb_version

routes = Routes("service")

_HEALTH: dict[int | str, dict[str, Any]] = {
    200: {"description": "Healthy, or nearly so.", "content": {"application/health+json": {}}},
    503: {"description": "Something does not get on.", "content": {"application/health+json": {}}},
}
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Every metric of `docs/operate/observability.md`.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@routes.on("GET", "/livez", scope=PUBLIC, answers=admin.Probe)
async def live(request: Request) -> Response:
    """Tell that the process turns; the database is not asked."""
    return _json({"status": "pass"})


@routes.on("GET", "/readyz", scope=PUBLIC, answers=admin.Probe)
async def ready(request: Request) -> Response:
    """Tell whether requests can be served: the database answers."""
    await request.app.state.api.store().read(_ask)
    return _json({"status": "pass"})


@routes.on("GET", "/healthz", scope="metrics:read", answers=admin.Healthz, responses=_HEALTH)
async def get_healthz(request: Request) -> Response:
    """Tell how healthy the fleet is, from its progress: pass, warn or fail, and what was observed."""
    found = await asyncio.to_thread(_exposition(request).health)
    status = 503 if found["status"] == "fail" else 200
    return Response(encoded(found), status, media_type="application/health+json")


@routes.on("GET", "/metrics", scope="metrics:read", answers=None, responses=_METRICS)
async def scrape_metrics(request: Request) -> Response:
    """Tell the fleet's and this server's metrics, in Prometheus' text format or as OpenMetrics."""
    accept = request.headers.get("accept", "")
    body, kind = await asyncio.to_thread(_exposition(request).metrics, accept)
    return Response(body, headers={"Content-Type": kind})


@routes.on("GET", "/api/v1/me", scope=ANY, answers=admin.Me)
async def get_me(request: Request) -> Response:
    """Tell who asks, and what they may."""
    principal: Principal = request.state.principal
    return _json(
        {
            "id": principal.id,
            "name": principal.name,
            "platform_id": principal.platform_id or "*",
            "scopes": sorted(principal.scopes),
        }
    )


@routes.on("GET", "/api/v1/meta", scope=ANY, answers=admin.Meta)
async def get_meta(request: Request) -> Response:
    """Tell what this server is, and its limits."""
    limits = {
        "body_bytes": BODY_LIMIT,
        "json_depth": DEPTH,
        "page_size": PAGE_MOST,
        "payload_bytes": PAYLOAD_LIMIT,
        "result_bytes": RESULT_LIMIT,
    }
    return _json({"version": __version__, "api": "v1", "tzdb_version": tzdb_version(), "limits": limits})


@routes.on("GET", "/api/v1/openapi.json", scope=ANY, answers=dict[str, Any])
async def get_openapi(request: Request) -> Response:
    """Return this document."""
    return _json(request.app.openapi())


@routes.on("POST", "/api/v1/schedules:preview", scope=ANY, answers=jobs.Preview)
async def preview_schedule(request: Request, body: jobs.PreviewRequest) -> Response:
    """Tell when a schedule would run, by the dispatcher's own code; nothing is stored."""
    principal: Principal = request.state.principal
    state = request.app.state.api
    platform_id = principal.platform_id or state.default_platform

    def known(tx: Tx) -> tuple[datetime, dict[str, Iterable[date]]]:
        stored = tx.platforms.calendars(platform_id) if "jobs:read" in principal.scopes else {}
        return tx.now, dict(stored)

    now, dates = await state.store().read(lambda tx: confined(tx, principal.platform_id, known))
    for name, days in (body.calendars or {}).items():
        dates[name] = [read_day(day, f"calendars.{name}") for day in days]
    calendars = {name: Calendar(name, frozenset(days)) for name, days in dates.items()}
    after = as_utc(body.after) or now
    runs = preview(body.schedule, body.timezone, after, body.count, calendars)
    return _json(
        {
            "timezone": runs.timezone,
            "sentence": runs.sentence,
            "warnings": list(runs.warnings),
            "instants": [
                {"at": run.at.isoformat(), "utc": instant(run.utc), "notes": list(run.notes), "excluded_by": None}
                for run in runs
            ],
        }
    )


def _exposition(request: Request) -> Exposition:
    found: Exposition = request.app.state.exposition
    return found


def _ask(tx: Tx) -> Any:
    return tx.now


def _json(body: Any) -> Response:
    return Response(encoded(body), media_type="application/json")
