"""A span store in one SQLite file."""

from mainspring.adapters.traces_sqlite.store import Span, SqliteTraceStore

__all__ = ["Span", "SqliteTraceStore"]
