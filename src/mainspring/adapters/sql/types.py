"""Column types: our values in Python, plain numbers and text in the database, the same bits and order on both.

Instants are whole microseconds since the epoch, durations whole milliseconds, plain data is JSON as text: what was
written comes back letter by letter, which PostgreSQL's own JSON types do not promise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from operator import is_
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mainspring.errors import ValidationError
from mainspring.model.job import JobDefinition
from mainspring.model.policy import RetryPolicy
from mainspring.model.wire import (
    definition_from_record,
    definition_to_wire,
    definitions_to_wire,
    milliseconds,
    retry_from_wire,
    retry_to_wire,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOLDED = "/2"
_NOTHING = object()

MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return an instant as microseconds since the epoch.

    >>> micros(datetime(1970, 1, 2, microsecond=5, tzinfo=UTC))
    86400000005
    """
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(value: int) -> datetime:
    """Return the instant that many microseconds after the epoch."""
    return _EPOCH + timedelta(0, 0, value)


def to_json(value: Any) -> str:
    """Return plain data as JSON. Characters that UTF-8 cannot carry are replaced; nothing may fail to be recorded."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        try:
            return orjson.dumps(_cleaned(value)).decode()
        except TypeError as error:
            raise ValidationError(f"it cannot be stored as JSON: {error}") from error


def clean(text: str) -> str:
    r"""Return text without what a database refuses: lone surrogates and null characters.

    >>> clean("a\x00b") == "a\ufffdb"
    True
    """
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


def key(length: int) -> sa.String:
    """Return the type of text to look up and sort by: by code point, also where the database has a locale."""
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


ID = key(36)
#: Room for the longest name there is: a concurrency key of 256 characters after what says that it is one.
NAME = key(300)


class Coded(sa.TypeDecorator[Any], ABC):
    """A type that is stored as another: ``encode`` on the way in, ``decode`` on the way out, None is NULL."""

    impl: Any = sa.Text
    cache_ok = True

    #: Whether equal values are stored alike. In JSON they are not: 1 and True are equal.
    comparable = True

    #: Whether None is stored as a value of its own.
    never_null = False

    #: Whether what is read can be changed by whoever gets it, so that each row needs one of its own.
    mutable = False

    @abstractmethod
    def encode(self, value: Any) -> Any:
        """Return what is stored."""

    @abstractmethod
    def decode(self, value: Any) -> Any:
        """Return what was meant."""

    def encode_all(self, values: Sequence[Any]) -> list[Any]:
        """Return what is stored of each value of a column."""
        encode = self.encode
        return [None if value is None else encode(value) for value in values]

    def encode_parts(self, values: Sequence[Any]) -> tuple[list[Any], str]:
        """Return what is stored of each value of a column without its ending, and that, which all of them share."""
        return self.encode_all(values), ""

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else self.encode(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else self.decode(value)

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], Any] | None:
        # The same on the way in; an implementation with a conversion of its own comes after ours.
        if self.never_null or self.impl_instance.bind_processor(dialect) is not None:
            return super().bind_processor(dialect)
        encode = self.encode
        return lambda value: None if value is None else encode(value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any]:
        # One call per value in place of three: a claim of 500 reads some 10,000 of them.
        if self.never_null:
            return lambda value: self.process_result_value(value, dialect)
        decode = self.decode
        return lambda value: None if value is None else decode(value)


class Instant(Coded):
    """An aware datetime, as microseconds since the epoch."""

    impl = sa.BigInteger
    cache_ok = True

    def encode(self, value: Any) -> int:
        return micros(value)

    def decode(self, value: Any) -> datetime:
        return from_micros(value)


class Milliseconds(Coded):
    """A timedelta, cut to milliseconds."""

    impl = sa.BigInteger
    cache_ok = True

    def encode(self, value: Any) -> int:
        return milliseconds(value)

    def decode(self, value: Any) -> timedelta:
        return timedelta(0, 0, 0, value)


class Wall(Coded):
    """A naive local time, which remembers the pass where local time repeats."""

    impl = sa.String(32)
    cache_ok = True

    def encode(self, value: Any) -> str:
        return f"{value.isoformat()}{_FOLDED if value.fold else ''}"

    def decode(self, value: Any) -> datetime:
        return datetime.fromisoformat(value.removesuffix(_FOLDED)).replace(fold=value.endswith(_FOLDED))


class Day(Coded):
    """A date."""

    impl = sa.String(10)
    cache_ok = True

    def encode(self, value: Any) -> str:
        return str(value.isoformat())

    def decode(self, value: Any) -> date:
        return date.fromisoformat(value)


class Word(Coded):
    """A member of an enumeration, as its word."""

    impl = sa.String(32)
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind
        self._members: dict[str, StrEnum] = {member.value: member for member in kind}
        self._words: dict[Any, str] = {member: member.value for member in kind}

    def encode(self, value: Any) -> str:
        word = self._words.get(value)
        return self.kind(value).value if word is None else word

    def decode(self, value: Any) -> StrEnum:
        return self._members[value]


class Plain(Coded):
    """A word out of no closed list, which may be given as a member of an enumeration."""

    impl = NAME
    cache_ok = True

    def encode(self, value: Any) -> str:
        return str(value)

    def decode(self, value: Any) -> str:
        return str(value)


class ForAll(Plain):
    """A platform, or None for all of them, which is stored as no text: a key has no NULL."""

    cache_ok = True
    never_null = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        return value or ""

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        return value or None


class Prose(Coded):
    """Text somebody else wrote: a log message, a reason."""

    cache_ok = True

    def encode(self, value: Any) -> str:
        return clean(value)

    def decode(self, value: Any) -> str:
        return str(value)


class Json(Coded):
    """Plain data."""

    cache_ok = True
    comparable = False
    mutable = True

    def encode(self, value: Any) -> str:
        return to_json(value)

    def encode_all(self, values: Sequence[Any]) -> list[Any]:
        return [None if value is None else to_json(value) for value in values]

    def encode_parts(self, values: Sequence[Any]) -> tuple[list[Any], str]:
        own, shared = _names(values)
        if not shared:
            return self.encode_all(values), ""
        ending = to_json({name: values[0][name] for name in shared})
        return [to_json({name: value[name] for name in own})[:-1] for value in values], f",{ending[1:]}"

    def decode(self, value: Any) -> Any:
        return orjson.loads(value)


def _names(values: Sequence[Any]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of several objects: of the items each has of its own, and of those they all end with.

    Of any values but objects with the same names in the same order there are none; their order is what was written.
    """
    if not all(type(value) is dict for value in (values[0], values[-1])):
        return (), ()
    names = tuple(values[0])
    # What the ends do not share need not be looked for in between: of objects with nothing in common no more is read.
    if not _shared(names, (values[0], values[-1])) or not all(type(value) is dict for value in values):
        return (), ()
    if not all(map(names.__eq__, map(tuple, values))):
        return (), ()
    count = _shared(names, values)
    return names[: len(names) - count], names[len(names) - count :]


