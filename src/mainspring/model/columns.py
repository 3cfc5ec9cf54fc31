"""Many values of one kind, kept by their fields: what is written together need not be made one by one.

Of 500 executions that are planned at once a dictionary of forty fields each would be made, to be taken apart again a
moment later; and the collector of garbage would look at all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, overload

from mainspring.model.value import Value

V = TypeVar("V", bound=Value)


class Columns(Sequence[V], Generic[V]):
    """Values as a sequence, each of which is made when somebody asks for it.

    ``fields`` holds every field of ``kind`` by name, with the value that each of them has in it.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Point(Value):
    ...     x: int
    ...     y: int
    >>> points = Columns.of(Point, ("x", "y"), [(1, 2), (3, 4)])
    >>> list(points.changed(y=[5, 6]))
    [Point(x=1, y=5), Point(x=3, y=6)]
    """

    def __init__(self, kind: type[V], fields: Mapping[str, Sequence[Any]]) -> None:
        self.kind, self.fields = kind, fields
        self._count = len(next(iter(fields.values())))

    @classmethod
    def of(cls, kind: type[V], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Self:
        """Return the values that rows hold, in the order of ``names``; there must be one."""
        return cls(kind, dict(zip(names, zip(*rows, strict=True), strict=True)))

    @classmethod
    def alike(cls, value: V, count: int, **columns: Sequence[Any]) -> Self:
        """Return a value that many times, with what each has of its own in some fields. Names are not checked."""
        alike = {field.name: [getattr(value, field.name)] * count for field in dataclasses.fields(value)}  # type: ignore[arg-type]
        return cls(type(value), {**alike, **columns})

    def changed(self, **columns: Sequence[Any]) -> Self:
        """Return the values with others in some fields. Names are not checked."""
        return type(self)(self.kind, {**self.fields, **columns})

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[V]: ...
    def __getitem__(self, index: int | slice) -> V | Sequence[V]:
        if isinstance(index, slice):
            return list(self)[index]
        return self.kind.of(self.fields, [column[index] for column in self.fields.values()])

    def __iter__(self) -> Iterator[V]:
        return (self.kind.of(self.fields, row) for row in zip(*self.fields.values(), strict=True))
