"""Jobs, their revisions and their rollups."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql import tables as t
from mainspring.adapters.sql.connection import SqlConnection
from mainspring.adapters.sql.dialect import batch, insert_batch, pack
from mainspring.adapters.sql.values import INSTANT, SPAN, WALL, Codec, enum, from_json, from_micros, to_json, to_micros
from mainspring.errors import ConflictError
from mainspring.model.execution import Status
from mainspring.model.job import Job, JobCursor, JobDefinition, JobStats, JobStatus, JobType
from mainspring.model.wire import definition_from_wire, definition_to_wire

_J = t.jobs.c
_DUE = sa.text("status = 'active' AND next_run_at IS NOT NULL")
_TIMED = (JobType.CRON.value, JobType.RECURRING.value, JobType.ONE_TIME.value)
#: The columns a job is read from; what stands beside the definition is there to be searched.
_READ = (
    "id",
    "platform_id",
    "definition",
    "status",
    "revision",
    "created_at",
    "updated_at",
    "cursor_at",
    "next_run_at",
    "cursor_wall",
    "tzdb_version",
    "scheduled_count",
    "status_reason",
    "paused_at",
    "paused_until",
)
_CODEC: Codec[Job] = Codec(
    Job,
    _READ,
    status=enum(JobStatus),
    cursor_wall=WALL,
    **dict.fromkeys((n for n in _READ if n.endswith(("_at", "_until"))), INSTANT),
)
_COLUMNS = [_J[name] for name in _READ]
_WRITTEN = tuple(column.name for column in t.jobs.columns)
_STATS: Codec[JobStats] = Codec(
    JobStats,
    tuple(JobStats.__dataclass_fields__),
    last_run_at=INSTANT,
    last_status=enum(Status),
    duration=SPAN,
)
_STATS_COLUMNS = tuple("duration_ms" if name == "duration" else name for name in _STATS.columns)


class Definitions:
    """Parsed definitions by job and revision: ten thousand jobs may be due in one second, and few have changed."""

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, int], tuple[str, JobDefinition]] = OrderedDict()

    def of(self, job_id: str, revision: int, text: str) -> JobDefinition:
        """Return the definition that ``text`` is."""
        kept = self._kept.get((job_id, revision))
        # The text is compared as well: a revision that was rolled back may come again with another definition.
        if kept is not None and kept[0] == text:
            return kept[1]
        definition = definition_from_wire(from_json(text))
        self._kept[(job_id, revision)] = (text, definition)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return definition


class SqlJobTable:
    """`JobTable` in SQL."""

    def __init__(self, connection: SqlConnection, definitions: Definitions) -> None:
        self._sql, self._definitions = connection, definitions

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, job: Job, *, actor: str) -> None:
        with self._sql.conflicts(lambda: ConflictError(f"a job named {job.name!r} exists already")):
            self._sql.execute(t.jobs.insert(), self._row(job))
        self._revision(job, actor)

    def save(self, job: Job, *, expected_revision: int, actor: str) -> bool:
        statement = sa.update(t.jobs).where(_J.id == sa.bindparam("key"), _J.revision == expected_revision)
        with self._sql.conflicts(lambda: ConflictError(f"a job named {job.name!r} exists already")):
            changed = self._sql.execute(statement.returning(_J.id), {**self._row(job), "key": job.id}).first()
        if changed is None:
            return False
        if job.revision > expected_revision:
            self._revision(job, actor)
        return True

    def advance(self, cursors: Sequence[JobCursor]) -> None:
        if not cursors:
            return
        names = ("id", "cursor_at", "next_run_at", "cursor_wall", "tzdb_version", "scheduled_count", "status")
        columns = (*((name, _J[name].type) for name in names), ("status_reason", sa.Text()))
        rows, given = batch(self._sql.dialect, columns)
        cursor = sa.case((given["cursor_at"] > _J.cursor_at, given["cursor_at"]), else_=_J.cursor_at)
        values = {
            **{name: given[name] for name in ("next_run_at", "cursor_wall", "tzdb_version", "status")},
            "cursor_at": cursor,
            "scheduled_count": _J.scheduled_count + given["scheduled_count"],
            "status_reason": given["status_reason"],
        }
        statement = sa.update(t.jobs).values(values).where(_J.id == given["id"])
        self._sql.execute(
            statement,
            pack([
                [
                    c.job_id,
                    to_micros(c.cursor_at),
                    to_micros(c.next_run_at),
                    WALL[0](c.cursor_wall),
                    c.tzdb_version,
                    c.made,
                    c.status.value,
                    c.status_reason,
                ]
                for c in cursors
            ]),
        )

    def put_stats(self, stats: Sequence[JobStats]) -> None:
        if stats:
            statement = insert_batch(self._sql.dialect, t.job_stats, _STATS_COLUMNS, "replace")
            self._sql.execute(statement, pack(_STATS.rows(stats)))

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, platform_id: str, name_or_id: str, *, lock: bool = False) -> Job | None:
        """By id, else by name: what is not archived first, then the newest archived one."""
        archived = sa.case((_J.status == JobStatus.ARCHIVED.value, 1), else_=0)
        statement = (
            sa.select(*_COLUMNS)
            .where(_J.platform_id == platform_id, sa.or_(_J.id == name_or_id, _J.name == name_or_id))
            .order_by(sa.case((_J.id == name_or_id, 0), else_=1), archived, _J.id.desc())
            .limit(1)
        )
        row = self._sql.execute(statement.with_for_update() if lock else statement).first()
        return None if row is None else self._job(row)

    def by_id(self, job_ids: Sequence[str]) -> dict[str, Job]:
        if not job_ids:
            return {}
        rows = self._sql.execute(sa.select(*_COLUMNS).where(_J.id.in_(list(set(job_ids)))))
        return {job.id: job for job in map(self._job, rows)}

    def find(
        self,
        platform_id: str,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,  # noqa: A002 - the field's name
        handler: str | None = None,
        name_contains: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        statement = sa.select(*_COLUMNS).where(_J.platform_id == platform_id)
        if status is None:
            statement = statement.where(sa.text("status != 'archived'"))
        else:
            statement = statement.where(_J.status == status.value)
        if type is not None:
            statement = statement.where(_J.type == type.value)
        if handler is not None:
            statement = statement.where(_J.handler == handler)
        if name_contains is not None:
            statement = statement.where(_J.name.contains(name_contains, autoescape=True))
        if after is not None:
            statement = statement.where(_J.name > after)
        return [self._job(row) for row in self._sql.execute(statement.order_by(_J.name, _J.id).limit(limit))]

    def due(self, limit: int) -> list[Job]:
        return self._locked(_DUE, _J.next_run_at <= self._sql.micros, order=(_J.next_run_at, _J.id), limit=limit)

    def next_due_at(self) -> datetime | None:
        return from_micros(self._sql.execute(sa.select(sa.func.min(_J.next_run_at)).where(_DUE)).scalar())

    def event_jobs(self, platform_id: str) -> list[Job]:
        condition = sa.text("status = 'active' AND type = 'event'")
        statement = sa.select(*_COLUMNS).where(condition, _J.platform_id == platform_id).order_by(_J.name)
        return [self._job(row) for row in self._sql.execute(statement)]

    def paused_until_passed(self, limit: int) -> list[Job]:
        passed = _J.paused_until <= self._sql.micros
        return self._locked(sa.text("status = 'paused'"), passed, order=(_J.paused_until, _J.id), limit=limit)

    def outdated(self, tzdb_version: str, limit: int, *, after: str | None = None) -> list[Job]:
        other = sa.or_(_J.tzdb_version.is_(None), _J.tzdb_version != tzdb_version)
        beyond = _J.id > after if after is not None else sa.true()
        return self._locked(t.ACTIVE, _J.type.in_(_TIMED), other, beyond, order=(_J.id,), limit=limit)

    def count(self, platform_id: str) -> int:
        statement = sa.select(sa.func.count()).select_from(t.jobs)
        statement = statement.where(_J.platform_id == platform_id, sa.text("status != 'archived'"))
        return int(self._sql.execute(statement).scalar_one())

    def revisions(self, job_id: str) -> list[tuple[int, datetime, str, Mapping[str, Any]]]:
        r = t.job_revisions.c
        statement = sa.select(r.revision, r.created_at, r.actor, r.definition).where(r.job_id == job_id)
        rows = self._sql.execute(statement.order_by(r.revision.desc()))
        return [(row[0], self._sql.instant(row[1]), row[2], from_json(row[3])) for row in rows]

    def stats(self, job_ids: Sequence[str]) -> dict[str, JobStats]:
        if not job_ids:
            return {}
        columns = [t.job_stats.c[name] for name in _STATS_COLUMNS]
        rows = self._sql.execute(sa.select(*columns).where(t.job_stats.c.job_id.in_(list(job_ids))))
        return {stats.job_id: stats for stats in map(_STATS.read, rows)}

    # -- shared --------------------------------------------------------------------------------------------------

    def _locked(self, *conditions: Any, order: Sequence[Any], limit: int) -> list[Job]:
        statement = sa.select(*_COLUMNS).where(*conditions).order_by(*order).limit(limit)
        return [self._job(row) for row in self._sql.execute(statement.with_for_update(skip_locked=True))]

    def _job(self, row: Any) -> Job:
        job = _CODEC.read(row)
        text: Any = job.definition
        return replace(job, definition=self._definitions.of(job.id, job.revision, text))

    def _row(self, job: Job) -> dict[str, Any]:
        d = job.definition
        searched = {"name": d.name, "type": d.type.value, "handler": d.handler, "definition": _text(d)}
        return {
            name: searched[name] if name in searched else _CODEC.column(name, getattr(job, name)) for name in _WRITTEN
        }

    def _revision(self, job: Job, actor: str) -> None:
        row = {
            "job_id": job.id,
            "revision": job.revision,
            "created_at": to_micros(job.updated_at),
            "actor": actor,
            "definition": _text(job.definition),
        }
        self._sql.execute(t.job_revisions.insert(), row)


def _text(definition: JobDefinition) -> str:
    text = to_json(definition_to_wire(definition))
    assert text is not None
    return text
