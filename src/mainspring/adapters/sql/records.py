"""The ledger, logs and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql import tables as t
from mainspring.adapters.sql.connection import SqlConnection
from mainspring.adapters.sql.dialect import insert_batch, pack
from mainspring.adapters.sql.values import BOOL, INSTANT, JSON, SPAN, Codec, enum, to_micros
from mainspring.errors import ConflictError
from mainspring.model.decision import Decision, Verdict
from mainspring.model.execution import DeadLetter, Failure, LogLine

_D = t.decisions.c
_DECISION: Codec[Decision] = Codec(
    Decision,
    tuple(Decision.__dataclass_fields__),
    decision=enum(Verdict),
    late=SPAN,
    reason=JSON,
    scheduled_at=INSTANT,
    decided_at=INSTANT,
    into_at=INSTANT,
    until_at=INSTANT,
)
_DECISION_COLUMNS = tuple("late_ms" if name == "late" else name for name in _DECISION.columns)
_DECISIONS = [_D[name] for name in _DECISION_COLUMNS]
_LINE: Codec[LogLine] = Codec(
    LogLine, tuple(LogLine.__dataclass_fields__), at=INSTANT, fields=JSON, external=BOOL
)
_LETTER: Codec[DeadLetter] = Codec(
    DeadLetter,
    tuple(DeadLetter.__dataclass_fields__),
    failure=enum(Failure),
    created_at=INSTANT,
    resolved_at=INSTANT,
    error=JSON,
)
_L = t.dead_letters.c
_LETTERS = [_L[name] for name in _LETTER.columns]


class SqlDecisionTable:
    """`DecisionTable` in SQL."""

    def __init__(self, connection: SqlConnection) -> None:
        self._sql = connection

    def add(self, decisions: Sequence[Decision]) -> None:
        if not decisions:
            return
        statement = insert_batch(self._sql.dialect, t.decisions, _DECISION_COLUMNS)
        with self._sql.conflicts(lambda: ConflictError("one of these instants has been decided already")):
            self._sql.execute(statement, pack(_DECISION.rows(decisions)))

    def get(self, job_id: str, scheduled_at: datetime, key: str = "") -> Decision | None:
        at = to_micros(scheduled_at)
        exact = sa.select(*_DECISIONS).where(_D.job_id == job_id, _D.scheduled_at == at, _D.key == key)
        row = self._sql.execute(exact).first()
        if row is None:
            covering = (
                sa.select(*_DECISIONS)
                .where(_D.job_id == job_id, _D.key == key, sa.text("until_at IS NOT NULL"))
                .where(_D.scheduled_at <= at, _D.until_at >= at)
                .order_by(_D.scheduled_at.desc())
                .limit(1)
            )
            row = self._sql.execute(covering).first()
        return None if row is None else _DECISION.read(row)

    def find(
        self, job_id: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        statement = sa.select(*_DECISIONS).where(_D.job_id == job_id)
        if since is not None:
            statement = statement.where(_D.scheduled_at >= to_micros(since))
        if until is not None:
            statement = statement.where(_D.scheduled_at < to_micros(until))
        statement = statement.order_by(_D.scheduled_at.desc(), _D.key.desc()).limit(limit)
        return [_DECISION.read(row) for row in self._sql.execute(statement)]

    def of_execution(self, execution_id: str) -> Decision | None:
        wanted = (sa.text("execution_id IS NOT NULL"), _D.execution_id == execution_id)
        row = self._sql.execute(sa.select(*_DECISIONS).where(*wanted).limit(1)).first()
        return None if row is None else _DECISION.read(row)


class SqlLogTable:
    """`LogTable` in SQL."""

    def __init__(self, connection: SqlConnection) -> None:
        self._sql = connection

    def append(self, execution_id: str, lines: Sequence[LogLine], *, fence: int | None, cap: int) -> int | None:
        logs, e = t.execution_logs, t.executions.c
        if fence is not None:
            current = self._sql.execute(sa.select(e.fence).where(e.id == execution_id)).scalar()
            if current != fence:
                return None
        statement = sa.select(sa.func.max(logs.c.line)).where(logs.c.execution_id == execution_id)
        last = int(self._sql.execute(statement).scalar() or 0)
        room = max(0, cap - last)
        kept = [
            replace(line, execution_id=execution_id, line=last + number)
            for number, line in enumerate(lines[:room], start=1)
        ]
        if kept:
            self._sql.execute(insert_batch(self._sql.dialect, logs, _LINE.columns), pack(_LINE.rows(kept)))
        return last + len(kept)

    def read(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        logs = t.execution_logs
        statement = (
            sa.select(*(logs.c[name] for name in _LINE.columns))
            .where(logs.c.execution_id == execution_id, logs.c.line > after)
            .order_by(logs.c.line)
            .limit(limit)
        )
        return [_LINE.read(row) for row in self._sql.execute(statement)]


class SqlDeadLetterTable:
    """`DeadLetterTable` in SQL."""

    def __init__(self, connection: SqlConnection) -> None:
        self._sql = connection

    def add(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            statement = insert_batch(self._sql.dialect, t.dead_letters, _LETTER.columns)
            with self._sql.conflicts(lambda: ConflictError("one of these executions is a dead letter already")):
                self._sql.execute(statement, pack(_LETTER.rows(letters)))

    def get(self, execution_id: str, *, lock: bool = False) -> DeadLetter | None:
        statement = sa.select(*_LETTERS).where(_L.execution_id == execution_id)
        row = self._sql.execute(statement.with_for_update() if lock else statement).first()
        return None if row is None else _LETTER.read(row)

    def find(
        self,
        platform_id: str,
        *,
        status: str | None = "open",
        job_id: str | None = None,
        handler: str | None = None,
        fingerprint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        wanted: tuple[tuple[Any, Any], ...] = (
            (_L.status, status),
            (_L.job_id, job_id),
            (_L.handler, handler),
            (_L.fingerprint, fingerprint),
        )
        statement = sa.select(*_LETTERS).where(_L.platform_id == platform_id)
        statement = statement.where(*(column == value for column, value in wanted if value is not None))
        if before_id is not None:
            statement = statement.where(_L.execution_id < before_id)
        rows = self._sql.execute(statement.order_by(_L.execution_id.desc()).limit(limit))
        return [_LETTER.read(row) for row in rows]

    def resolve(
        self, execution_id: str, *, status: str, reason: str | None = None, redriven_as: str | None = None
    ) -> bool:
        statement = (
            sa.update(t.dead_letters)
            .where(_L.execution_id == execution_id, _L.status == "open")
            .values(status=status, reason=reason, redriven_as=redriven_as, resolved_at=self._sql.micros)
            .returning(_L.execution_id)
        )
        return self._sql.execute(statement).first() is not None

    def count(self, platform_id: str) -> int:
        statement = sa.select(sa.func.count()).select_from(t.dead_letters)
        statement = statement.where(sa.text("status = 'open'"), _L.platform_id == platform_id)
        return int(self._sql.execute(statement).scalar_one())
