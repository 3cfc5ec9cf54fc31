"""`keys`: make, list, revoke and rotate API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.durations import elapsed_ms
from mainspring.cli.output import pairs, print_one, print_page, say, table
from mainspring.cli.target import Client, Target
from mainspring.control.keys import KeyService, MadeKey, key_to_wire
from mainspring.control.listing import ListRequest, Page, list_page
from mainspring.model.nouns import Noun

Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def create_key(
    *,
    role: str,
    name: str = "",
    scopes: list[str] | None = None,
    expires_in: str | None = None,
    all_platforms: Flag = False,
    target: Target | None = None,
) -> None:
    """Make a key and print its secret, this once. The platform is made if it is new.

    Args:
        role: viewer, operator, editor or admin.
        name: What it is for.
        scopes: Scopes to narrow the role to.
        expires_in: When it ends, from now, such as 90d.
        all_platforms: Let it use every platform.
    """
    target = target or Target()
    seconds = elapsed_ms(expires_in, "expires-in") / 1000 if expires_in is not None else None

    async def work(client: Client) -> MadeKey:
        now = await client.scheduler.read(lambda tx: tx.now)
        expires_at = now + timedelta(seconds=seconds) if seconds is not None else None
        service = _service(client)
        return await service.create(
            role=role, name=name, scopes=scopes or (), expires_at=expires_at, all_platforms=all_platforms
        )

    _print_made(target, target.run(work, create=True))


def list_keys(*, limit: int = 50, after: str | None = None, target: Target | None = None) -> None:
    """List keys, newest first; never their secrets.

    Args:
        limit: Most keys shown.
        after: Where the page before ended.
    """
    target = target or Target()

    async def work(client: Client) -> Page:
        platform_id = client.app.platform_id
        request = ListRequest(page_size=limit, page_token=after)
        return await client.scheduler.read(lambda tx: list_page(tx, Noun.KEYS, platform_id, request))

    page = target.run(work)
    wires = [key_to_wire(key) for key in page.rows]
    rows = [[w["id"], w["name"], w["role"], w["expires_at"], w["revoked_at"], w["last_used_at"]] for w in wires]
    text = table(["ID", "NAME", "ROLE", "EXPIRES", "REVOKED", "LAST USED"], rows)
    print_page(target.output, wires, text, following=page.next_page_token, empty="no keys: only this machine may ask")


def revoke_key(key_id: str, /, *, target: Target | None = None) -> None:
    """End a key at once.

    Args:
        key_id: Its id.
    """
    target = target or Target()
    key = target.run(lambda client: _service(client).revoke(key_id))
    print_one(target.output, key_to_wire(key), f"key {key_id} is revoked")


def rotate_key(key_id: str, /, *, overlap: str = "24h", target: Target | None = None) -> None:
    """Give a key a new secret; the former one holds a while longer.

    Args:
        key_id: Its id.
        overlap: How long the former secret still holds, such as 24h.
    """
    target = target or Target()
    span = timedelta(milliseconds=elapsed_ms(overlap, "overlap"))
    _print_made(target, target.run(lambda client: _service(client).rotate(key_id, overlap=span)))


def _service(client: Client) -> KeyService:
    app = client.app
    service = KeyService(app.store, platform_id=app.platform_id, schedules=app.schedules, actor="cli")
    service.everywhere = True  # whoever has the database has every platform
    return service


def _print_made(target: Target, made: MadeKey) -> None:
    wire = key_to_wire(made.key) | {"secret": made.text}
    print_one(target.output, wire, pairs({name: value for name, value in wire.items() if value is not None}))
    if target.output == "table":
        say("Keep the secret: it is shown this once.")
