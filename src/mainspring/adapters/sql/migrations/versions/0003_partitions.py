"""Partition the past on PostgreSQL, so that retention drops tables; count admissions apart.

What is live lies in one small table with the indexes the engine asks; what has ended, been published or been decided
lies in partitions by time. SQLite keeps its tables, and loses an index nobody asks any more.

There is no way back but a backup: 0002 cannot tell which of the rows moved meanwhile were its own.

Revision ID: 0003
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from mainspring.adapters.sql.partitions import LEDGER, prepare

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NAME = sa.String(300).with_variant(postgresql.VARCHAR(300, collation="C"), "postgresql")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: The days of a partition made here, and how far back they are made where there are rows: as far as is kept by default.
_DAYS, _BACK, _LEDGER_BACK = 7, timedelta(days=35), timedelta(days=400)

_LIVE = "'pending', 'queued', 'running', 'retrying', 'waiting'"
_ENDED = "'success', 'failed', 'cancelled', 'expired'"
# Vacuumed by the number of dead rows, however many there are alive, and without pausing: each row dies twice in its
# short life.
_HOT = (
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,"
    " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000, vacuum_truncate = off"
)
_LIKE = "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE"


def upgrade() -> None:
    """Bring a database from 0002."""
    _count_admissions()
    if op.get_bind().dialect.name == "postgresql":
        _partition()
    else:
        op.create_index("ix_decisions_decided", "decisions", ["decided_at"])
        op.drop_index("ix_executions_queued_at", "executions")


def _count_admissions() -> None:
    op.create_table(
        "admissions",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("platform_id", _NAME, nullable=False),
        sa.Column("queue", _NAME, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_admissions"),
    )
    op.create_index("ix_admissions_queue", "admissions", ["platform_id", "queue", "at"])
    # What a rate has let through within its time still counts.
    op.execute(
        "INSERT INTO admissions (platform_id, queue, at, count)"
        " SELECT e.platform_id, e.queue, e.queued_at, count(*) FROM executions AS e"
        " JOIN limits AS l ON l.platform_id = e.platform_id AND l.scope = 'queue' AND l.name = e.queue"
        " WHERE l.rate IS NOT NULL AND e.queued_at >= (SELECT max(queued_at) FROM executions) - l.rate_per * 1000000"
        " GROUP BY e.platform_id, e.queue, e.queued_at"
    )


# -- PostgreSQL ----------------------------------------------------------------------------------------------------


def _partition() -> None:
    for table in ("executions", "attempts", "execution_logs", "outbox", "decisions"):
        _set_aside(table)
    _executions()
    _by_execution("attempts", "fence")
    _by_execution("execution_logs", "line")
    _outbox()
    _decisions()
    _do("ALTER TABLE jobs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)")
    _do("ALTER TABLE job_stats SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)")
    _fill()
    for table in ("executions", "attempts", "execution_logs", "outbox", "decisions"):
        _do(f"DROP TABLE {table}_0002")


def _set_aside(table: str) -> None:
    """Take a table's name and those of its indexes away from it."""
    inspector = sa.inspect(op.get_bind())
    for index in inspector.get_indexes(table):
        if not index.get("duplicates_constraint"):
            _do(f"DROP INDEX {index['name']}")
    for constraint in [inspector.get_pk_constraint(table), *inspector.get_unique_constraints(table)]:
        _do(f"ALTER TABLE {table} DROP CONSTRAINT {constraint['name']}")
    _do(f"ALTER TABLE {table} RENAME TO {table}_0002")


def _executions() -> None:
    _do(
        f"CREATE TABLE executions (LIKE executions_0002 {_LIKE}, CONSTRAINT pk_executions PRIMARY KEY (id, status))"
        " PARTITION BY LIST (status)"
    )
    _do("CREATE INDEX ix_executions_job ON executions (job_id, id) WHERE job_id IS NOT NULL")
    _do("CREATE INDEX ix_executions_retry_of ON executions (retry_of, id) WHERE retry_of IS NOT NULL")
    _do(
        f"CREATE TABLE executions_live PARTITION OF executions FOR VALUES IN ({_LIVE})"
        f" WITH (fillfactor = 60, {_HOT}, toast.autovacuum_vacuum_scale_factor = 0,"
        " toast.autovacuum_vacuum_threshold = 2000, toast.autovacuum_vacuum_cost_delay = 0)"
    )
    # The condition is always true, but only a statement about one platform can tell: no other may think of this index.
    _live("status", "platform_id, status, id", "platform_id IS NOT NULL")
    turn = "priority DESC, turn_at, id"
    unqueued = "status IN ('pending', 'retrying')"
    _live("queued", f"queue, {turn}", "status = 'queued'")
    _live("free", "available_at", f"{unqueued} AND blocked_by IS NULL")
    _live("blocked", f"platform_id, blocked_by, held_job, {turn}", f"{unqueued} AND blocked_by IS NOT NULL")
    _live("under_way", "worker_id", "status IN ('running', 'waiting')")
    occupying = "status IN ('queued', 'running')"
    _live("key", "platform_id, concurrency_key, id", f"{occupying} AND concurrency_key IS NOT NULL")
    to_start = "status IN ('pending', 'queued', 'retrying')"
    _live("start_deadline", "start_deadline_at", f"{to_start} AND start_deadline_at IS NOT NULL")
    _do(f"CREATE TABLE executions_ended PARTITION OF executions FOR VALUES IN ({_ENDED}) PARTITION BY RANGE (id)")
    _do("CREATE INDEX ix_executions_ended_status ON executions_ended (platform_id, status, id)")
    _do("CREATE INDEX ix_executions_ended_platform ON executions_ended (platform_id, id)")
    # Rows come in the order they end, for which this kind of index is all but free.
    _do("CREATE INDEX ix_executions_ended_finished ON executions_ended USING brin (finished_at) WITH (autosummarize)")
    _do("CREATE TABLE executions_ended_default PARTITION OF executions_ended DEFAULT")
    _do("CREATE INDEX ix_executions_ended_default_finished ON executions_ended_default (finished_at)")


