"""Row-level security in PostgreSQL: the second wall between platforms, behind the conditions of the queries.

The engine owns the tables and is bound by none of it. A transaction confined to a platform (`Tx.scope`) takes on the
role `API_ROLE`, which sees and writes the rows of that platform alone, whatever its statements say. Raised at the end
of each migration, so that a table made by a later one is never left outside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from mainspring.adapters.sql.dialect import API_ROLE
from mainspring.adapters.sql.tables import metadata

logger = logging.getLogger("mainspring")

_POLICY = "mainspring_platform"
_MINE = "nullif(current_setting('mainspring.platform', true), '')"
_BY_PLATFORM = f"platform_id = {_MINE}"

#: What belongs to a platform by what it hangs on, or by another name.
_OTHERWISE: Mapping[str, str] = {
    "platforms": f"id = {_MINE}",
    "handlers": f"platform_id IN ('', {_MINE})",
    "attempts": "EXISTS (SELECT 1 FROM executions e WHERE e.id = execution_id)",
    "execution_logs": "EXISTS (SELECT 1 FROM executions e WHERE e.id = execution_id)",
    "transitions": "EXISTS (SELECT 1 FROM executions e WHERE e.id = execution_id)",
    "job_revisions": "EXISTS (SELECT 1 FROM jobs j WHERE j.id = job_id)",
    "job_stats": "EXISTS (SELECT 1 FROM jobs j WHERE j.id = job_id)",
    "notes": "name <> 'callback_secret'",
}
#: Of no platform, and readable: who runs where.
_SHARED = frozenset({"workers", "dispatchers"})
#: Of no platform, and none of a request's business.
_HIDDEN = frozenset({"leases", "vacancies"})
#: Grows and never changes.
_APPEND_ONLY = frozenset({"audit_entries"})


def condition_of(table: sa.Table) -> str | None:
    """Return which rows of a table a platform has; None for a table of no platform.

    Raises:
        LookupError: For a table nobody has said this of: it must be decided before there is a row in it.
    """
    if table.name in _SHARED | _HIDDEN:
        return None
    if table.name in _OTHERWISE:
        return _OTHERWISE[table.name]
    if "platform_id" in table.c:
        return _BY_PLATFORM
    raise LookupError(f"table {table.name}: say in walls.py which platform its rows belong to")


def rights_of(table: sa.Table) -> str | None:
    """Return what the role of requests may do with a table; None for nothing."""
    if table.name in _HIDDEN:
        return None
    if table.name in _SHARED or table.name == "notes":
        return "SELECT"
    return "SELECT, INSERT" if table.name in _APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"


def raise_walls(connection: sa.Connection) -> bool:
    """Make role, rights and policies where they are missing; False where we may not make the role.

    A database user that may not make roles needs one statement of an administrator's, which is logged.
    """
    if not _has_role(connection):
        connection.execute(sa.text(_MAKE_ROLE))
        if not _has_role(connection):
            logger.warning(
                "row-level security is not in force: this database user may not make roles. Let an administrator run "
                "`CREATE ROLE %s NOLOGIN; GRANT %s TO CURRENT_USER`, then `mainspring migrate` again",
                API_ROLE,
                API_ROLE,
            )
            return False
    schema = str(connection.execute(sa.text("SELECT quote_ident(current_schema())")).scalar())
    for statement in _statements(_guarded(connection), schema):
        connection.execute(sa.text(statement))
    return True


def _statements(guarded: frozenset[str], schema: str) -> Iterable[str]:
    for table in metadata.sorted_tables:
        rights, condition = rights_of(table), condition_of(table)
        if rights is not None:
            yield f"GRANT {rights} ON {table.name} TO {API_ROLE}"
        if condition is not None and table.name not in guarded:
            yield f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY"
            yield f"DROP POLICY IF EXISTS {_POLICY} ON {table.name}"
            yield f"CREATE POLICY {_POLICY} ON {table.name} USING ({condition}) WITH CHECK ({condition})"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {API_ROLE}"
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {API_ROLE}"


def _guarded(connection: sa.Connection) -> frozenset[str]:
    """Return the tables whose policy is there: making it again would lock them for nothing."""
    rows = connection.execute(
        sa.text(
            "SELECT p.tablename FROM pg_policies p JOIN pg_class c ON c.oid = to_regclass(p.tablename) "
            "WHERE p.policyname = :policy AND p.schemaname = current_schema() AND c.relrowsecurity"
        ),
        {"policy": _POLICY},
    )
    return frozenset(row[0] for row in rows)


def _has_role(connection: sa.Connection) -> bool:
    found = connection.execute(
        sa.text("SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = :role"),
        {"role": API_ROLE},
    ).scalar()
    return bool(found)


#: Other databases of the server may be migrated at the same moment, and a user may lack the right: neither is an error.
_MAKE_ROLE = f"""
DO $$ BEGIN
  CREATE ROLE {API_ROLE} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$;
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{API_ROLE}') THEN
    EXECUTE format('GRANT {API_ROLE} TO %I', session_user);
  END IF;
EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN NULL;
END $$
"""
