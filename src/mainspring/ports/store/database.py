"""A database that keeps the record: it runs work, each as one transaction."""

from __future__ import annotations

from typing import Protocol, TypeVar

from mainspring.ports.store.transaction import Work

T = TypeVar("T")


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
