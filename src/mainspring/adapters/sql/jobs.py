"""Jobs, their revisions and their rollups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import Field, Packed, cells, pack, shape
from mainspring.adapters.sql.dialect import ROWS, Dialect
from mainspring.adapters.sql.session import SqlTable, bounded_count
from mainspring.adapters.sql.tables import (
    archived_job,
    due_job,
    event_job,
    is_,
    job_revisions,
    job_stats,
    jobs,
    kept_job,
    paused_job,
)
from mainspring.adapters.sql.types import micros, to_json
from mainspring.errors import ConflictError
from mainspring.model.job import Job, JobCursor, JobStats, JobStatus, JobType
from mainspring.model.wire import definition_to_wire

_JOB, _STATS = shape(Job, jobs), shape(JobStats, job_stats)
_j, _r = jobs.c, job_revisions.c

_FIELDS = (*_JOB.fields, *(Field(name, _j[name].type) for name in ("name", "type", "handler")))
_WITHOUT = (
    Field("job_id", _j.id.type),
    Field("made", _j.scheduled_count.type),
    *(Field(name, _j[name].type) for name in ("cursor_at", "next_run_at", "cursor_wall", "tzdb_version")),
)
_WITH_STATUS = (*_WITHOUT, *(Field(name, _j[name].type) for name in ("status", "status_reason")))

_BY_ID = _JOB.select.where(_j.id == bindparam("job"), _j.platform_id == bindparam("platform"))
_BY_NAME = _JOB.select.where(_j.platform_id == bindparam("platform"), _j.name == bindparam("name"), kept_job)
_ARCHIVED = (
    _JOB.select.where(_j.platform_id == bindparam("platform"), _j.name == bindparam("name"), archived_job)
    .order_by(_j.id.desc())
    .limit(1)
)
_LOCKED = {statement: statement.with_for_update() for statement in (_BY_ID, _BY_NAME, _ARCHIVED)}
# What planning changes of an active job, and what every edit has to: by these it is known again. The rest takes long to
# read, or never changes, or is the same for all that are active.
_SEEN = (
    *("id", "revision", "updated_at", "status_reason", "scheduled_count"),
    *("cursor_at", "next_run_at", "cursor_wall", "tzdb_version"),
)
_seen = attrgetter(*_SEEN)
_UPCOMING = (
    sa.select(*(_j[name] for name in _SEEN))
    .where(due_job, _j.next_run_at > bindparam("now"), _j.next_run_at <= bindparam("until"))
    .where(sa.or_(_j.next_run_at > bindparam("after_at"), _j.id > bindparam("after_id")))
    .where(_j.next_run_at >= bindparam("after_at"))
    .order_by(_j.next_run_at, _j.id)
    .limit(bindparam("limit"))
)
NEXT_DUE = sa.select(_j.next_run_at).where(due_job).order_by(_j.next_run_at).limit(1)
_UNDECIDED = sa.select(_j.next_run_at).where(due_job, _j.next_run_at <= bindparam("now"))
_UNDECIDED_OF = _UNDECIDED.where(_j.platform_id == bindparam("platform"))
_EVENT_JOBS = _JOB.select.where(event_job, _j.platform_id == bindparam("platform")).order_by(_j.name)
# Too many rather than too few: the text may name something else, and _ is any sign to LIKE. The schedule tells.
_WITH_NAME = _JOB.select.where(
    kept_job,
    _j.platform_id == bindparam("platform"),
    sa.cast(_j.definition, sa.Text).contains(bindparam("quoted", type_=sa.Text)),
).order_by(_j.name)
NEXT_RESUMED = sa.select(_j.paused_until).where(paused_job).order_by(_j.paused_until).limit(1)
_PAUSE_OVER = (
    _JOB.select.where(paused_job, _j.paused_until <= bindparam("now"))
    .order_by(_j.paused_until)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_OUTDATED = (
    _JOB.select.where(
        is_(_j.status, "active"),
        is_(_j.type, "cron", "recurring", "one_time"),
        _j.tzdb_version != bindparam("tzdb"),
        _j.id > bindparam("after"),
    )
    .order_by(_j.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_COUNT = bounded_count(sa.select(_j.id).where(kept_job, _j.platform_id == bindparam("platform")))
_REVISIONS = (
    sa.select(_r.revision, _r.at, _r.actor, _r.definition)
    .where(_r.job_id == bindparam("job"), _r.revision < bindparam("before"))
    .order_by(_r.revision.desc())
    .limit(bindparam("limit"))
)
#: Above every revision.
_NEWEST = 2**31 - 1
_SAVE = (
    jobs.update()
    .where(_j.id == bindparam("id_"), _j.revision == bindparam("expected"))
    .values({_j[name]: bindparam(f"{name}_", type_=kind) for name, kind in _FIELDS if name != "id"})
)


class SqlJobTable(SqlTable):
    """`JobTable` in SQL."""

    def add(self, new: Sequence[Job], *, actor: str) -> None:
        names = ", ".join(repr(job.name) for job in new[:3])
        self._put(jobs, _FIELDS, [_values(job) for job in new], conflict=f"there is a job {names} already")
        self._keep_revisions(new, actor)

    def taken(self, platform_id: str, names: Sequence[str]) -> set[str]:
        if not names:
            return set()
        return {row[0] for row in self._all(_named(self._dialect), platform=platform_id, names=to_json(names))}

    def save(self, job: Job, *, expected_revision: int, actor: str) -> bool:
        values = {f"{name}_": value for (name, _), value in zip(_FIELDS, _values(job), strict=True)}
        try:
            if not self._run(_SAVE, {**values, "expected": expected_revision}).rowcount:
                return False
        except sa.exc.IntegrityError as error:
            raise ConflictError(f"there is a job {job.name!r} already") from error
        if job.revision > expected_revision:
            self._keep_revisions([job], actor)
        return True

    def _keep_revisions(self, changed: Sequence[Job], actor: str) -> None:
        what = ", ".join(f"{job.name!r} has a revision {job.revision}" for job in changed[:3])
        parameters = {"ids": to_json([job.id for job in changed]), "actor": actor}
        self._session.put(_keep(self._dialect), parameters, f"job {what} already")

    def get(self, platform_id: str, name_or_id: str, *, lock: bool = False) -> Job | None:
        where = {"platform": platform_id, "job": name_or_id, "name": name_or_id}
        # What does not look like an id is none, and need not be asked for as one.
        for statement in (_BY_ID, _BY_NAME, _ARCHIVED)[not _may_be_id(name_or_id) :]:
            row = self._first(_LOCKED[statement] if lock else statement, **where)
            if row is not None:
                return _JOB.row(row)
        return None

    def by_id(self, job_ids: Sequence[str]) -> dict[str, Job]:
        if not job_ids:
            return {}
        return {job.id: job for job in _JOB.rows(self._all(_by_ids(self._dialect), ids=to_json(job_ids)))}

    def leading_on(self, job_ids: Sequence[str]) -> dict[str, Job]:
        if not job_ids:
            return {}
        rows = self._all(_texts(self._dialect), ids=to_json(job_ids))
        return self.by_id([job_id for job_id, text in rows if _leads_on(text)])

    def find(
        self,
        platform_id: str,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,
        handler: str | None = None,
        name_contains: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        archived = status is JobStatus.ARCHIVED
        statement = _JOB.select.where(_j.platform_id == platform_id, archived_job if archived else kept_job)
        if status is not None and not archived:
            statement = statement.where(_j.status == status)
        if type is not None:
            statement = statement.where(_j.type == type)
        if handler is not None:
            statement = statement.where(_j.handler == handler)
        if name_contains is not None:
            statement = statement.where(sa.func.lower(_j.name).contains(name_contains.lower(), autoescape=True))
        if after is not None:
            statement = statement.where(_j.name > after)
        return _JOB.rows(self._all(statement.order_by(_j.name, _j.id).limit(sa.literal(limit))))

    def due(self, limit: int, *, known: Mapping[str, Job] = {}) -> list[Job]:
        # PostgreSQL has its now already, and we perhaps not yet.
        where = {"now": micros(self._session.now)} if self._dialect.one_writer else {}
        rows = self._all(_due(self._dialect, seen=bool(known)), limit=limit, **where)
        return self._whole(rows, known) if known else _JOB.rows(rows)

    def upcoming(
        self, until: datetime, limit: int, *, after: tuple[datetime, str] | None = None, known: Mapping[str, Job] = {}
    ) -> list[Job]:
        now = self._session.now
        at, job_id = after or (now, "")
        where = {"now": now, "until": until, "after_at": at, "after_id": job_id, "limit": limit}
        return self._whole(self._all(_UPCOMING, **where), known)

    def _whole(self, rows: Sequence[tuple[Any, ...]], known: Mapping[str, Job]) -> list[Job]:
        """Return the jobs of rows of `_SEEN`; those that are not stored as they are known are read whole."""
        found = {}
        for row in rows:
            job = known.get(row[0])
            if job is not None and _seen(job) == row:
                found[job.id] = job
        found |= self.by_id([row[0] for row in rows if row[0] not in found])
        return [found[row[0]] for row in rows]

    def undecided_at(self, platform_id: str | None = None) -> datetime | None:
        of = {} if platform_id is None else {"platform": platform_id}
        statement = (_UNDECIDED_OF if of else _UNDECIDED).order_by(_j.next_run_at).limit(1)
        found: datetime | None = self._scalar(statement, now=self._session.now, **of)
        return found

    def next_due_at(self) -> datetime | None:
        at: datetime | None = self._scalar(NEXT_DUE)
        return at

    def advance(self, cursors: Sequence[JobCursor]) -> None:
        going_on = [c for c in cursors if c.status is JobStatus.ACTIVE and c.status_reason is None]
        # A status that stays need not be written, and then most indexes need not be touched.
        left = set(self._run(*_advancing(self._dialect, going_on, with_status=False)).scalars()) if going_on else set()
        others = [c for c in cursors if c.job_id not in left]
        if others:
            self._session.put(*_advancing(self._dialect, others, with_status=True))

    def event_jobs(self, platform_id: str) -> list[Job]:
        return _JOB.rows(self._all(_EVENT_JOBS, platform=platform_id))

    def with_calendar(self, platform_id: str, calendar: str, limit: int) -> list[Job]:
        found = _JOB.rows(self._all(_WITH_NAME, platform=platform_id, quoted=to_json(calendar)))
        return [job for job in found if calendar in job.definition.calendars][:limit]

    def lock(self, job_ids: Sequence[str]) -> list[Job]:
        return _JOB.rows(self._all(_locked(self._dialect), ids=to_json(job_ids))) if job_ids else []

    def paused_until_passed(self, limit: int) -> list[Job]:
        return _JOB.rows(self._all(_PAUSE_OVER, now=self._session.now, limit=limit))

    def outdated(self, tzdb_version: str, limit: int, *, after: str | None = None) -> list[Job]:
        return _JOB.rows(self._all(_OUTDATED, tzdb=tzdb_version, limit=limit, after=after or ""))

    def count(self, platform_id: str, most: int) -> int:
        return int(self._scalar(_COUNT, platform=platform_id, most=most))

    def revisions(
        self, job_id: str, *, before: int | None = None, limit: int = 50
    ) -> list[tuple[int, datetime, str, Mapping[str, Any]]]:
        rows = self._all(_REVISIONS, job=job_id, before=_NEWEST if before is None else before, limit=limit)
        return [(number, at, actor, definition_to_wire(definition)) for number, at, actor, definition in rows]

    def stats(self, job_ids: Sequence[str], *, lock: bool = False) -> dict[str, JobStats]:
        if not job_ids:
            return {}
        found = self._stats(job_ids, lock)
        missing = [job_id for job_id in job_ids if job_id not in found] if lock else []
        if missing:
            blank = {job_id: JobStats(job_id) for job_id in sorted(missing)}
            # There is no row to hold yet: two who count a job's first executions must not both start from nothing. Of
            # writers one at a time none has to be kept away.
            ours = self._dialect.one_writer or self._made(list(blank.values()))
            found |= blank if ours else self._stats(missing, lock)
        return found

    def _made(self, blank: Sequence[JobStats]) -> bool:
        """Tell whether all of these rows are this transaction's own."""
        return self._insert_values(_STATS, blank, on_conflict="keep") == len(blank)

    def _stats(self, job_ids: Sequence[str], lock: bool) -> dict[str, JobStats]:
        rows = self._all(_stats_of(self._dialect, lock), ids=to_json(job_ids))
        return {stats.job_id: stats for stats in _STATS.rows(rows)}

    def put_stats(self, stats: Sequence[JobStats]) -> None:
        last = {row.job_id: row for row in stats}
        self._insert_values(_STATS, list(last.values()), on_conflict="replace")


