"""Read the fields of a schedule object strictly: unknown keys, wrong types and values out of range are errors.

Every error says which field, what was found and how to mend it. Booleans are not numbers here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, TypeVar

from mainspring.errors import ScheduleError
from mainspring.model.nearest import nearest
from mainspring.schedule.instants import describe

_Choice = TypeVar("_Choice", bound=Enum)


def whole_number(spec: Mapping[str, Any], key: str, low: int, high: int, *, within: str = "") -> int:
    """Return the whole number ``spec[key]``, from ``low`` to ``high``.

    Raises:
        ScheduleError: If it is anything else; ``within`` is put before the field's name.

    >>> whole_number({"every_ms": 1000}, "every_ms", 1, 5000)
    1000
    """
    value, field = spec[key], f"{within}{key}"
    fix = f"Use a whole number from {low} to {high}."
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScheduleError(field, describe(value), "expected a whole number", fix)
    if not low <= value <= high:
        raise ScheduleError(field, describe(value), f"outside {low} to {high}", fix)
    return value


def flag(spec: Mapping[str, Any], key: str) -> bool:
    """Return the boolean ``spec[key]``; False when it is absent."""
    value = spec.get(key, False)
    if not isinstance(value, bool):
        raise ScheduleError(key, describe(value), "expected true or false", "Use true or false.")
    return value


def choice(spec: Mapping[str, Any], key: str, options: type[_Choice], default: _Choice) -> _Choice:
    """Return the member of ``options`` whose value is ``spec[key]``; ``default`` when it is absent."""
    value = spec.get(key)
    if value is None and key not in spec:
        return default
    for option in options:
        if option.value == value:
            return option
    known = ", ".join(str(option.value) for option in options)
    raise ScheduleError(key, describe(value), "not one of the choices", f"Use one of {known}.")


def text_list(spec: Mapping[str, Any], key: str, *, limit: int, within: str = "") -> tuple[str, ...]:
    """Return ``spec[key]``, a list of 1 to ``limit`` texts, as a tuple; empty when the key is absent."""
    if key not in spec:
        return ()
    value, field = spec[key], f"{within}{key}"
    fix = f"Use a list of 1 to {limit} texts."
    if not isinstance(value, (list, tuple)):
        raise ScheduleError(field, describe(value), "expected a list of texts", fix)
    if not 1 <= len(value) <= limit:
        raise ScheduleError(field, f"{len(value)} items", f"expected 1 to {limit} items", fix)
    for item in value:
        if not isinstance(item, str) or not item or len(item) > 256:
            raise ScheduleError(field, describe(item), "every item must be a text of 1 to 256 characters", fix)
    return tuple(value)


def require_mapping(value: object, field: str, fix: str) -> Mapping[str, Any]:
    """Return ``value`` if it is an object with text keys.

    Raises:
        ScheduleError: If it is not.
    """
    # A dict is nearly always what it is, and far quicker to recognise.
    if not isinstance(value, (dict, Mapping)):
        raise ScheduleError(field, describe(value), "expected an object", fix)
    for key in value:
        if not isinstance(key, str):
            raise ScheduleError(field, describe(key), "every key must be text", fix)
    return value


def refuse_unknown(spec: Mapping[str, Any], known: Collection[str], *, within: str = "") -> None:
    """Raise a :class:`ScheduleError` for the first key of ``spec`` not in ``known``, naming the nearest one.

    >>> refuse_unknown({"jiter_ms": 5}, ["jitter_ms", "start_at"])
    Traceback (most recent call last):
        ...
    mainspring.errors.ScheduleError: jiter_ms: unknown field (got 'jiter_ms'). Did you mean "jitter_ms"?
    """
    for key in spec:
        if key in known:
            continue
        near = nearest(key[:64], known)
        fix = f'Did you mean "{near[0]}"?' if near else f"Known here: {', '.join(sorted(known))}."
        raise ScheduleError(f"{within}{key[:64]}", key, "unknown field", fix)