def _shared(names: Sequence[str], values: Sequence[dict[str, Any]]) -> int:
    """Return how many items the objects have in common at their end; the first is each one's own in any case."""
    count = 0
    for name in reversed(names[1:]):
        item = values[0][name]
        items = [value.get(name, _NOTHING) for value in values]
        # Equal is not enough: 1 and True are, and are not written alike. Equal texts are.
        if items.count(item) < len(items) if type(item) is str else not all(map(is_, items, repeat(item))):
            break
        count += 1
    return count


class Words(Json):
    """A tuple of words, as a JSON array."""

    cache_ok = True

    def decode(self, value: Any) -> tuple[str, ...]:
        return tuple(orjson.loads(value))


class Retry(Coded):
    """A retry policy, in its wire shape."""

    cache_ok = True

    def encode(self, value: Any) -> str:
        return _retry_text(value)

    def decode(self, value: Any) -> RetryPolicy:
        return _retry(value)


class Definition(Coded):
    """A job's definition, in its wire shape."""

    cache_ok = True
    comparable = False
    mutable = True

    def encode(self, value: Any) -> str:
        return to_json(definition_to_wire(value))

    def encode_all(self, values: Sequence[Any]) -> list[Any]:
        beginnings, ending = self.encode_parts(values)
        return [f"{beginning}{ending}" for beginning in beginnings]

    def encode_parts(self, values: Sequence[Any]) -> tuple[list[Any], str]:
        own, shared = definitions_to_wire(values)
        if not own[0] or not shared:
            return [to_json({**one, **shared}) for one in own], ""
        return [to_json(one)[:-1] for one in own], f",{to_json(shared)[1:]}"

    def decode(self, value: Any) -> JobDefinition:
        return definition_from_record(orjson.loads(value))


@lru_cache(256)
def _retry_text(retry: RetryPolicy) -> str:
    return to_json(retry_to_wire(retry))


@lru_cache(256)
def _retry(text: str) -> RetryPolicy:
    return retry_from_wire(orjson.loads(text))


#: A number the database gives, rising with each row. SQLite does so only for its own INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
