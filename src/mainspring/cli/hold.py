"""`hold` and `release`: keep the whole fleet from beginning anything new, and let it go on."""

from __future__ import annotations

from mainspring.cli.output import print_one, say
from mainspring.cli.target import Opened, Target
from mainspring.cli.times import stamp
from mainspring.model.wire import instant
from mainspring.moves.hold import Hold


def hold(*, reason: str, target: Target | None = None) -> None:
    """Hold the fleet: nothing is decided, promoted or claimed until `release`. What runs, runs on.

    It is for all platforms of the database. Works with no process of the fleet running: do it before you start one on a
    database restored from a backup.

    Args:
        reason: Why, for those who wonder.
    """
    target = target or Target()

    async def work(client: Opened) -> Hold:
        return await client.scheduler.hold_fleet(reason)

    made = target.run_on_store(work, what="holding the fleet")
    print_one(target.output, _wire(made), f"held: {made.reason}. `mainspring release` lets the fleet go on")


def release(*, target: Target | None = None) -> None:
    """Let a held fleet go on. What became due meanwhile is decided by each job's misfire policy."""
    target = target or Target()

    async def work(client: Opened) -> Hold | None:
        return await client.scheduler.release_fleet()

    found = target.run_on_store(work, what="holding the fleet")
    if found is None:
        say("the fleet was not held")
        return
    told = f"released; it was held since {stamp(found.since)} by {found.actor}: {found.reason}"
    print_one(target.output, _wire(found), told)


def _wire(hold: Hold) -> dict[str, str | None]:
    return {"reason": hold.reason, "since": instant(hold.since), "actor": hold.actor}
