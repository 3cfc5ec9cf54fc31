"""PostgreSQL's partitions by time: which tables have them, which there are, and how those to come are made.

A partition takes the rows of some days by what the row's key says of time: the instant inside a UUIDv7, or an instant
itself. Its name carries its first day and the day after its last. What no partition takes lies in the table's default
one, from where it moves when its partition is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from mainspring.adapters.sql.types import from_micros, micros
from mainspring.model.ids import id_floor, id_time

_EPOCH = date(1970, 1, 1)
_DAY = timedelta(days=1)
#: Periods made beyond the present one. Decisions come slowly: one table of them has at least 30 days.
AHEAD, LEDGER_DAYS = 2, 30
#: The advisory lock of whoever lays the past out anew; the next number is the migration's.
LAYING_OUT = 7730940

_CHILDREN = sa.text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)"
    " FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:parent)"
)
_COLUMNS = sa.text(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
    " AND attgenerated = '' ORDER BY attnum"
)
_BOUND = re.compile(r"FROM \((?:'([^']*)'|MINVALUE)\) TO \((?:'([^']*)'|MAXVALUE)\)")


@dataclass(frozen=True, slots=True)
class Family:
    """A table partitioned by time: by which column, and how an instant is written in it and read out of it."""

    parent: str
    column: str
    write: Callable[[datetime], object]
    read: Callable[[str], datetime]
    least_days: int = 1

    @property
    def rest(self) -> str:
        """The partition of what none of the others takes."""
        return f"{self.parent}_default"


def _by_id(parent: str, column: str) -> Family:
    return Family(parent, column, id_floor, id_time)


def _by_instant(parent: str, column: str, least_days: int = 1) -> Family:
    return Family(parent, column, micros, lambda text: from_micros(int(text)), least_days)


ENDED = _by_id("executions_ended", "id")
ATTEMPTS = _by_id("attempts", "execution_id")
LOGS = _by_id("execution_logs", "execution_id")
PUBLISHED = _by_instant("outbox_published", "published_at")
LEDGER = _by_instant("decisions", "scheduled_at", LEDGER_DAYS)
FAMILIES = (ENDED, ATTEMPTS, LOGS, PUBLISHED, LEDGER)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The time from ``low``, inclusive, to ``high``, exclusive."""

    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition there is."""

    family: Family
    name: str
    span: Span


def missing(there: Iterable[Span], since: datetime, until: datetime, days: int) -> list[Span]:
    """Return what to make so that all from ``since`` to ``until`` is covered, on a grid of ``days`` since the epoch.

    What is covered stays as it is, whatever its grid was: new spans fit between.

    >>> first = datetime(2026, 3, 1, tzinfo=UTC)
    >>> [(span.low.day, span.high.day) for span in missing([], first, first + timedelta(days=9), 7)]
    [(26, 5), (5, 12)]
    >>> [(span.low.day, span.high.day) for span in missing([Span(first, first + timedelta(days=2))], first, first, 7)]
    [(26, 1), (3, 5)]
    """
    there = sorted(there)
    start = _EPOCH + (since.date() - _EPOCH) // _DAY // days * days * _DAY
    found: list[Span] = []
    while (low := _midnight(start)) <= until:
        start += days * _DAY
        found += _without(Span(low, _midnight(start)), there)
    return found


def _without(span: Span, there: Sequence[Span]) -> list[Span]:
    """Return the parts of a span that none of ``there``, in their order, covers."""
    left, low = [], span.low
    for other in there:
        if other.high <= low or other.low >= span.high:
            continue
        if other.low > low:
            left.append(Span(low, other.low))
        low = max(low, other.high)
    if low < span.high:
        left.append(Span(low, span.high))
    return left


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def partitions(connection: sa.Connection, family: Family) -> list[Partition]:
    """Return a table's partitions by time, oldest first; the default one is none of them."""
    found = []
    for name, bound in connection.execute(_CHILDREN, {"parent": family.parent}):
        if match := _BOUND.search(bound):
            low, high = match.groups()
            span = Span(
                datetime.min.replace(tzinfo=UTC) if low is None else family.read(low),
                datetime.max.replace(tzinfo=UTC) if high is None else family.read(high),
            )
            found.append(Partition(family, name, span))
    return sorted(found, key=lambda partition: partition.span)


def prepare(
    connection: sa.Connection,
    now: datetime,
    days: int,
    *,
    since: datetime | None = None,
    families: Sequence[Family] = FAMILIES,
) -> list[str]:
    """Make the partitions missing from ``since`` (now) to `AHEAD` periods after now; return their names.

    Rows that had to go to the default partition meanwhile are moved. The caller holds `LAYING_OUT`.
    """
    made: list[str] = []
    for family in families:
        period = max(days, family.least_days)
        there = [partition.span for partition in partitions(connection, family)]
        wanted = missing(there, since or now, now + AHEAD * period * _DAY, period)
        made += [_make(connection, family, span) for span in wanted]
    return made


def _make(connection: sa.Connection, family: Family, span: Span) -> str:
    name = f"{family.parent}_{span.low:%Y%m%d}_{span.high:%Y%m%d}"
    bounds = {"low": family.write(span.low), "high": family.write(span.high)}
    table, rest = quoted(name), quoted(family.rest)
    connection.execute(sa.text(f"CREATE TABLE {table} (LIKE {family.parent} INCLUDING ALL EXCLUDING IDENTITY)"))
    # Nobody may add to the default partition a row of this time between the two steps; attaching would be refused.
    connection.execute(sa.text(f"LOCK TABLE {rest} IN ACCESS EXCLUSIVE MODE"))
    within = f"{family.column} >= :low AND {family.column} < :high"
    move_rows(connection, family.rest, name, within, bounds)
    attach = f"ALTER TABLE {family.parent} ATTACH PARTITION {table} FOR VALUES FROM ('{{low}}') TO ('{{high}}')"
    connection.execute(sa.text(attach.format(**bounds)))
    return name


def move_rows(
    connection: sa.Connection, source: str, target: str, where: str, parameters: Mapping[str, object]
) -> None:
    """Move rows from one table to another that is like it."""
    columns = ", ".join(quoted(row[0]) for row in connection.execute(_COLUMNS, {"table": source}))
    statement = (
        f"WITH moved AS (DELETE FROM {quoted(source)} WHERE {where} RETURNING {columns})"  # noqa: S608 - our names
        f" INSERT INTO {quoted(target)} ({columns}) SELECT {columns} FROM moved"
    )
    connection.execute(sa.text(statement), parameters)


def quoted(name: str) -> str:
    """Return a name as it is written in a statement."""
    return '"' + name.replace('"', '""') + '"'
