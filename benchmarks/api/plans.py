"""What one request asks of PostgreSQL: every statement, and of those that read, what the plan touched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass
class Statement:
    """One statement as it ran. ``rows`` it read, ``pages`` it touched, ``partitions`` and indexes it used."""

    text: str
    rows: int = 0
    pages: int = 0
    milliseconds: float = 0.0
    nodes: tuple[str, ...] = ()

    @property
    def scans(self) -> bool:
        """Whether it read a whole table."""
        return any(node.startswith("Seq Scan") for node in self.nodes)


@contextlib.contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Give the list of statements that run in this process while the block does; reads are explained as well."""
    found: list[Statement] = []
    cursor: Any = psycopg.Cursor
    plain = cursor.execute

    def execute(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        text = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else str(query)
        statement = Statement(" ".join(text.split()))
        found.append(statement)
        if statement.text.startswith("SELECT") and " FROM " in statement.text:
            _explain(self.connection, plain, text, params, statement)
        return plain(self, query, params, **options)

    cursor.execute = execute
    try:
        yield found
    finally:
        cursor.execute = plain


def _explain(connection: Any, plain: Any, text: str, params: Any, statement: Statement) -> None:
    with psycopg.Cursor(connection) as cursor:
        plain(cursor, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + text, params)
        ((told,),) = cursor.fetchall()
    plan = told[0]["Plan"]
    statement.milliseconds = told[0]["Execution Time"]
    statement.pages = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
    nodes = list(_scans(plan))
    statement.rows = sum(int(node["Actual Rows"] * node["Actual Loops"]) for node in nodes)
    statement.nodes = tuple(_named(node) for node in nodes if node["Actual Loops"])


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Relation Name" in plan:
        yield plan
    for part in plan.get("Plans", ()):
        yield from _scans(part)


def _named(node: dict[str, Any]) -> str:
    index = f" by {node['Index Name']}" if "Index Name" in node else ""
    return f"{node['Node Type']} on {node['Relation Name']}{index}"
