"""Slots that a worker at rest lends to whoever queues work, who then claims for it in the commit that queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Protocol, runtime_checkable

from mainspring.model.execution import Execution


@dataclass(frozen=True, slots=True)
class Lender:
    """A worker that lends: what it has handlers for, the lease of its claims, and where it hears of them."""

    worker_id: str
    handlers: Sequence[str]
    lease: timedelta
    address: str


@dataclass(frozen=True, slots=True)
class Vacancy:
    """One slot of a queue that is lent: the worker's next ``number``, and the free slots it has of that queue."""

    queue: str
    number: int
    room: int


class Filled(NamedTuple):
    """A vacancy that was filled, and with which execution, under which fence."""

    queue: str
    number: int
    execution_id: str
    fence: int


class Handed(NamedTuple):
    """An execution that was claimed for a worker, and the vacancy of its queue that it fills."""

    worker_id: str
    number: int
    execution: Execution


@runtime_checkable
class Lending(Protocol):
    """A store that claims, with an execution it queues, for a worker that lends a slot. Used from an event loop."""

    def hear(self, worker_id: str, handed: Callable[[Handed], None]) -> str | None:
        """Have ``handed`` called, in the present event loop and context, with what is claimed for a worker.

        Returns the worker's address; None where this store does not claim for others.
        """

    async def lend(self, lender: Lender, vacancies: Sequence[Vacancy], term: timedelta) -> set[str]:
        """Let vacancies stand, anew or longer, until ``term`` from now; each is filled once, or not at all.

        Returns the queues of those that are filled already, and are left so: no number is lent twice.
        """

    async def take_back(self, worker_id: str) -> list[Filled]:
        """Let none of a worker's vacancies stand; return those that were filled, heard of or not."""
