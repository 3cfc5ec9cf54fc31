"""What the record keeps for a platform's keepers: keys, the audit trail, answers, operations, platforms themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mainspring.model.access import ApiKey
from mainspring.model.admin import Answer, AuditEntry, Operation, Platform


class AdminTable(Protocol):
    """Each kind is small and read by its key; lists of them are `SearchTable.find`'s."""

    def put_key(self, key: ApiKey) -> None:
        """Insert or replace an API key."""

    def key(self, key_id: str) -> ApiKey | None:
        """Return one key, of any platform."""

    def any_key(self) -> bool:
        """Tell whether a key was ever made: from then on every request needs one."""

    def put_platform(self, platform: Platform) -> None:
        """Insert or replace a platform."""

    def platform(self, platform_id: str) -> Platform | None:
        """Return one platform; None where nobody has made it."""

    def platforms(self, *, after: str = "", limit: int = 50) -> list[Platform]:
        """Return platforms by id, strictly after one."""

    def log(self, entry: AuditEntry) -> None:
        """Append to the audit trail. Nothing changes or deletes what is there."""

    def reserve_answer(self, answer: Answer) -> bool:
        """Insert an answer not known yet; False where the key is taken.

        Where another open transaction holds the key, this waits for its end.
        """

    def answer(self, platform_id: str, principal: str, key: str) -> Answer | None:
        """Return what was answered."""

    def put_answer(self, answer: Answer) -> None:
        """Complete a reserved answer."""

    def delete_answers(self, before: datetime, limit: int) -> int:
        """Delete answers older than an instant; return how many."""

    def put_operation(self, operation: Operation) -> None:
        """Insert or replace an operation."""

    def operation(self, operation_id: str, *, lock: bool = False) -> Operation | None:
        """Return one operation."""

    def due_operation(self) -> Operation | None:
        """Lock and return one running operation whose ``next_at`` has come; those others hold are passed over."""
