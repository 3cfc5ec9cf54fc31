"""The open transaction as the tables see it: its instant, whether it may write, and how to undo what it wrote.

Every change goes through here, so that rolling back is walking the journal from its end. A key that comes back by
undoing comes back at the end of its dictionary: nothing may rely on the order of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from mainspring.errors import StoreError

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Any = object()


class Journal:
    """What one transaction at a time has changed."""

    def __init__(self) -> None:
        self.now = datetime.min.replace(tzinfo=UTC)
        self._undo: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._writing = False

    def begin(self, now: datetime, *, writing: bool) -> None:
        """Start a transaction at ``now``."""
        self.now, self._writing = now, writing

    def commit(self) -> None:
        """Keep what was changed and end the transaction."""
        self._undo.clear()
        self._writing = False

    def rollback(self) -> None:
        """Undo what was changed, last change first, and end the transaction."""
        for undo, arguments in reversed(self._undo):
            undo(*arguments)
        self.commit()

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """Set ``table[key]``."""
        before = table.get(key, _ABSENT)
        if before is _ABSENT:
            self._note(dict.__delitem__, table, key)
        else:
            self._note(dict.__setitem__, table, key, before)
        table[key] = value

    def drop(self, table: dict[K, V], key: K) -> None:
        """Delete ``table[key]`` if it is there."""
        if key in table:
            self._note(dict.__setitem__, table, key, table[key])
            del table[key]

    def extend(self, rows: list[V], more: Iterable[V]) -> None:
        """Append ``more`` to ``rows``."""
        self._note(list.__delitem__, rows, slice(len(rows), None))
        rows.extend(more)

    def _note(self, undo: Callable[..., object], *arguments: Any) -> None:
        if not self._writing:
            raise StoreError("only the work of an open write transaction may write")
        self._undo.append((undo, arguments))
