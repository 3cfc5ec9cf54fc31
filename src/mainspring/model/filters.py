"""The filter language of lists, the same in API, CLI and dashboard: text in, a tree of plain values out.

    status IN (failed,cancelled) AND created_at >= -24h AND labels.team = growth

``AND`` may be left out between conditions. ``AND`` and ``OR`` side by side need parentheses: readers disagree about
which binds tighter, so neither does. What a tree means is in `matches` for values, in the SQL adapter for rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from mainspring.errors import FilterError
from mainspring.model.nearest import nearest

LENGTH_LIMIT, DEPTH_LIMIT, TERM_LIMIT, PATH_LIMIT = 4_000, 16, 100, 8


class Kind(StrEnum):
    """What a field holds, and so what it may be compared with and how."""

    TEXT = "text"
    WORD = "word"
    NUMBER = "number"
    INSTANT = "instant"
    BOOLEAN = "boolean"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Field:
    """One field a list may be filtered by.

    ``attribute`` is where a row has it, with dots into plain data. ``words`` are all its values, if they are few.
    ``sortable``: it may be sorted by. ``headline``: a bare word is looked for in it. ``scan``: looking at it reads
    every row, which is refused unless asked for.
    """

    kind: Kind
    attribute: str
    words: tuple[str, ...] = ()
    sortable: bool = False
    headline: bool = False
    scan: bool = False


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition. ``op``: ``=``, ``<``, ``<=``, ``>``, ``>=``, ``~`` (contains), ``^=`` (prefix) or ``in``.

    ``path`` leads further into a map. ``value`` has the field's own type (a tuple of such for ``in``); None is null.
    """

    field: str
    op: str
    value: Any
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """What does not match ``part``, unknown values included."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """What matches every part."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What matches at least one part."""

    parts: tuple[Node, ...]


