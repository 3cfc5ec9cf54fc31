"""The filter of an event schedule: an EventBridge-style pattern over the event. Data, not code, and nothing to escape.

A pattern is an object of the event's shape whose leaves are lists of conditions. Keys are joined by "and", the
conditions of one list by "or". A condition is a plain value (equal in type and value), or an object with one operator:
``prefix``, ``suffix``, ``equals-ignore-case``, ``anything-but``, ``numeric``, ``exists``. Where the event has an array,
one element that matches is enough; for ``anything-but`` all of them have to be something else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mainspring.errors import ScheduleError
from mainspring.schedule.instants import describe
from mainspring.schedule.reading import require_mapping

_MOST_DEPTH = 8
_MOST_CONDITIONS = 200
_OPERATORS = ("anything-but", "equals-ignore-case", "exists", "numeric", "prefix", "suffix")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first condition that does not hold: ``path`` in the filter, what is ``wanted`` and what was ``found`` there.

    ``found`` is text for people, cut to a readable length; None where the event has nothing at that place.
    """

    path: str
    wanted: Any
    found: str | None

    @property
    def why(self) -> str:
        """Say it in one sentence.

        >>> Mismatch("filter.data.status", ("paid",), "'open'").why
        "filter.data.status is 'open', wanted one of ['paid']"
        """
        there = "is absent" if self.found is None else f"is {self.found}"
        return f"{self.path} {there}, wanted one of {plain_conditions(self.wanted)}"


def first_mismatch(pattern: Mapping[str, Any], subject: Any, path: str = "filter") -> Mismatch | None:
    """Return the first condition of a checked pattern that ``subject`` does not meet, in the pattern's order; or None.

    >>> first_mismatch({"data": {"status": ["paid"]}}, {"data": {"status": "paid", "n": 1}}) is None
    True
    >>> first_mismatch({"data": {"n": [{"numeric": [">", 5]}]}}, {"data": {"n": 3}}).path
    'filter.data.n'
    """
    for key, wanted in pattern.items():
        value = subject.get(key, _ABSENT) if isinstance(subject, Mapping) else _ABSENT
        found = _within(wanted, value, f"{path}.{key}")
        if found is not None:
            return found
    return None


def _within(wanted: Any, value: Any, path: str) -> Mismatch | None:
    if not isinstance(wanted, Mapping):
        holds = any(_holds(condition, value) for condition in wanted)
        return None if holds else Mismatch(path, wanted, None if value is _ABSENT else _shown(value))
    if isinstance(value, (list, tuple)):
        # One element has to meet the whole of it: an order with a red pen and a blue cup holds no blue pen.
        tried = [_within(wanted, element, path) for element in value]
        return first_mismatch(wanted, {}, path) if not tried else None if None in tried else tried[0]
    return first_mismatch(wanted, value, path)


def _holds(condition: object, value: Any) -> bool:
    name, operand = next(iter(condition.items())) if isinstance(condition, Mapping) else ("", condition)
    if name == "exists":
        return (value is not _ABSENT) is operand
    if value is _ABSENT:
        return False
    elements = value if isinstance(value, (list, tuple)) else (value,)
    if name == "anything-but":
        refused = operand if isinstance(operand, tuple) else (operand,)
        return not any(_equal(element, other) for element in elements for other in refused)
    return any(_element_holds(name, operand, element) for element in elements)


def _element_holds(name: str, operand: Any, element: Any) -> bool:
    match name:
        case "prefix":
            return isinstance(element, str) and element.startswith(operand)
        case "suffix":
            return isinstance(element, str) and element.endswith(operand)
        case "equals-ignore-case":
            return isinstance(element, str) and element.casefold() == operand.casefold()
        case "numeric":
            return _is_number(element) and all(
                _COMPARISONS[sign](element, number) for sign, number in zip(operand[::2], operand[1::2], strict=True)
            )
    return _equal(element, operand)


def _equal(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _shown(value: Any) -> str:
    return repr(value[:80]) if isinstance(value, str) else describe(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plain_conditions(wanted: Any) -> Any:
    """Return conditions of a checked pattern as plain data, to be shown or stored."""
    if isinstance(wanted, Mapping):
        return {key: plain_conditions(value) for key, value in wanted.items()}
    return [plain_conditions(value) for value in wanted] if isinstance(wanted, (list, tuple)) else wanted


# -- checking ----------------------------------------------------------------------------------------------------


def checked_filter(value: object) -> Mapping[str, Any]:
    """Check a pattern and return it immutable. Raises `ScheduleError` with the path."""
    pattern = require_mapping(value, "filter", 'Write {"data": {"status": ["paid"]}}.')
    budget = [_MOST_CONDITIONS]
    return _checked_object(pattern, "filter", 1, budget)


def _checked_object(pattern: Mapping[str, Any], path: str, depth: int, budget: list[int]) -> Mapping[str, Any]:
    """Check one level: each key leads to a list of conditions or to a deeper object; return it immutable."""
    if depth > _MOST_DEPTH:
        raise ScheduleError(path[:128], path, f"deeper than {_MOST_DEPTH} levels", "Compare fewer levels.")
    checked: dict[str, Any] = {}
    for key, wanted in pattern.items():
        here = f"{path}.{describe(key)}"
        if isinstance(wanted, Mapping):
            checked[key] = _checked_object(require_mapping(wanted, here, "Use text keys."), here, depth + 1, budget)
            continue
        fix = 'List the values allowed: ["paid", {"prefix": "re"}].'
        if not isinstance(wanted, (list, tuple)) or not wanted:
            raise ScheduleError(here, describe(wanted), "expected a list of conditions or an object", fix)
        budget[0] -= len(wanted)
        if budget[0] < 0:
            raise ScheduleError(path[:128], key, f"more than {_MOST_CONDITIONS} conditions", "Use fewer.")
        checked[key] = tuple(_checked_condition(condition, here) for condition in wanted)
    return MappingProxyType(checked)


def _checked_condition(condition: object, path: str) -> object:
    if condition is None or isinstance(condition, (str, int, float)):
        return condition
    fix = f"Use a plain value or one of {', '.join(_OPERATORS)}."
    if not isinstance(condition, Mapping) or len(condition) != 1:
        raise ScheduleError(path, describe(condition), "not a condition", fix)
    ((name, operand),) = condition.items()
    if not _operand_fits(name, operand):
        raise ScheduleError(path, f"{describe(name)}: {describe(operand)}", "not a condition", fix)
    kept = tuple(operand) if isinstance(operand, (list, tuple)) else operand
    return MappingProxyType({name: kept})


def _operand_fits(name: object, operand: object) -> bool:
    match name:
        case "prefix" | "suffix" | "equals-ignore-case":
            return isinstance(operand, str)
        case "exists":
            return isinstance(operand, bool)
        case "anything-but":
            items = operand if isinstance(operand, (list, tuple)) else (operand,)
            return 0 < len(items) <= _MOST_CONDITIONS and all(
                item is None or isinstance(item, (str, int, float)) for item in items
            )
        case "numeric":
            return (
                isinstance(operand, (list, tuple))
                and len(operand) in (2, 4)
                and all(sign in _COMPARISONS for sign in operand[::2])
                and all(_is_number(number) for number in operand[1::2])
            )
    return False
