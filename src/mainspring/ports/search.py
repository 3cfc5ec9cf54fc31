"""Lists: filtered, sorted, in keyset pages. One port for every noun; how a filter reads is in ``model.filters``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from mainspring.model.filters import Node
from mainspring.model.matches import sort_value
from mainspring.model.nouns import LISTINGS, Noun


@dataclass(frozen=True, slots=True)
class Order:
    """One field to sort by; rows without a value come last when ascending."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """One page of a list: the first ``limit`` rows that match and come strictly after ``after``.

    ``platform_id`` None lists every platform's rows. ``order`` ends with the noun's key (`total_order`), so that it is
    total. ``after`` has one value per order: an instant in whole microseconds (None: no value), or text. Archived jobs
    are left out unless ``archived``.
    """

    noun: Noun
    platform_id: str | None
    where: Node | None = None
    order: tuple[Order, ...] = field(default=())
    after: tuple[Any, ...] | None = None
    limit: int = 50
    archived: bool = False


def total_order(noun: Noun, order: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return an order with the noun's key at its end, in the direction of what it is already sorted by.

    >>> [one.field for one in total_order(Noun.JOBS, (Order("name"),))]
    ['name', 'id']
    """
    named = {one.field for one in order}
    descending = order[-1].descending if order else True
    return (*order, *(Order(field, descending) for field in LISTINGS[noun].key if field not in named))


def place(search: Search, row: Any) -> tuple[Any, ...]:
    """Return where a row stands in the order of ``search``: the ``after`` of the page that follows it."""
    fields = LISTINGS[search.noun].fields
    return tuple(sort_value(row, fields[one.field].attribute) for one in search.order)


class SearchTable(Protocol):
    """What every store can list."""

    def find(self, search: Search) -> list[Any]:
        """Return rows as values of the model: jobs, executions, decisions, ..."""

    def count(self, search: Search, most: int) -> int:
        """Count what matches, but no further than ``most`` + 1; order, ``after`` and ``limit`` are not looked at."""
