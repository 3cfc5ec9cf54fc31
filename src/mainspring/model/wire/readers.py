"""Readers of single fields: each returns what a value means, or raises `ValidationError` with the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from mainspring.errors import ValidationError
from mainspring.model.wire.values import HANDLER, NAME

_E = TypeVar("_E", bound=StrEnum)


def member(kind: type[_E]) -> Callable[[Any, str], _E]:
    """Return the reader of a member of an enumeration, by its word."""

    def read(value: Any, field: str) -> _E:
        try:
            return kind(value)
        except ValueError:
            options = ", ".join(kind)
            raise ValidationError(f"{str(value)[:40]!r} is not one of: {options}", field=field) from None

    return read


def integer(low: int, high: int) -> Callable[[Any, str], int]:
    """Return the reader of a whole number from ``low`` to ``high``."""

    def read(value: Any, field: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValidationError(f"must be a whole number from {low} to {high}, got {str(value)[:40]}", field=field)
        return value

    return read


def span(low_ms: int, high_ms: int) -> Callable[[Any, str], timedelta]:
    """Return the reader of a duration in whole milliseconds."""
    whole = integer(low_ms, high_ms)
    return lambda value, field: timedelta(milliseconds=whole(value, field))


def from_milliseconds(value: int) -> timedelta:
    """Return the duration of that many milliseconds."""
    return timedelta(0, 0, 0, value)


def optional(read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Return the reader of the same, or of None."""
    return lambda value, field: None if value is None else read(value, field)


def text(limit: int) -> Callable[[Any, str], str]:
    """Return the reader of text of at most ``limit`` characters."""

    def read(value: Any, field: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise ValidationError(f"must be text of at most {limit} characters", field=field)
        if "\x00" in value:
            raise ValidationError("must not contain a null character", field=field)
        return value

    return read


def _named(pattern: re.Pattern[str], rule: str) -> Callable[[Any, str], str]:
    def read(value: Any, field: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValidationError(f"{str(value)[:60]!r} is not a name", field=field, fix=rule)
        return value

    return read


name = _named(NAME, "Use letters, digits, '.', '_' and '-', at most 128, starting with a letter or digit")
handler_name = _named(HANDLER, "Use letters, digits and . _ : / - , at most 255")


def mapping(value: Any, field: str) -> dict[str, Any]:
    """Read an object."""
    if not isinstance(value, Mapping):
        raise ValidationError(f"must be an object, got {type(value).__name__}", field=field)
    return dict(value)


def labels(value: Any, field: str) -> dict[str, str]:
    """Read labels: at most 32, text to text."""
    labels = mapping(value, field)
    if len(labels) > 32:
        raise ValidationError(f"at most 32 labels, got {len(labels)}", field=field)
    for key, text in labels.items():
        if not isinstance(key, str) or not isinstance(text, str) or len(key) > 128 or len(text) > 256:
            raise ValidationError("labels map text to text (128 and 256 characters)", field=f"{field}.{str(key)[:60]}")
    return labels


def names(value: Any, field: str) -> tuple[str, ...]:
    """Read a list of names of jobs."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValidationError("must be a list of job names", field=field)
    return tuple(name(item, f"{field}[{index}]") for index, item in enumerate(value))


def boolean(value: Any, field: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValidationError("must be true or false", field=field)
    return value


def multiplier(value: Any, field: str) -> float:
    """Read a number from 1 to 100."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
        raise ValidationError("must be a number from 1 to 100", field=field)
    return float(value)


def one_of(options: tuple[str, ...]) -> Callable[[Any, str], str]:
    """Return the reader of one of a few words."""

    def read(value: Any, field: str) -> str:
        if value not in options:
            raise ValidationError(f"{str(value)[:40]!r} is not one of: {', '.join(options)}", field=field)
        return str(value)

    return read