def _live(name: str, columns: str, where: str) -> None:
    _do(f"CREATE INDEX ix_executions_{name} ON executions_live ({columns}) WHERE {where}")


def _by_execution(table: str, number: str) -> None:
    key = f"CONSTRAINT pk_{table} PRIMARY KEY (execution_id, {number})"
    _do(f"CREATE TABLE {table} (LIKE {table}_0002 {_LIKE}, {key}) PARTITION BY RANGE (execution_id)")
    _do(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")


def _outbox() -> None:
    _do(f"CREATE TABLE outbox (LIKE outbox_0002 {_LIKE}) PARTITION BY LIST ((published_at IS NULL))")
    _do("ALTER SEQUENCE outbox_number_seq OWNED BY outbox.number")
    _do(f"CREATE TABLE outbox_unpublished PARTITION OF outbox FOR VALUES IN (true) WITH (fillfactor = 90, {_HOT})")
    _do("ALTER TABLE outbox_unpublished ADD CONSTRAINT pk_outbox PRIMARY KEY (number)")
    _do("ALTER TABLE outbox_unpublished ADD CONSTRAINT uq_outbox_id UNIQUE (id)")
    _do("CREATE TABLE outbox_published PARTITION OF outbox FOR VALUES IN (false) PARTITION BY RANGE (published_at)")
    _do("CREATE INDEX ix_outbox_published_id ON outbox_published (id)")
    _do("CREATE TABLE outbox_published_default PARTITION OF outbox_published DEFAULT")
    _do("CREATE INDEX ix_outbox_published ON outbox_published_default (published_at)")


def _decisions() -> None:
    key = "CONSTRAINT pk_decisions PRIMARY KEY (job_id, scheduled_at, key)"
    _do(f"CREATE TABLE decisions (LIKE decisions_0002 {_LIKE}, {key}) PARTITION BY RANGE (scheduled_at)")
    _do("CREATE INDEX ix_decisions_range ON decisions (job_id, key, scheduled_at) WHERE until_at IS NOT NULL")
    _do("CREATE INDEX ix_decisions_execution ON decisions (execution_id) WHERE execution_id IS NOT NULL")
    _do("CREATE INDEX ix_decisions_decided ON decisions USING brin (decided_at) WITH (autosummarize)")
    _do("CREATE TABLE decisions_default PARTITION OF decisions DEFAULT")
    _do("CREATE INDEX ix_decisions_default_decided ON decisions_default (decided_at)")


def _fill() -> None:
    """Make the partitions there are rows for, and put the rows into them."""
    connection = op.get_bind()
    now = _instant(connection.scalar(sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")))
    oldest = connection.scalar(
        sa.text(
            "SELECT least((SELECT min(created_at) FROM executions_0002), (SELECT min(published_at) FROM outbox_0002),"
            " (SELECT min(scheduled_at) FROM decisions_0002))"
        )
    )
    first = now if oldest is None else min(now, _instant(oldest))
    prepare(connection, now, _DAYS, since=max(first, now - _LEDGER_BACK), families=[LEDGER])
    prepare(connection, now, _DAYS, since=max(first, now - _BACK))
    _give_pages()
    for table in ("executions", "attempts", "execution_logs", "outbox", "decisions"):
        names = [c["name"] for c in sa.inspect(connection).get_columns(f"{table}_0002") if not c.get("computed")]
        columns = ", ".join(f'"{name}"' for name in names)
        _do(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_0002")  # noqa: S608 - our own names


def _instant(value: Any) -> datetime:
    return _EPOCH + timedelta(microseconds=int(value))


def _give_pages() -> None:
    """Leave a page in what is often empty: to read a table of no pages would look cheap, and be planned for good."""
    _do(
        "INSERT INTO executions_live (id, platform_id, handler, status, cause, created_at, available_at, handler_type,"
        " payload, chain_depth, priority, queue, timeout_ms, retry, buffered, attempt, failures, losses, fence)"
        " VALUES ('', '', '', 'pending', '', 0, 0, '', '', 0, 0, '', 0, '', false, 0, 0, 0, 0)"
    )
    _do("INSERT INTO outbox_unpublished (id, type, platform_id, at, source, data) VALUES ('', '', '', 0, '', '')")
    _do("DELETE FROM executions_live WHERE id = ''")
    _do("DELETE FROM outbox_unpublished WHERE id = ''")


def _do(statement: str) -> None:
    op.get_bind().execute(sa.text(statement))
