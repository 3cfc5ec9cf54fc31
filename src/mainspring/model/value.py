"""Frozen dataclasses of many fields that are made and copied by the hundred thousand.

``dataclasses.replace`` and the constructor of a frozen class set each field by a call of its own; for forty fields that
takes longer than the database needs for the row. A `Value` keeps its fields in a dictionary and copies that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

_NO_DEFAULT = object()


class Value:
    """Base of a frozen dataclass without slots and without ``__post_init__``."""

    def changed(self, **changes: Any) -> Self:
        """Return a copy with other values in some fields; `dataclasses.replace`, only quicker. Names are not checked.

        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Point(Value):
        ...     x: int
        ...     y: int
        >>> Point(1, 2).changed(y=3)
        Point(x=1, y=3)
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    @classmethod
    def of(cls, names: Iterable[str], values: Iterable[Any]) -> Self:
        """Return the value with these fields, every one of them; in the order of ``names``."""
        made = object.__new__(cls)
        made.__dict__.update(zip(names, values, strict=True))
        return made

    @classmethod
    def sharing(cls, common: dict[str, Any], names: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[Self]:
        """Return a value for each row, which holds the fields of ``names``; all others are the same in all of them.

        What is as the class has it by default is left to the class: of an execution that has just been claimed that is
        more than half of its fields, and two thirds of its memory.
        """
        own = {name: value for name, value in common.items() if getattr(cls, name, _NO_DEFAULT) != value}
        found = []
        for row in rows:
            fields = own.copy()
            fields.update(zip(names, row, strict=True))
            made = object.__new__(cls)
            object.__setattr__(made, "__dict__", fields)
            found.append(made)
        return found

    @classmethod
    def holding(cls, fields: dict[str, Any]) -> Self:
        """Return the value with these fields, by name, every one of them. It keeps the dictionary itself."""
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        return made
