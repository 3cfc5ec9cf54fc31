"""What every kind of schedule answers, and the union of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mainspring.schedule.instants import to_ms
from mainspring.schedule.occurrence import Occurrence, merge


class Rule(Protocol):
    """A set of instants, walked in either direction. Instants are milliseconds since 1970 UTC."""

    def next(self, after: int) -> Occurrence | None:
        """Return the first occurrence strictly after ``after``; None when there is none before the horizon."""
        ...

    def previous(self, before: int) -> Occurrence | None:
        """Return the last occurrence strictly before ``before``; None when there is none since 1970."""
        ...


class Union:
    """The instants of any of several rules; one that several name happens once, with the notes of all."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def next(self, after: int) -> Occurrence | None:
        """See :class:`Rule`."""
        best: Occurrence | None = None
        for rule in self._rules:
            found = rule.next(after)
            if found is None:
                continue
            if best is None or found.at < best.at:
                best = found
            elif found.at == best.at:
                best = merge(best, found)
        return best

    def previous(self, before: int) -> Occurrence | None:
        """See :class:`Rule`."""
        best: Occurrence | None = None
        for rule in self._rules:
            found = rule.previous(before)
            if found is None:
                continue
            if best is None or found.at > best.at:
                best = found
            elif found.at == best.at:
                best = merge(best, found)
        return best


class Until:
    """A rule that ends: nothing after ``last``, an instant in milliseconds, inclusive."""

    __slots__ = ("_last", "_rule")

    def __init__(self, rule: Rule, last: int) -> None:
        self._rule = rule
        self._last = last

    def next(self, after: int) -> Occurrence | None:
        """See :class:`Rule`."""
        found = self._rule.next(after)
        return found if found is not None and to_ms(found.at) <= self._last else None

    def previous(self, before: int) -> Occurrence | None:
        """See :class:`Rule`."""
        return self._rule.previous(min(before, self._last + 1))