def _values(job: Job) -> tuple[Any, ...]:
    definition = job.definition
    return (*_JOB.values_of(job), definition.name, definition.type, definition.handler)


@lru_cache(4)
def _due(dialect: Dialect, *, seen: bool) -> Any:
    due = (
        _JOB.select.where(due_job, _j.next_run_at <= dialect.now)
        .order_by(_j.next_run_at, _j.id)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )
    return due.with_only_columns(*(_j[name] for name in _SEEN)) if seen else due


@lru_cache(2)
def _by_ids(dialect: Dialect) -> Any:
    return _JOB.select.where(dialect.member(_j.id, "ids"))


@lru_cache(2)
def _texts(dialect: Dialect) -> Any:
    return sa.select(_j.id, sa.type_coerce(_j.definition, sa.Text)).where(dialect.member(_j.id, "ids"))


def _leads_on(text: str) -> bool:
    # A third of what it takes to make a definition of it, which most jobs of a batch are read for in vain.
    fields = orjson.loads(text)
    return any(fields.get(name) for name in ("on_success", "on_failure", "pause_after_failures"))


@lru_cache(2)
def _keep(dialect: Dialect) -> Any:
    # From the rows just written: the definitions need not be sent a second time.
    stored = sa.select(_j.id, _j.revision, _j.updated_at, bindparam("actor", type_=sa.Text), _j.definition)
    return job_revisions.insert().from_select(
        [_r.job_id, _r.revision, _r.at, _r.actor, _r.definition], stored.where(dialect.member(_j.id, "ids"))
    )


