"""Keys, the audit trail, answers kept for repeats, operations, and platforms as rows."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.tables import answers, api_keys, audit_entries, operations, platforms, running_operation
from mainspring.model.access import ApiKey
from mainspring.model.admin import Answer, AuditEntry, Operation, Platform

_KEY, _ENTRY, _ANSWER = shape(ApiKey, api_keys), shape(AuditEntry, audit_entries), shape(Answer, answers)
_OPERATION, _PLATFORM = shape(Operation, operations), shape(Platform, platforms)
_a, _o = answers.c, operations.c

_KEY_BY_ID = _KEY.select.where(api_keys.c.id == bindparam("key"))
_ANY_KEY = sa.select(api_keys.c.id).limit(1)
_PLATFORM_BY_ID = _PLATFORM.select.where(platforms.c.id == bindparam("platform"))
_PLATFORMS = (
    _PLATFORM.select.where(platforms.c.id > bindparam("after")).order_by(platforms.c.id).limit(bindparam("limit"))
)
_ANSWER_BY_KEY = _ANSWER.select.where(
    _a.platform_id == bindparam("platform"), _a.principal == bindparam("principal"), _a.key == bindparam("key")
)
_OLD_ANSWERS = (
    sa.select(_a.platform_id, _a.principal, _a.key)
    .where(_a.created_at < bindparam("before"))
    .order_by(_a.created_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DELETE_ANSWERS = sa.delete(answers).where(sa.tuple_(_a.platform_id, _a.principal, _a.key).in_(_OLD_ANSWERS))
_OPERATION_BY_ID = _OPERATION.select.where(_o.id == bindparam("operation"))
_DUE = (
    _OPERATION.select.where(running_operation, _o.next_at <= bindparam("now"))
    .order_by(_o.next_at, _o.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)


class SqlAdminTable(SqlTable):
    """`AdminTable` in SQL."""

    def put_key(self, key: ApiKey) -> None:
        self._insert_values(_KEY, [key], on_conflict="replace")

    def key(self, key_id: str) -> ApiKey | None:
        return _KEY.row(self._first(_KEY_BY_ID, key=key_id))

    def any_key(self) -> bool:
        return self._first(_ANY_KEY) is not None

    def put_platform(self, platform: Platform) -> None:
        self._insert_values(_PLATFORM, [platform], on_conflict="replace")

    def platform(self, platform_id: str) -> Platform | None:
        return _PLATFORM.row(self._first(_PLATFORM_BY_ID, platform=platform_id))

    def platforms(self, *, after: str = "", limit: int = 50) -> list[Platform]:
        return _PLATFORM.rows(self._all(_PLATFORMS, after=after, limit=limit))

    def log(self, entry: AuditEntry) -> None:
        self._put_values(_ENTRY, [entry])

    def reserve_answer(self, answer: Answer) -> bool:
        return bool(self._insert_values(_ANSWER, [answer], on_conflict="keep"))

    def answer(self, platform_id: str, principal: str, key: str) -> Answer | None:
        return _ANSWER.row(self._first(_ANSWER_BY_KEY, platform=platform_id, principal=principal, key=key))

    def put_answer(self, answer: Answer) -> None:
        self._insert_values(_ANSWER, [answer], on_conflict="replace")

    def delete_answers(self, before: datetime, limit: int) -> int:
        return self._run(_DELETE_ANSWERS, {"before": before, "limit": limit}).rowcount

    def put_operation(self, operation: Operation) -> None:
        self._insert_values(_OPERATION, [operation], on_conflict="replace")

    def operation(self, operation_id: str, *, lock: bool = False) -> Operation | None:
        statement = _OPERATION_BY_ID.with_for_update() if lock else _OPERATION_BY_ID
        return _OPERATION.row(self._first(statement, operation=operation_id))

    def due_operation(self) -> Operation | None:
        return _OPERATION.row(self._first(_DUE, now=self._session.now))
