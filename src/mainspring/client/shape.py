"""What an answer looks like from Python: the plain data as it came, its fields as typed attributes.

Fields are read when they are asked for. So an answer of a newer server, with fields and words this version does not
know, is as good as any: what nobody asks for breaks nothing.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Read = Callable[[Any], Any]

#: What tells rows of one kind apart for people: shown by ``repr`` where they are there.
_TELLING = ("id", "execution_id", "name", "job", "job_name", "handler", "status", "verdict")


class Shape:  # noqa: PLW1641 - it holds plain data, which may change
    """One answer, or a part of one. ``wire`` is the plain data; its fields are attributes, with their types.

    Instants are aware `datetime` objects, words are those of `mainspring.model` (and plain text where the server knows
    a word this version does not). A field the server left out is None.

    >>> class Run(Shape):
    ...     id: str
    ...     started_at: datetime | None
    >>> run = Run({"id": "a1", "started_at": "2026-03-01T09:00:00Z", "new": 1})
    >>> run, run.started_at.hour, run.new
    (Run(id='a1'), 9, 1)
    """

    __slots__ = ("wire",)

    wire: Mapping[str, Any]

    def __init__(self, wire: Mapping[str, Any]) -> None:
        self.wire = wire

    def __getattr__(self, name: str) -> Any:
        if name == "wire" or name.startswith("__"):
            raise AttributeError(name)
        read = _readers(type(self)).get(name)
        if read is None and name not in self.wire:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        value = self.wire.get(name)
        return value if read is None else read(value)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.wire == self.wire if isinstance(other, Shape) else NotImplemented

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_readers(type(self)), *self.wire})

    def __repr__(self) -> str:
        told = (f"{name}={self.wire[name]!r}" for name in _TELLING if self.wire.get(name) is not None)
        return f"{type(self).__name__}({', '.join(told)})"


class Page(Generic[T]):
    """One page of a list: ``data``, and the tokens of the pages beside it, None where there is none.

    ``total`` is None unless it was asked for, ``since`` None unless the list was narrowed in time.
    """

    def __init__(self, wire: Mapping[str, Any], row: Callable[[Any], T]) -> None:
        self.wire = wire
        self.data: list[T] = [row(one) for one in wire["data"]]
        self.next_page_token: str | None = wire.get("next_page_token")
        self.prev_page_token: str | None = wire.get("prev_page_token")
        self.total: Mapping[str, Any] | None = wire.get("total")
        self.since: datetime | None = _instant((wire.get("window") or {}).get("since"))

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


_READERS: dict[Any, Mapping[str, Read]] = {}


def _readers(kind: type[Shape]) -> Mapping[str, Read]:
    """How each field of a shape is read; found out at the first one of its kind."""
    if kind not in _READERS:
        hints = typing.get_type_hints(kind)
        _READERS[kind] = {name: reader(hint) for name, hint in hints.items() if name != "wire"}
    return _READERS[kind]


def reader(hint: Any) -> Read:
    """Return what turns plain data into a type.

    >>> reader(list[datetime])(["2026-03-01T09:00:00Z"])[0].year, reader(int | None)(None)
    (2026, None)
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not types.NoneType]
        return reader(kinds[0]) if len(kinds) == 1 else _same
    if origin is list:
        inner = reader(arguments[0])
        return lambda value: None if value is None else [inner(one) for one in value]
    if origin is dict:
        inner = reader(arguments[1])
        return lambda value: None if value is None else {key: inner(one) for key, one in value.items()}
    if hint is datetime:
        return _instant
    if isinstance(hint, type) and issubclass(hint, Shape):
        return lambda value: None if value is None else hint(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value: _word(hint, value)
    return _same


def _same(value: Any) -> Any:
    return value


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _word(kind: type[Enum], value: Any) -> Any:
    try:
        return None if value is None else kind(value)
    except ValueError:
        return value
