"""A database that keeps the record: it runs work, each as one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, runtime_checkable

from mainspring.ports.store.transaction import Work

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Store(Protocol):
    """A database that keeps the record."""

    async def open(self) -> None:
        """Connect; make or migrate an embedded database. Raises `SchemaError`, `StoreUnavailableError`."""

    async def close(self) -> None:
        """Finish what was submitted and let go of every connection."""

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction of its own; return what it returns once that has committed durably.

        What ``work`` raises rolls everything back and reaches the caller. Raises `StoreUnavailableError`.
        """

    async def read(self, work: Work[T]) -> T:
        """Run ``work``, which must not write, on one consistent snapshot."""

    def write_blocking(self, work: Work[T]) -> T:
        """Do `write` from a thread that has no event loop to wait in: heartbeats and sync callers."""

    def read_blocking(self, work: Work[T]) -> T:
        """Do `read` from such a thread."""


class Companion(Protocol[T_co]):
    """Work that waits for what it goes along with."""

    #: Once there is a result: whether the topic was woken again since this was begun, for what it may not have seen.
    woken_again: bool

    def withdraw(self) -> bool:
        """Wait no longer; False where it is under way already, or done, so that there is a result."""

    async def result(self) -> T_co:
        """Return what it returned, once that has committed. Raises what it raised, as `Store.write` does."""


@runtime_checkable
class Accompanied(Protocol):
    """A store that starts work by itself when a topic is woken, without asking the event loop first."""

    def accompany(self, topic: str, work: Work[T], done: Callable[[T], None] | None = None) -> Companion[T]:
        """Run ``work`` once, when ``topic`` (see `Wakeups`) is woken; it sees what was written by whoever wakes it.

        A store with one writer runs it at the end of the very transaction that wakes the topic, in its commit; what it
        raises then undoes nothing but itself. Others run it at once in a transaction of its own.

        ``done`` is called in the present event loop and context with what ``work`` returned, once that has committed,
        and before anybody else in that loop hears of the commit.
        """


class TooEarlyError(Exception):
    """Work that is done ahead of its instant has to be done at it instead."""


@runtime_checkable
class Punctual(Protocol):
    """A store that does work ahead of an instant, so that only its commit is left to be done at the instant."""

    #: How long before an instant that is best begun.
    lead: timedelta

    async def write_at(self, instant: datetime, work: Work[T]) -> T | None:
        """Run ``work`` at once, with ``instant`` as its ``now``; commit as soon as the store's clock has come there.

        Where it has passed the instant before the work begins, that is as with `Store.write`.

        None, and nothing is done, where that is more than twice ``lead`` ahead, where somebody else wants to write to a
        store with one writer meanwhile, and where ``work`` raises `TooEarlyError`. Raises what `Store.write` does.
        """
