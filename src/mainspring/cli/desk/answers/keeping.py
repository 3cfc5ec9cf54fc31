"""What a database's desk answers to those who look after a platform: keys, audit trail, usage."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mainspring.cli.desk.answers.kept import answers, instant_of
from mainspring.cli.desk.store import StoreDesk
from mainspring.client.ask import Ask
from mainspring.control import rows
from mainspring.control.keys import MadeKey, key_to_wire
from mainspring.control.platforms import existing_platform, platform_to_wire
from mainspring.model.nouns import Noun


def _made(made: MadeKey) -> Any:
    return key_to_wire(made.key) | {"secret": made.text}


@answers
async def list_keys(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.KEYS, ask, lambda tx, found: [key_to_wire(row) for row in found])


@answers
async def create_key(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = dict(ask.body or {})
    return _made(await desk.keys.create(**{**body, "expires_at": instant_of(body.get("expires_at"))}))


@answers
async def rotate_key(desk: StoreDesk, ask: Ask[Any]) -> Any:
    overlap = timedelta(milliseconds=(ask.body or {}).get("overlap_ms", 86_400_000))
    return _made(await desk.keys.rotate(ask.values["key_id"], overlap=overlap))


@answers
async def revoke_key(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return key_to_wire(await desk.keys.revoke(ask.values["key_id"]))


@answers
async def list_audit(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.AUDIT, ask, lambda tx, found: [rows.audit_row(row) for row in found])


@answers
async def get_platform(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: platform_to_wire(existing_platform(tx, desk.platform_id)))


@answers
async def get_usage(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.platforms.usage()
