"""Who may do what, and what they did: keys, the audit trail, answers to be repeated, operations."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import is_, metadata, partial, required
from mainspring.adapters.sql.types import ID, NAME, ForAll, Instant, Json, Prose, Word, Words, key
from mainspring.model.access import Role
from mainspring.model.admin import OperationStatus

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", ID, primary_key=True),
    required("platform_id", ForAll),
    required("name", Prose),
    required("role", Word(Role)),
    required("digest", sa.String(64)),
    required("created_at", Instant),
    required("created_by", Prose),
    required("scopes", Words),
    sa.Column("expires_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Column("last_used_at", Instant),
    sa.Column("old_digest", sa.String(64)),
    sa.Column("old_until", Instant),
)
sa.Index("ix_api_keys_platform", api_keys.c.platform_id, api_keys.c.id)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("id", ID, primary_key=True),
    required("platform_id", NAME),
    required("at", Instant),
    required("actor", Prose),
    required("via", sa.String(32)),
    required("action", sa.String(64)),
    required("target", Prose),
    sa.Column("address", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("before", Json),
    sa.Column("after", Json),
)
sa.Index("ix_audit_entries_platform", audit_entries.c.platform_id, audit_entries.c.id)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("principal", NAME, primary_key=True),
    sa.Column("key", key(256), primary_key=True),
    required("fingerprint", sa.String(64)),
    required("created_at", Instant, index=True),
    required("status", sa.Integer),
    required("body", sa.Text),
    sa.Column("etag", sa.String(64)),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", ID, primary_key=True),
    required("platform_id", NAME),
    required("kind", sa.String(64)),
    required("status", Word(OperationStatus)),
    required("actor", Prose),
    required("created_at", Instant),
    required("updated_at", Instant),
    required("next_at", Instant),
    required("params", Json),
    required("total", sa.BigInteger),
    required("total_at_least", sa.Boolean),
    required("done", sa.BigInteger),
    required("failed", sa.BigInteger),
    sa.Column("cursor", sa.Text),
    required("errors", Words),
    sa.Column("reason", Prose),
    sa.Column("finished_at", Instant),
)
running_operation = is_(operations.c.status, "running")
sa.Index("ix_operations_platform", operations.c.platform_id, operations.c.id)
partial("ix_operations_running", operations.c.next_at, operations.c.id, where=running_operation)
