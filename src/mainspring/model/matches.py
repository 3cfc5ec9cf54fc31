"""What a filter means for a value in memory. The SQL adapter says the same for rows; a contract compares both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import Any

from mainspring.model.filters import And, Compare, Fields, Node, Not, Or

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def matches(node: Node | None, row: Any, fields: Fields) -> bool:
    """Tell whether a row matches. A field that is not known (None) matches no comparison but ``= null``.

    >>> from types import SimpleNamespace
    >>> from mainspring.model.filters import Field, Kind
    >>> matches(Compare("n", ">", 3), SimpleNamespace(n=4), {"n": Field(Kind.NUMBER, "n")})
    True
    """
    match node:
        case None:
            return True
        case Not(part):
            return not matches(part, row, fields)
        case And(parts):
            return all(matches(part, row, fields) for part in parts)
        case Or(parts):
            return any(matches(part, row, fields) for part in parts)
        case Compare(field, op, value, path):
            found = value_of(row, fields[field].attribute)
            return _compare(op, _leaf(found, path) if path else _plain(found), value)


def value_of(row: Any, attribute: str) -> Any:
    """Return what a row has under a dotted attribute; None where the way ends before."""
    return reduce(lambda value, name: getattr(value, name, None), attribute.split("."), row)


def sort_value(row: Any, attribute: str) -> Any:
    """Return a sortable field as it stands in a page token: instants in microseconds, text as it is, None for none."""
    value = _plain(value_of(row, attribute))
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


def _leaf(value: Any, path: tuple[str, ...]) -> str | None:
    """Return the scalar at the end of a path as text, as the databases give it; None for none, or for no scalar."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None or isinstance(value, Mapping | list | tuple):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, value: bool(found == value),
    "<": lambda found, value: bool(found < value),
    "<=": lambda found, value: bool(found <= value),
    ">": lambda found, value: bool(found > value),
    ">=": lambda found, value: bool(found >= value),
    "~": lambda found, value: lowered(value) in lowered(found),
    "^=": lambda found, value: found.startswith(value),
    "in": lambda found, value: found in value,
}


def _compare(op: str, found: Any, value: Any) -> bool:
    if found is None:
        return (op == "=" and value is None) or (op == "in" and None in value)
    return value is not None and _ORDERS[op](found, value)


def lowered(text: str) -> str:
    """Return text with A to Z in lower case and all else as it is: what both databases can do alike.

    >>> lowered("ÄBc")
    'Äbc'
    """
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
