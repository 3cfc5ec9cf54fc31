"""Samples in one SQLite file."""

from mainspring.adapters.metrics_sqlite.sink import SqliteMetricsSink

__all__ = ["SqliteMetricsSink"]