@lru_cache(2)
def _named(dialect: Dialect) -> Any:
    return sa.select(_j.name).where(_j.platform_id == bindparam("platform"), dialect.member(_j.name, "names"), kept_job)


@lru_cache(2)
def _locked(dialect: Dialect) -> Any:
    # In one order whoever asks, so that no two wait for each other.
    return _JOB.select.where(dialect.member(_j.id, "ids")).order_by(_j.id).with_for_update()


@lru_cache(4)
def _stats_of(dialect: Dialect, lock: bool) -> Any:
    wanted = _STATS.select.where(dialect.member(job_stats.c.job_id, "ids"))
    return wanted.order_by(job_stats.c.job_id).with_for_update() if lock else wanted


def _advancing(dialect: Dialect, cursors: Sequence[JobCursor], *, with_status: bool) -> tuple[Any, dict[str, Any]]:
    """Return the UPDATE that moves cursors; one that leaves the status alone tells which it was right for."""
    fields = _WITH_STATUS if with_status else _WITHOUT
    packed = pack(fields, list(map(attrgetter(*(field.name for field in fields)), cursors)))
    if packed.varying == fields[:1]:
        # All move alike, as jobs do that were to run once: their ids are all there is to say of each.
        parameters = packed.parameters | {ROWS: to_json([cursor.job_id for cursor in cursors])}
        return _advance_alike(dialect, packed.shared, with_status), parameters
    return _advance(dialect, packed.shared, packed.varying, with_status), packed.parameters


@lru_cache(128)
def _advance(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...], with_status: bool) -> Any:
    given = dict(cells(dialect, Packed(shared, varying, {})))
    return _advanced(dialect.same_key(_j.id, given.pop("job_id")), given, with_status)


@lru_cache(32)
def _advance_alike(dialect: Dialect, shared: tuple[Field, ...], with_status: bool) -> Any:
    return _advanced(dialect.member(_j.id, ROWS), dict(cells(dialect, Packed(shared, (), {}))), with_status)


def _advanced(these: Any, given: dict[str, Any], with_status: bool) -> Any:
    made, cursor_at = given.pop("made"), given["cursor_at"]
    values = {_j.scheduled_count: _j.scheduled_count + made, **{_j[name]: value for name, value in given.items()}}
    statement = jobs.update().where(these, _j.cursor_at <= cursor_at).values(values)
    if with_status:
        return statement
    return statement.where(is_(_j.status, "active"), _j.status_reason.is_(None)).returning(_j.id)


def _may_be_id(text: str) -> bool:
    return len(text) == 36 and text[8] == text[13] == "-"
