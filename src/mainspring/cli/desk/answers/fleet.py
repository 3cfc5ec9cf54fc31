"""What a database's desk answers about the fleet and what steers it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainspring.cli.desk.answers.kept import answers
from mainspring.cli.desk.store import StoreDesk
from mainspring.client.ask import Ask
from mainspring.control import fleet
from mainspring.control.doctor import examine, worst
from mainspring.control.doctor_activity import USUAL, ActivityBounds
from mainspring.control.doctor_fleet import examine_fleet
from mainspring.control.figures import last_hour
from mainspring.control.status import collect_status
from mainspring.control.transport import collect_transport
from mainspring.control.watermark import read_watermark
from mainspring.model.node import Limit
from mainspring.ports.store import Tx


@answers
async def list_handlers(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(lambda tx: fleet.handler_rows(tx, desk.platform_id))}


@answers
async def get_handler(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: fleet.handler_row(tx, desk.platform_id, ask.values["handler"]))


@answers
async def list_workers(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(fleet.worker_rows)}


@answers
async def list_dispatchers(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(fleet.dispatcher_rows)}


@answers
async def list_queues(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": (await desk.read(lambda tx: collect_status(tx, desk.platform_id).to_wire()))["queues"]}


@answers
async def get_overview(desk: StoreDesk, ask: Ask[Any]) -> Any:
    def found(tx: Tx) -> Any:
        return collect_status(tx, desk.platform_id), last_hour(tx, desk.platform_id)

    status, hour = await desk.read(found)
    transport = await collect_transport(desk.app.store, desk.app.transport)
    # Streams are the whole fleet's, all platforms' queues among them: told to whoever has the database alone.
    shown = status if transport.kind == "database" else replace(status, transport=transport)
    return shown.to_wire() | {"last_hour": hour}


@answers
async def get_watermark(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: read_watermark(tx, desk.platform_id).to_wire())


@answers
async def get_metrics(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return dict(await desk.scheduler.get_metrics())


@answers
async def get_findings(desk: StoreDesk, ask: Ask[Any]) -> Any:
    milliseconds = ask.query.get("transactions_older_than_ms")
    bounds = USUAL if milliseconds is None else ActivityBounds.older_than(timedelta(milliseconds=milliseconds))
    shared = await examine_fleet(desk.app.store, desk.app.transport, bounds)
    found = [*shared, *await desk.read(lambda tx: examine(tx, desk.app.schedules, desk.platform_id))]
    return {"status": worst(found).value, "findings": [finding.to_wire() for finding in found]}


@answers
async def list_limits(desk: StoreDesk, ask: Ask[Any]) -> Any:
    limits = await desk.read(lambda tx: tx.platforms.limits(desk.platform_id))
    return {"data": [fleet.limit_row(limit) for limit in limits]}


@answers
async def put_limit(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _put_limit(desk, ask, ask.values["scope"], ask.values["name"])


@answers
async def put_platform_limit(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _put_limit(desk, ask, "platform", "")


async def _put_limit(desk: StoreDesk, ask: Ask[Any], scope: str, name: str) -> Any:
    limit = Limit(desk.platform_id, scope, name, **{"rate_per": 1.0, **(ask.body or {})})
    await desk.scheduler.put_limit(limit)
    return fleet.limit_row(limit)


@answers
async def list_calendars(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(lambda tx: fleet.calendar_rows(tx, desk.platform_id))}


@answers
async def get_calendar(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: fleet.existing_calendar(tx, desk.platform_id, ask.values["name"]))


@answers
async def put_calendar(desk: StoreDesk, ask: Ask[Any]) -> Any:
    name = ask.values["name"]
    dates = fleet.calendar_dates(name, ask.body or {})
    await desk.scheduler.put_calendar(name, dates)
    return fleet.calendar_row(name, frozenset(dates))


@answers
async def delete_calendar(desk: StoreDesk, ask: Ask[Any]) -> Any:
    await desk.scheduler.delete_calendar(ask.values["name"])
