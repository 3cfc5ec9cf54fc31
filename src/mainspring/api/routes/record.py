"""The record whole, for audits from outside; and the checks of `mainspring doctor`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import Query
from starlette.responses import Response, StreamingResponse

from mainspring.api.call import Reading, Reply, encoded
from mainspring.api.routing import Routes
from mainspring.api.shapes import admin
from mainspring.control.doctor import examine, worst
from mainspring.control.doctor_activity import USUAL, ActivityBounds
from mainspring.control.doctor_fleet import examine_fleet
from mainspring.control.export import Kind, export
from mainspring.model.redact import redacted
from mainspring.model.wire import milliseconds
from mainspring.moves.jobs import existing

routes = Routes("record", "/api/v1/platforms/{platform_id}")

#: The media type of JSON values, one a line.
LINES = "application/x-ndjson"
#: Milliseconds of ten years: longer than anybody means, and shorter than what overflows.
LONGEST = 315_360_000_000


@routes.on("GET", "/doctor", scope="metrics:read", answers=admin.Findings)
async def get_findings(
    call: Reading,
    transactions_older_than_ms: Annotated[
        int,
        Query(
            ge=1,
            le=LONGEST,
            description="Warn of database transactions open for longer than this (keys of every platform).",
        ),
    ] = milliseconds(USUAL.open),
) -> Response:
    """Check everything that can be checked from here; each finding names the command that mends it."""
    found = await call.read(lambda tx: examine(tx, call.state.schedules, call.platform_id))
    if call.everywhere:  # the database's sessions and the streams are the whole fleet's
        bounds = ActivityBounds.older_than(timedelta(milliseconds=transactions_older_than_ms))
        found = [*await examine_fleet(call.state.store(), call.state.transport(), bounds), *found]
    return call.answer(Reply({"status": worst(found).value, "findings": [finding.to_wire() for finding in found]}))


@routes.on(
    "GET",
    "/export/{kind}",
    scope="payloads:read",
    answers=None,
    responses={200: {"description": "One row a line.", "content": {LINES: {}}}},
)
async def export_record(
    call: Reading, kind: Kind, job: Annotated[str | None, Query(min_length=1, max_length=128)] = None
) -> Response:
    """Write the ledger, executions, attempts or moves whole, one row a line."""
    if job is not None:
        await call.read(lambda tx: existing(tx, call.platform_id, job))  # refused before the first line

    async def lines() -> AsyncIterator[bytes]:
        async for page in export(call.read, call.platform_id, kind, job=job):
            yield b"".join(encoded(redacted(row)) + b"\n" for row in page)

    return StreamingResponse(lines(), media_type=LINES)
