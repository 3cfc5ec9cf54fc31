"""Lists of every noun: a filter's tree as bound conditions, a keyset page as a condition on the order.

Nothing of a request becomes SQL text: fields come from the table of `mainspring.model.nouns`, values are bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.batches import Shape, shape
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.tables import (
    api_keys,
    audit_entries,
    dead_letters,
    decisions,
    executions,
    inbox,
    jobs,
    kept_job,
    operations,
    outbox,
    webhook_deliveries,
)
from mainspring.model.access import ApiKey
from mainspring.model.admin import AuditEntry, Operation
from mainspring.model.decision import Decision
from mainspring.model.events import Event
from mainspring.model.execution import DeadLetter, Execution
from mainspring.model.filters import And, Compare, Field, Kind, Node, Not, Or
from mainspring.model.ids import id_floor
from mainspring.model.job import Job
from mainspring.model.matches import lowered
from mainspring.model.nouns import LISTINGS, Noun
from mainspring.model.webhook import WebhookDelivery
from mainspring.ports.search import Search

_SHAPES: Mapping[Noun, Shape[Any]] = {
    Noun.JOBS: shape(Job, jobs),
    Noun.EXECUTIONS: shape(Execution, executions),
    Noun.DECISIONS: shape(Decision, decisions),
    Noun.DEAD_LETTERS: shape(DeadLetter, dead_letters),
    Noun.EVENTS: shape(Event, inbox),
    Noun.OUTBOX: shape(Event, outbox),
    Noun.AUDIT: shape(AuditEntry, audit_entries),
    Noun.OPERATIONS: shape(Operation, operations),
    Noun.KEYS: shape(ApiKey, api_keys),
    Noun.WEBHOOK_DELIVERIES: shape(WebhookDelivery, webhook_deliveries),
}
#: What stands for no value in an order: after every instant and every text.
_LAST_NUMBER = 2**63 - 1

_OPERATORS: Mapping[str, Any] = {
    "=": lambda column, value: column == value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}


class SqlSearchTable(SqlTable):
    """`SearchTable` in SQL."""

    def find(self, search: Search) -> list[Any]:
        found = _SHAPES[search.noun]
        statement = found.select.where(*self._conditions(search))
        ordered = [(self._sortable(search, order.field), order.descending) for order in search.order]
        if search.after is not None:
            statement = statement.where(_after(ordered, search.after))
        statement = statement.order_by(*(column.desc() if down else column.asc() for column, down in ordered))
        return found.rows(self._all(statement.limit(sa.literal(search.limit))))

    def count(self, search: Search, most: int) -> int:
        table = _SHAPES[search.noun].table
        some = sa.select(sa.literal(1)).select_from(table).where(*self._conditions(search)).limit(sa.literal(most + 1))
        return int(self._scalar(sa.select(sa.func.count()).select_from(some.subquery())))

    def _conditions(self, search: Search) -> list[sa.ColumnElement[bool]]:
        table = _SHAPES[search.noun].table
        conditions: list[sa.ColumnElement[bool]] = []
        if search.platform_id is not None:
            conditions.append(table.c.platform_id == search.platform_id)
        if search.noun is Noun.JOBS and not search.archived:
            conditions.append(kept_job)
        if search.noun is Noun.EXECUTIONS:
            conditions += [executions.c.id >= id_floor(at) for at in _created_since(search.where)]
        if search.where is not None:
            conditions.append(self._condition(search.noun, search.where))
        return conditions

    def _condition(self, noun: Noun, node: Node) -> sa.ColumnElement[bool]:
        match node:
            case Not(part):
                # What is not known matches nothing, so its opposite matches: NULL would match neither.
                return sa.not_(sa.func.coalesce(self._condition(noun, part), sa.false()))
            case And(parts):
                return sa.and_(*(self._condition(noun, part) for part in parts))
            case Or(parts):
                return sa.or_(*(self._condition(noun, part) for part in parts))
            case Compare():
                compared: sa.ColumnElement[bool] = self._compare(noun, node)
                return compared

    def _compare(self, noun: Noun, node: Compare) -> Any:
        field = LISTINGS[noun].fields[node.field]
        column = self._column(noun, field, node.path)
        value = node.value
        if node.op == "in":
            known = [item for item in value if item is not None]
            within = column.in_(known)
            return sa.or_(within, column.is_(None)) if None in value else within
        if value is None:
            return column.is_(None)
        if node.op == "~":
            return self._dialect.position(self._dialect.ascii_lower(column), lowered(value)) > 0
        if node.op == "^=":
            return sa.func.substr(sa.type_coerce(column, sa.Text), 1, len(value)) == value
        return _OPERATORS[node.op](column, value)

    def _column(self, noun: Noun, field: Field, path: tuple[str, ...]) -> Any:
        table = _SHAPES[noun].table
        first, *rest = field.attribute.split(".")
        if rest and rest[-1] in table.c:
            return table.c[rest[-1]]
        if not rest and not path:
            return table.c[first]
        return self._dialect.json_text(table.c[first], (*rest, *path))

    def _sortable(self, search: Search, name: str) -> Any:
        column = self._column(search.noun, LISTINGS[search.noun].fields[name], ())
        if LISTINGS[search.noun].fields[name].kind is not Kind.INSTANT:
            return column
        number = sa.type_coerce(column, sa.BigInteger)
        return sa.func.coalesce(number, _LAST_NUMBER) if column.nullable else number


def _after(ordered: list[tuple[Any, bool]], values: tuple[Any, ...]) -> sa.ColumnElement[bool]:
    """Return what comes strictly after: beyond the first value, or equal in it and beyond the second, and so on."""
    cases = []
    for index, (column, down) in enumerate(ordered):
        equal = [ordered[i][0] == _bound(values[i]) for i in range(index)]
        beyond = column < _bound(values[index]) if down else column > _bound(values[index])
        cases.append(sa.and_(*equal, beyond))
    if len(cases) == 1:
        return cases[0]
    # Said once more of the first column alone: an index begins there, and does not follow either case by itself.
    (first, down), bound = ordered[0], _bound(values[0])
    return sa.and_(first <= bound if down else first >= bound, sa.or_(*cases))


def _bound(value: Any) -> Any:
    return _LAST_NUMBER if value is None else value


def _created_since(node: Node | None) -> list[datetime]:
    """Return the lower bounds of ``created_at`` that every match has: an id tells its time, and is the order."""
    match node:
        case Compare("created_at", ">" | ">=", datetime() as at):
            return [at]
        case And(parts):
            return [at for part in parts for at in _created_since(part)]
        case _:
            return []
