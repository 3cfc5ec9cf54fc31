"""What goes on in a PostgreSQL server besides our work: open transactions, what holds dead rows, tables not vacuumed.

Everything is read from the server's own statistics. A user without ``pg_monitor`` sees its own sessions alone; how many
it does not see is told.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mainspring.ports.activity import Activity, DeadRows, Holder, OpenTransaction

#: Most of anything that is returned.
MOST = 20

_TRANSACTIONS = sa.text("""
    SELECT pid, usename, application_name,
           extract(epoch FROM clock_timestamp() - xact_start),
           CASE WHEN state LIKE 'idle in transaction%' THEN extract(epoch FROM clock_timestamp() - state_change) END
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'
    ORDER BY xact_start LIMIT :most
""")
_HIDDEN = sa.text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query = '<insufficient privilege>'
""")
_HOLDERS = sa.text("""
    SELECT kind, name, since FROM (
        SELECT CASE WHEN backend_type = 'walsender' THEN 'standby' ELSE 'transaction' END AS kind,
               'process ' || pid || ' of ' || coalesce(usename, backend_type)
                   || coalesce(' (' || nullif(application_name, '') || ')', '') AS name,
               age(backend_xmin) AS since
        FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type NOT LIKE 'autovacuum%'
        UNION ALL
        SELECT 'prepared transaction', gid, age(transaction) FROM pg_prepared_xacts
        UNION ALL
        SELECT 'replication slot', slot_name, age(xmin) FROM pg_replication_slots WHERE xmin IS NOT NULL
    ) AS holding
    ORDER BY since DESC LIMIT :most
""")
# The threshold as autovacuum reckons it: the table's own settings where it has any, else the server's.
_DEAD = sa.text("""
    SELECT s.relname, s.n_dead_tup,
           ceil(coalesce(own.threshold, current_setting('autovacuum_vacuum_threshold')::float)
                + coalesce(own.factor, current_setting('autovacuum_vacuum_scale_factor')::float)
                * greatest(c.reltuples, 0)) AS due_at,
           extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))
    FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid,
         LATERAL (SELECT max(value) FILTER (WHERE name = 'autovacuum_vacuum_threshold') AS threshold,
                         max(value) FILTER (WHERE name = 'autovacuum_vacuum_scale_factor') AS factor
                  FROM (SELECT option_name AS name, option_value::float AS value
                        FROM pg_options_to_table(c.reloptions) WHERE option_name LIKE 'autovacuum_vacuum_%') AS options
                 ) AS own
    WHERE s.schemaname = current_schema() AND s.n_dead_tup > 0
    ORDER BY s.n_dead_tup DESC LIMIT :most
""")
_VACUUMS = sa.text("SELECT current_setting('autovacuum')::bool AND current_setting('track_counts')::bool")


def activity(connection: sa.Connection) -> Activity:
    """Return the picture of this moment."""

    def rows(question: Any) -> list[Any]:
        return list(connection.execute(question, {"most": MOST}))

    dead = [DeadRows(name, count, int(due_at), _span(ago)) for name, count, due_at, ago in rows(_DEAD)]
    return Activity(
        tuple(
            OpenTransaction(pid, user or "", application or "", timedelta(seconds=float(age)), _span(idle))
            for pid, user, application, age, idle in rows(_TRANSACTIONS)
        ),
        tuple(Holder(kind, name, int(since)) for kind, name, since in rows(_HOLDERS)),
        tuple(one for one in dead if one.dead > one.due_at),
        bool(connection.execute(_VACUUMS).scalar()),
        int(connection.execute(_HIDDEN).scalar() or 0),
    )


def _span(seconds: Any) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=float(seconds))
