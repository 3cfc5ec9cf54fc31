"""What goes on in a database besides our work, as far as it can hold our work up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that is open. ``idle``: for how long nothing was said in it, None while a statement runs."""

    pid: int
    user: str
    application: str
    age: timedelta
    idle: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """What keeps dead rows from being removed, and how many transactions have begun since it began to.

    ``kind``: ``transaction``, ``prepared transaction``, ``replication slot`` or ``standby``.
    """

    kind: str
    name: str
    transactions: int


@dataclass(frozen=True, slots=True)
class DeadRows:
    """How many rows of a table are dead and not removed yet, and how many may be before vacuuming is due."""

    table: str
    dead: int
    due_at: int
    vacuumed: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """The picture of one moment.

    ``transactions`` are those of this database, oldest first; ``holders`` those of all the server, worst first;
    ``dead`` are our tables with more dead rows than vacuuming waits for. ``hidden`` sessions do not show us what they
    do: our user may not see it.
    """

    transactions: tuple[OpenTransaction, ...] = ()
    holders: tuple[Holder, ...] = ()
    dead: tuple[DeadRows, ...] = ()
    vacuums: bool = True
    hidden: int = 0


@runtime_checkable
class SharedDatabase(Protocol):
    """A store whose database others use as well, and which tells what they do in it."""

    async def activity(self) -> Activity:
        """Return what goes on right now; asked on a connection of its own, in bounded time."""
        ...
