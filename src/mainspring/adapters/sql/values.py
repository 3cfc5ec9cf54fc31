"""Values to columns and back: instants, durations, JSON, enums. A codec is made once per dataclass and table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, TypeVar

import orjson

from mainspring.model.policy import RetryPolicy
from mainspring.model.wire import retry_from_wire, retry_to_wire

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)

D = TypeVar("D")
Convert = Callable[[Any], Any]


def to_micros(at: datetime | None) -> int | None:
    """Return an instant as microseconds since 1970."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int | None) -> datetime | None:
    """Return microseconds since 1970 as an instant."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def to_json(value: Any) -> str | None:
    """Return plain data as JSON text; None stays NULL."""
    return None if value is None else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def from_json(text: str | None) -> Any:
    """Return the data of JSON text; NULL is None."""
    return None if text is None else orjson.loads(text)


def _same(value: Any) -> Any:
    return value


def _enum(kind: Callable[[Any], Any]) -> tuple[Convert, Convert]:
    return (lambda v: None if v is None else str(v)), (lambda v: None if v is None else kind(v))


@lru_cache(maxsize=1024)
def _retry(text: str) -> RetryPolicy:
    return retry_from_wire(orjson.loads(text))


@lru_cache(maxsize=1024)
def _retry_text(retry: RetryPolicy) -> str:
    return orjson.dumps(retry_to_wire(retry)).decode()


def _wall(wall: datetime | None) -> str | None:
    return None if wall is None else f"{wall.replace(fold=0).isoformat()}/{wall.fold}"


def _from_wall(text: str | None) -> datetime | None:
    if text is None:
        return None
    wall, _, fold = text.rpartition("/")
    return datetime.fromisoformat(wall).replace(fold=int(fold))


INSTANT: tuple[Convert, Convert] = (to_micros, from_micros)
SPAN: tuple[Convert, Convert] = (lambda d: d // _MILLISECOND, lambda ms: timedelta(milliseconds=ms))
JSON: tuple[Convert, Convert] = (to_json, from_json)
RETRY: tuple[Convert, Convert] = (_retry_text, _retry)
WALL: tuple[Convert, Convert] = (_wall, _from_wall)
BOOL: tuple[Convert, Convert] = (_same, bool)
NAMES: tuple[Convert, Convert] = (lambda names: to_json(list(names)), lambda text: tuple(orjson.loads(text)))
enum = _enum


class Codec(Generic[D]):
    """Turns a dataclass into a row of plain values, and a row of its columns back into the dataclass."""

    def __init__(self, kind: Callable[..., D], columns: Sequence[str], **special: tuple[Convert, Convert]) -> None:
        self.columns = tuple(columns)
        self._kind = kind
        self._to = {name: pair[0] for name, pair in special.items() if pair[0] is not _same}
        self._from = [(self.columns.index(n), pair[1]) for n, pair in special.items() if n in self.columns]
        self._order = self.columns

    def row(self, value: D) -> list[Any]:
        """Return the column values of one, in the order of ``columns``."""
        to = self._to
        return [to[n](getattr(value, n)) if n in to else getattr(value, n) for n in self.columns]

    def rows(self, values: Iterable[D]) -> list[list[Any]]:
        """Return the column values of many."""
        return [self.row(value) for value in values]

    def column(self, name: str, value: Any) -> Any:
        """Return one column's value."""
        return self._to[name](value) if name in self._to else value

    def read(self, row: Iterable[Any]) -> D:
        """Return the dataclass of a row that holds exactly ``columns``, in their order."""
        values = list(row)
        for index, convert in self._from:
            if values[index] is not None:
                values[index] = convert(values[index])
        return self._kind(**dict(zip(self._order, values, strict=True)))


def keyed(row: Sequence[Any], columns: Sequence[str]) -> Mapping[str, Any]:
    """Return a row by column name."""
    return dict(zip(columns, row, strict=True))
