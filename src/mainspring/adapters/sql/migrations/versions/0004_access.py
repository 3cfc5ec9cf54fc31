"""Who may do what: platforms as rows, API keys, the audit trail, kept answers, bulk operations.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _key(length: int) -> sa.String:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, and tell a platform's description and age."""
    with op.batch_alter_table("platforms") as platforms:
        platforms.add_column(sa.Column("description", sa.Text()))
        platforms.add_column(sa.Column("created_at", sa.BigInteger()))
    op.create_table(
        "api_keys",
        sa.Column("id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("old_digest", sa.String(64)),
        sa.Column("old_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_platform", "api_keys", ["platform_id", "id"])
    op.create_table(
        "audit_entries",
        sa.Column("id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("via", sa.String(32), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_platform", "audit_entries", ["platform_id", "id"])
    op.create_table(
        "answers",
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("principal", _key(300), nullable=False),
        sa.Column("key", _key(256), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("etag", sa.String(64)),
        sa.PrimaryKeyConstraint("platform_id", "principal", "key", name="pk_answers"),
    )
    op.create_index("ix_answers_created_at", "answers", ["created_at"])
    op.create_table(
        "operations",
        sa.Column("id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("total_at_least", sa.Boolean(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("errors", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
    )
    op.create_index("ix_operations_platform", "operations", ["platform_id", "id"])
    running = sa.text("status = 'running'")
    op.create_index(
        "ix_operations_running", "operations", ["next_at", "id"], sqlite_where=running, postgresql_where=running
    )
