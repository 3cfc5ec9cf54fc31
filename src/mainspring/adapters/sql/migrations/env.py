"""What Alembic runs to migrate: on the connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from mainspring.adapters.sql.schema import VERSION_TABLE
from mainspring.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is the one there is
)
context.run_migrations()
