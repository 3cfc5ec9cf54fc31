"""How the past is laid out. On SQLite it is not; on PostgreSQL it lies in partitions by time, which go as a whole.

Dropping a partition costs the same however many rows it has, and leaves nothing to vacuum. What of it must stay is
looked for while only this old partition is locked; the tables all work goes through are held for the moment it takes
to take the partition off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.partitions import (
    ATTEMPTS,
    ENDED,
    LAYING_OUT,
    LEDGER,
    LOGS,
    PUBLISHED,
    Family,
    Partition,
    move_rows,
    partitions,
    prepare,
    quoted,
)
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.types import micros, to_json
from mainspring.ports.store import Dropped, KeptSince

#: Most rows that are moved out of a partition to drop it: with more, it stays for now and is named.
KEPT_AT_MOST = 50_000

_ALONE = sa.text("SELECT pg_try_advisory_xact_lock(:number)").bindparams(number=LAYING_OUT)
# Reading an old partition may take its time; but nobody waits behind us for a lock that we cannot have at once.
_PATIENCE = sa.text("SELECT set_config('statement_timeout', '300000', true), set_config('lock_timeout', '2000', true)")

_ENDED_KEPT = """
    SELECT id FROM {table} WHERE finished_at >= :since
    UNION SELECT execution_id FROM dead_letters WHERE status = 'open' AND execution_id >= :low AND execution_id < :high
    UNION SELECT subject FROM outbox WHERE published_at IS NULL AND subject >= :low AND subject < :high
    LIMIT :most
"""
_STILL_THERE = "SELECT id FROM executions WHERE id >= :low AND id < :high LIMIT :most"
_DECIDED_SINCE = "SELECT 1 FROM {table} WHERE decided_at >= :since LIMIT :most"
_MEMBERS = "{column} IN (SELECT jsonb_array_elements_text(CAST(:ids AS jsonb)))"


@dataclass(frozen=True, slots=True)
class _Kept:
    """What of a partition must stay: how many rows or executions, and the condition that finds them."""

    count: int
    where: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


class SqlHistoryTable(SqlTable):
    """`HistoryTable` in SQL."""

    def prepare(self, days: int) -> Sequence[str]:
        return prepare(self._session.connection, self._session.now, days) if self._alone() else ()

    def drop(self, since: KeptSince) -> Dropped:
        dropped: list[str] = []
        crowded: dict[str, int] = {}
        if self._alone():
            # Executions first: what they leave behind stays for as long as they do.
            self._drop_one(ENDED, since.ended, self._kept_executions, dropped, crowded)
            self._drop_one(ATTEMPTS, since.ended, self._kept_of_executions, dropped, crowded)
            self._drop_one(LOGS, since.ended, self._kept_of_executions, dropped, crowded)
            self._drop_one(PUBLISHED, since.published, _nothing_kept, dropped, crowded)
            self._drop_one(LEDGER, since.decided, self._kept_decisions, dropped, crowded)
        return Dropped(tuple(dropped), crowded)

    def _alone(self) -> bool:
        """Tell whether nobody else lays the past out now; then nobody will until this transaction ends."""
        if self._dialect.one_writer or not self._session.connection.execute(_ALONE).scalar():
            return False
        self._session.connection.execute(_PATIENCE)
        return True

    def _drop_one(
        self, family: Family, before: datetime, keep: Keep, dropped: list[str], crowded: dict[str, int]
    ) -> None:
        """Drop the oldest partition that can be, of those whose time was over ``before`` an instant."""
        for partition in partitions(self._session.connection, family):
            if partition.span.high > before:
                return
            # So that nothing is added to it once we know what must stay.
            self._do(f"LOCK TABLE {quoted(partition.name)} IN SHARE MODE")
            kept = keep(partition, before)
            if kept.count <= KEPT_AT_MOST:
                self._drop(partition, kept)
                dropped.append(partition.name)
                return
            crowded[partition.name] = kept.count

    def _drop(self, partition: Partition, kept: _Kept) -> None:
        family, table = partition.family, quoted(partition.name)
        self._do(f"ALTER TABLE {family.parent} DETACH PARTITION {table}")
        if kept.count:
            move_rows(self._session.connection, partition.name, family.rest, kept.where, kept.parameters)
        self._do(f"DROP TABLE {table}")

    def _do(self, statement: str) -> None:
        self._session.connection.execute(sa.text(statement))

    # -- what must stay ------------------------------------------------------------------------------------------

    def _kept_executions(self, partition: Partition, before: datetime) -> _Kept:
        return self._ids(partition, _ENDED_KEPT.format(table=quoted(partition.name)), since=micros(before))

    def _kept_of_executions(self, partition: Partition, before: datetime) -> _Kept:
        return self._ids(partition, _STILL_THERE)

    def _ids(self, partition: Partition, statement: str, **parameters: Any) -> _Kept:
        family, span = partition.family, partition.span
        bounds = {"low": family.write(span.low), "high": family.write(span.high), "most": KEPT_AT_MOST + 1}
        ids = list(self._session.connection.execute(sa.text(statement), bounds | parameters).scalars())
        return _Kept(len(ids), _MEMBERS.format(column=family.column), {"ids": to_json(ids)})

    def _kept_decisions(self, partition: Partition, before: datetime) -> _Kept:
        statement = sa.text(_DECIDED_SINCE.format(table=quoted(partition.name)))
        parameters = {"since": micros(before)}
        rows = self._session.connection.execute(statement, {**parameters, "most": KEPT_AT_MOST + 1}).all()
        return _Kept(len(rows), "decided_at >= :since", parameters)


def _nothing_kept(partition: Partition, before: datetime) -> _Kept:
    return _Kept(0)


Keep = Callable[[Partition, datetime], _Kept]
