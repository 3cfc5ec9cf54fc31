"""`keys`: make, list, revoke and rotate API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli.desk import Desk
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.output import pairs, print_one, say
from mainspring.cli.pages import Listed, print_listing
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.client import asks
from mainspring.client.shapes import Key, MadeKey

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

    async def work(desk: Desk) -> MadeKey:
        asked: dict[str, Any] = {"role": role, "name": name, "scopes": scopes or [], "all_platforms": all_platforms}
        if seconds is not None:
            now = datetime.fromisoformat((await desk.ask(asks.get_overview())).at)  # by the store's clock, not ours
            asked["expires_at"] = now + timedelta(seconds=seconds)
        return await desk.ask(asks.create_key(**asked))

    _print_made(target, target.run(work, create=True))


def list_keys(*, listed: Listed | None = None, target: Target | None = None) -> None:
    """List keys, newest first; never their secrets.

    Args:
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()
    page = target.run(lambda desk: desk.ask(asks.list_keys(**listed.query())))
    headers = ("ID", "NAME", "ROLE", "EXPIRES", "REVOKED", "LAST USED")
    print_listing(target, listed, page, headers, _row, empty="no keys: only this machine may ask")


def revoke_key(key_id: str, /, *, target: Target | None = None) -> None:
    """End a key at once.

    Args:
        key_id: Its id.
    """
    target = target or Target()
    key = target.run(lambda desk: desk.ask(asks.revoke_key(key_id)))
    print_one(target.output, key.wire, f"key {key_id} is revoked")


def rotate_key(key_id: str, /, *, overlap: str = "24h", target: Target | None = None) -> None:
    """Give a key a new secret; the former one holds a while longer.

    Args:
        key_id: Its id.
        overlap: How long the former secret still holds, such as 24h.
    """
    target = target or Target()
    span_ms = elapsed_ms(overlap, "overlap")
    _print_made(target, target.run(lambda desk: desk.ask(asks.rotate_key(key_id, overlap_ms=span_ms))))


def _row(key: Key) -> list[Any]:
    times = (key.expires_at, key.revoked_at, key.last_used_at)
    return [key.id, key.name, key.role, *(stamp(at) for at in times)]


def _print_made(target: Target, made: MadeKey) -> None:
    print_one(target.output, made.wire, pairs({name: value for name, value in made.wire.items() if value is not None}))
    if target.for_people:
        say("Keep the secret: it is shown this once.")
