"""Keys, the audit trail, answers and operations; and lists of every noun, walked row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import isolated
from mainspring.model.access import ApiKey
from mainspring.model.admin import Answer, AuditEntry, Operation, OperationStatus, Platform
from mainspring.model.job import JobStatus
from mainspring.model.matches import matches
from mainspring.model.nouns import LISTINGS, Noun
from mainspring.ports.search import Order, Search, place


class MemoryAdminTable:
    """`AdminTable` in dictionaries."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.keys: dict[str, ApiKey] = {}
        self.trail: list[AuditEntry] = []
        self.running: dict[str, Operation] = {}
        self._answers: dict[tuple[str, str, str], Answer] = {}
        self.platform_rows: dict[str, Platform] = {}

    def put_key(self, key: ApiKey) -> None:
        self._journal.put(self.keys, key.id, key)

    def key(self, key_id: str) -> ApiKey | None:
        return self.keys.get(key_id)

    def any_key(self) -> bool:
        return bool(self.keys)

    def put_platform(self, platform: Platform) -> None:
        self._journal.put(self.platform_rows, platform.id, platform)

    def platform(self, platform_id: str) -> Platform | None:
        return self.platform_rows.get(platform_id)

    def platforms(self, *, after: str = "", limit: int = 50) -> list[Platform]:
        return [self.platform_rows[name] for name in sorted(self.platform_rows) if name > after][:limit]

    def log(self, entry: AuditEntry) -> None:
        self._journal.extend(self.trail, [isolated(entry)])

    def reserve_answer(self, answer: Answer) -> bool:
        key = (answer.platform_id, answer.principal, answer.key)
        if key in self._answers:
            return False
        self._journal.put(self._answers, key, answer)
        return True

    def answer(self, platform_id: str, principal: str, key: str) -> Answer | None:
        return self._answers.get((platform_id, principal, key))

    def put_answer(self, answer: Answer) -> None:
        self._journal.put(self._answers, (answer.platform_id, answer.principal, answer.key), answer)

    def delete_answers(self, before: datetime, limit: int) -> int:
        old = sorted(key for key, answer in self._answers.items() if answer.created_at < before)[:limit]
        for key in old:
            self._journal.drop(self._answers, key)
        return len(old)

    def put_operation(self, operation: Operation) -> None:
        self._journal.put(self.running, operation.id, isolated(operation))

    def operation(self, operation_id: str, *, lock: bool = False) -> Operation | None:
        found = self.running.get(operation_id)
        return None if found is None else isolated(found)

    def due_operation(self) -> Operation | None:
        now = self._journal.now
        due = [o for o in self.running.values() if o.status is OperationStatus.RUNNING and o.next_at <= now]
        return isolated(min(due, key=lambda o: (o.next_at, o.id))) if due else None


class MemorySearchTable:
    """`SearchTable` over the rows of every table."""

    def __init__(self, rows: Mapping[Noun, Callable[[], Iterable[Any]]]) -> None:
        self._rows = rows

    def find(self, search: Search) -> list[Any]:
        found = list(self._matching(search))
        for order in reversed(search.order):
            found.sort(key=lambda row: _key(row, search, order), reverse=order.descending)
        if search.after is not None:
            found = [row for row in found if _is_after(row, search)]
        return [isolated(row) for row in found[: search.limit]]

    def count(self, search: Search, most: int) -> int:
        return min(sum(1 for _ in self._matching(search)), most + 1)

    def _matching(self, search: Search) -> Iterable[Any]:
        fields = LISTINGS[search.noun].fields
        for row in self._rows[search.noun]():
            if search.platform_id not in (None, row.platform_id):
                continue
            if search.noun is Noun.JOBS and not search.archived and row.status is JobStatus.ARCHIVED:
                continue
            if matches(search.where, row, fields):
                yield row


def _key(row: Any, search: Search, order: Order) -> tuple[bool, Any]:
    (value,) = place(Search(search.noun, None, order=(order,)), row)
    return (value is None, value if value is not None else 0)


def _is_after(row: Any, search: Search) -> bool:
    assert search.after is not None
    for order, bound in zip(search.order, search.after, strict=True):
        mine, other = _key(row, search, order), (bound is None, bound if bound is not None else 0)
        if mine != other:
            return mine < other if order.descending else mine > other
    return False
