"""How the past is laid out, and how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeptSince:
    """From which instant on the past is kept: what ended, was published or was decided earlier may go."""

    ended: datetime
    published: datetime
    decided: datetime


@dataclass(frozen=True, slots=True)
class Dropped:
    """Partitions dropped, by name; and those that could not be, with how many of their rows must stay."""

    partitions: tuple[str, ...] = ()
    crowded: Mapping[str, int] = field(default_factory=dict)


class HistoryTable(Protocol):
    """How the past is laid out: where the database can, in partitions by time that are dropped as a whole.

    Where it cannot, both methods do nothing. Either way the ``delete_…`` methods of the other tables delete row by row
    what lies in no partition.
    """

    def prepare(self, days: int) -> Sequence[str]:
        """Make the partitions for the present and the time to come, ``days`` each; return the names of those made."""

    def drop(self, since: KeptSince) -> Dropped:
        """Drop partitions all of whose time is past, one of each table at most; rows that must stay are moved out.

        What must stay is what `ExecutionTable.delete_ended` keeps, and what is younger than its partition.
        """
