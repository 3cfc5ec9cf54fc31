"""What all services share: one platform, one caller, one transaction per change with its line in the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mainspring.model.admin import AuditEntry, Caller
from mainspring.model.redact import redacted
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Store, Tx, Work

T = TypeVar("T")

Told = Mapping[str, Any] | None


def nothing(_: Any) -> Told:
    """Tell nothing about a change but that it was made."""
    return None


class PlatformService:
    """Reads and changes one platform's rows for one caller. Each method is one transaction."""

    def __init__(
        self,
        store: Store,
        *,
        platform_id: str = "default",
        schedules: Schedules | None = None,
        actor: str = "api",
        caller: Caller | None = None,
    ) -> None:
        self._store, self.platform_id = store, platform_id
        self._schedules = schedules or Schedules()
        self.caller = caller or Caller(actor, via=actor)
        self._actor = self.caller.actor

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run a read of one's own, such as `explain`."""
        return await self._store.read(work)

    async def _change(
        self,
        action: str,
        target: str,
        work: Work[T],
        *,
        before: Callable[[Tx], Told] = nothing,
        after: Callable[[T], Told] = nothing,
    ) -> T:
        """Run a change and write it down, both or neither; ``before`` and ``after`` tell what it changed."""

        def audited(tx: Tx) -> T:
            was = before(tx)
            result = work(tx)
            became = after(result)
            if was is not None and became is not None:
                was, became = differences(was, became)
                if not became:
                    return result  # nothing was written, so there is nothing to tell
            tx.admin.log(self._entry(tx, action, target, was, became))
            return result

        return await self._store.write(audited)

    def _entry(self, tx: Tx, action: str, target: str, was: Told, now: Told) -> AuditEntry:
        caller = self.caller
        return AuditEntry(
            tx.new_id(),
            self.platform_id,
            tx.now,
            caller.actor[:200],
            caller.via,
            action,
            target[:300],
            address=caller.address,
            request_id=caller.request_id,
            before=redacted(was) if was is not None else None,
            after=redacted(now) if now is not None else None,
        )


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what two shapes of one thing do not share, as it was and as it is.

    >>> differences({"a": 1, "b": 2}, {"a": 1, "b": 3})
    ({'b': 2}, {'b': 3})
    """
    was = before or {}
    changed = [name for name in after if before is None or was.get(name) != after[name]]
    return {name: was.get(name) for name in changed if before is not None}, {name: after[name] for name in changed}