Node = Compare | Not | And | Or

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<sign>[(),]) | (?P<op>!=|<=|>=|\^=|[=<>~:]) | (?P<text>"(?:[^"\\]|\\.)*") | (?P<word>[^\s(),"=<>~:^!]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[^\s(),"]+))', re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]{1,64})*")
_OFFSET = re.compile(r"([+-])(\d{1,9})(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_ORDERED = (Kind.NUMBER, Kind.INSTANT, Kind.TEXT)


def parse_filter(text: str, fields: Fields, *, now: datetime) -> Node | None:
    """Read a filter over ``fields``; None for one without conditions. ``now`` is what ``-24h`` counts from.

    Raises:
        FilterError: With the place, what is wrong there, and how to mend it.

    >>> fields = {"status": Field(Kind.WORD, "status", words=("failed", "success")), "n": Field(Kind.NUMBER, "n")}
    >>> parse_filter("status = failed n > 3", fields, now=datetime(2026, 3, 1, tzinfo=UTC))
    And(parts=(Compare(field='status', op='=', value='failed', path=()), Compare(field='n', op='>', value=3, path=())))
    """
    if len(text) > LENGTH_LIMIT:
        raise FilterError(f"is longer than {LENGTH_LIMIT} characters", at=LENGTH_LIMIT)
    if not text.strip():
        return None
    return _Parser(text, fields, now).whole()


class _Parser:
    """Recursive descent, bounded in depth and in the number of conditions."""

    def __init__(self, text: str, fields: Fields, now: datetime) -> None:
        self._text, self._fields, self._now = text, fields, now
        self._at = 0
        self._terms = 0

    def whole(self) -> Node:
        node = self._conditions(0)
        if self._peek() is not None:
            raise self._error("an unexpected ')'", fix="Remove it, or open it before")
        return node

    def _peek(self) -> re.Match[str] | None:
        if not self._text[self._at :].strip():
            return None
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise self._error("cannot be read from here on", fix='Put text with signs in double quotes: "a!b"')
        return found

    def _take(self, match: re.Match[str]) -> None:
        self._at = match.end()

    def _error(self, problem: str, *, at: int | None = None, fix: str | None = None, code: str = "") -> FilterError:
        return FilterError(problem, at=self._at if at is None else at, fix=fix, code=code)

    def _conditions(self, depth: int) -> Node:
        """Read conditions up to a closing parenthesis or the end: all joined by AND, or all by OR."""
        if depth > DEPTH_LIMIT:
            raise self._error(f"is nested deeper than {DEPTH_LIMIT} levels")
        parts = [self._unary(depth)]
        joint: str | None = None
        while (token := self._peek()) is not None and token["sign"] != ")":
            word = token["word"] if token["word"] in ("AND", "OR") else None
            if word is not None:
                self._take(token)
            if joint is not None and joint != (word or "AND"):
                fix = "Put one of them in parentheses: a AND (b OR c)"
                raise self._error("AND and OR side by side", at=token.start(), fix=fix, code="ambiguous_filter")
            joint = word or "AND"
            parts.append(self._unary(depth))
        if len(parts) == 1:
            return parts[0]
        return Or(tuple(parts)) if joint == "OR" else And(tuple(parts))

    def _unary(self, depth: int) -> Node:
        negated = False
        while (token := self._peek()) is not None and token["word"] == "NOT":
            self._take(token)
            negated = not negated
        if token is None:
            raise self._error("a condition is missing at the end")
        if token["word"] and token["word"].startswith("-") and len(token["word"]) > 1:
            self._at = token.start("word") + 1
            return _negated(self._atom(depth), not negated)
        if token["word"] == "-":
            self._take(token)
            negated = not negated
        return _negated(self._atom(depth), negated)

    def _atom(self, depth: int) -> Node:
        token = self._peek()
        if token is None:
            raise self._error("a condition is missing at the end")
        if token["sign"] == "(":
            self._take(token)
            node = self._conditions(depth + 1)
            closing = self._peek()
            if closing is None:
                raise self._error("a ')' is missing")
            self._take(closing)
            return node
        self._terms += 1
        if self._terms > TERM_LIMIT:
            raise self._error(f"has more than {TERM_LIMIT} conditions")
        if token["text"] is not None:
            self._take(token)
            return self._headline(_unquoted(token["text"]))
        if token["word"] is None or token["word"] in ("AND", "OR"):
            raise self._error(f"a condition is missing before {token[0].strip()!r}", at=token.start())
        self._take(token)
        return self._condition(token["word"], token.start("word"))

    def _condition(self, name: str, at: int) -> Node:
        following = self._peek()
        if following is not None and following["op"] is not None:
            self._take(following)
            field, path = self._field(name, at)
            return self._compare(name, field, path, following["op"], at)
        if following is not None and following["word"] == "IN":
            field, path = self._field(name, at)
            if field.kind is Kind.MAP and not path:
                raise self._error(f"{name} is a map", at=at, fix=f"Write {name}.KEY IN (a, b)")
            self._take(following)
            values = tuple(self._typed(name, field, value, at) for value in self._values())
            return Compare(name.partition(".")[0] if path else name, "in", values, path)
        return self._headline(name)

    def _field(self, name: str, at: int) -> tuple[Field, tuple[str, ...]]:
        if name in self._fields:
            return self._fields[name], ()
        if not _NAME.fullmatch(name):
            raise self._error(f"{name[:60]!r} is not the name of a field", at=at)
        first, *path = name.split(".")
        field = self._fields.get(first)
        if field is None or field.kind is not Kind.MAP or not path:
            near = nearest(name, self._fields)
            fix = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(self._fields)}"
            raise self._error(f"there is no field {name[:60]!r}", at=at, fix=fix, code="filter_field_unknown")
        if len(path) > PATH_LIMIT:
            raise self._error(f"leads deeper than {PATH_LIMIT} levels", at=at)
        return field, tuple(path)

    def _compare(self, name: str, field: Field, path: tuple[str, ...], op: str, at: int) -> Node:
        value = self._typed(name, field, self._value(), at, path)
        first = name.partition(".")[0] if path else name
        if field.kind is Kind.MAP and not path:
            if op != ":" or not isinstance(value, str) or not _NAME.fullmatch(value):
                raise self._error(f"{name} is a map", at=at, fix=f"Write {name}.KEY = VALUE, or {name}:KEY")
            return Not(Compare(first, "=", None, (value,)))
        op = "=" if op == ":" else op
        if op == "!=":
            return Not(Compare(first, "=", value, path))
        ordered = field.kind in _ORDERED and not path
        textual = field.kind in (Kind.TEXT, Kind.WORD) or bool(path)
        if (op in "<=>=" and op != "=" and not ordered) or (op in ("~", "^=") and not textual) or _unordered(op, value):
            raise self._error(f"{op} does not fit {name}, which is a {field.kind}", at=at, code="filter_operator")
        return Compare(first, op, value, path)

    def _headline(self, text: str) -> Node:
        parts = tuple(Compare(name, "~", text) for name, field in self._fields.items() if field.headline)
        if not parts:
            raise self._error(f"a bare word {text[:40]!r} has nothing to be looked for in", fix="Write FIELD = VALUE")
        return parts[0] if len(parts) == 1 else Or(parts)

    def _value(self) -> str | _Quoted:
        found = _VALUE.match(self._text, self._at)
        if found is None:
            raise self._error("a value is missing")
        if (found["word"] or "").startswith("'"):
            raise self._error("a value is put in double quotes", at=found.start("word"), fix='Write FIELD = "VALUE"')
        self._take(found)
        return _Quoted(_unquoted(found["text"])) if found["text"] is not None else found["word"]

    def _values(self) -> list[str | _Quoted]:
        token = self._peek()
        if token is None or token["sign"] != "(":
            raise self._error("IN needs a list", fix="Write IN (a, b)")
        self._take(token)
        values = []
        while True:
            values.append(self._value())
            self._terms += 1
            if self._terms > TERM_LIMIT:
                raise self._error(f"has more than {TERM_LIMIT} conditions")
            token = self._peek()
            if token is None or token["sign"] not in (",", ")"):
                raise self._error("the list after IN does not end", fix="Write IN (a, b)")
            self._take(token)
            if token["sign"] == ")":
                return values

    def _typed(
        self, name: str, field: Field, given: str | _Quoted, at: int, path: tuple[str, ...] = ()
    ) -> str | int | float | bool | datetime | None:
        if given == "null" and not isinstance(given, _Quoted):
            return None
        value = str(given)
        if "\x00" in value:
            raise self._error(f"{name}: a null character matches nothing", at=at)
        if path or field.kind in (Kind.TEXT, Kind.MAP):
            return value
        try:
            return _READERS[field.kind](value, field, self._now)
        except ValueError as error:
            raise self._error(f"{name}: {value[:40]!r} {error}", at=at, code="filter_value") from None


class _Quoted(str):
    """A value in quotes: never null."""

    __slots__ = ()


def _negated(node: Node, negated: bool) -> Node:
    if not negated:
        return node
    return node.part if isinstance(node, Not) else Not(node)


def _unordered(op: str, value: Any) -> bool:
    return value is None and op not in ("=", "in")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _word(value: str, field: Field, now: datetime) -> str:
    if field.words and value not in field.words:
        raise ValueError(f"is not one of: {', '.join(field.words)}")
    return value


def _number(value: str, field: Field, now: datetime) -> int | float:
    if re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", value):
        return float(value)
    raise ValueError("is not a number")


def _boolean(value: str, field: Field, now: datetime) -> bool:
    if value not in ("true", "false"):
        raise ValueError("is not true or false")
    return value == "true"


def _instant(value: str, field: Field, now: datetime) -> datetime:
    if value == "now":
        return now
    offset = _OFFSET.fullmatch(value)
    try:
        if offset is not None:
            seconds = int(offset[2]) * _UNITS[offset[3]]
            return now + timedelta(seconds=-seconds if offset[1] == "-" else seconds)
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not an instant: write 2026-03-01T09:00:00Z, now, or an offset such as -24h") from None


_READERS = {Kind.WORD: _word, Kind.NUMBER: _number, Kind.BOOLEAN: _boolean, Kind.INSTANT: _instant}
