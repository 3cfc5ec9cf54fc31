"""Whether a transaction waits for its locks in the one order of `mainspring.moves.order`.

A `Tx` is wrapped; what it is asked for says which rows it locks, and which of them it has to wait for. Waiting for a
row that comes before one already held is noted: two transactions that do so the other way round would wait for each
other for ever. What is found with SKIP LOCKED is held but was not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, TypeVar, cast

from mainspring.ports.store import Store, Tx, Work

T = TypeVar("T")


class Rank(IntEnum):
    """The ranks of the order, lowest first."""

    STEP = 1
    WEBHOOK = 2
    ROLLUP = 3
    LETTER = 4
    JOB = 5
    KEY = 6
    EXECUTION = 7
    LIMIT = 8
    NOTE = 9


Lock = tuple[Rank, str]


class Locks:
    """What one transaction holds, and what it waited for out of turn."""

    def __init__(self) -> None:
        self.held: set[Lock] = set()
        self.waited: list[Lock] = []
        self.wrong: list[str] = []
        self._highest: Lock | None = None

    def wait(self, rank: Rank, keys: Iterable[str], what: str) -> None:
        """Wait for these rows, in this order, where they are not held yet."""
        for key in keys:
            lock = rank, key
            if lock in self.held:
                continue
            if self._highest is not None and lock < self._highest:
                held = f"{self._highest[0].name.lower()} {self._highest[1]}"
                self.wrong.append(f"{what} waits for {rank.name.lower()} {key} while it holds {held}")
            self.waited.append(lock)
            self._hold(lock)

    def have(self, rank: Rank, keys: Iterable[str]) -> None:
        """Hold rows that nobody had to be waited for: found free, or made by this transaction."""
        for key in keys:
            self._hold((rank, key))

    def made(self, rank: Rank, keys: Iterable[str]) -> None:
        """Hold rows that nobody else can see yet, so that nobody waits for them either."""
        self.held.update((rank, key) for key in keys)

    def _hold(self, lock: Lock) -> None:
        self.held.add(lock)
        self._highest = lock if self._highest is None else max(self._highest, lock)


class _Table:
    """A table whose locking methods are watched; everything else passes through."""

    def __init__(self, table: Any, locks: Locks) -> None:
        self._table, self._locks = table, locks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


class _Jobs(_Table):
    def add(self, new: Sequence[Any], **more: Any) -> None:
        # Their names are unique: whoever adds the same one waits.
        self._locks.made(Rank.JOB, [job.id for job in new])
        self._table.add(new, **more)

    def get(self, platform_id: str, name_or_id: str, *, lock: bool = False) -> Any:
        found = self._table.get(platform_id, name_or_id, lock=lock)
        if lock and found is not None:
            self._locks.wait(Rank.JOB, [found.id], "jobs.get")
        return found

    def lock(self, job_ids: Sequence[str]) -> Any:
        found = self._table.lock(job_ids)
        self._locks.wait(Rank.JOB, [job.id for job in found], "jobs.lock")
        return found

    def due(self, limit: int, **more: Any) -> Any:
        return self._free(self._table.due(limit, **more))

    def paused_until_passed(self, limit: int) -> Any:
        return self._free(self._table.paused_until_passed(limit))

    def outdated(self, tzdb_version: str, limit: int, **more: Any) -> Any:
        return self._free(self._table.outdated(tzdb_version, limit, **more))

    def _free(self, found: Sequence[Any]) -> Sequence[Any]:
        self._locks.have(Rank.JOB, [job.id for job in found])
        return found

    def save(self, job: Any, **more: Any) -> bool:
        self._locks.wait(Rank.JOB, [job.id], "jobs.save")
        return bool(self._table.save(job, **more))

    def advance(self, cursors: Sequence[Any]) -> None:
        self._locks.wait(Rank.JOB, [cursor.job_id for cursor in cursors], "jobs.advance")
        self._table.advance(cursors)

    def stats(self, job_ids: Sequence[str], *, lock: bool = False) -> Any:
        if lock:
            self._locks.wait(Rank.ROLLUP, sorted(job_ids), "jobs.stats")
        return self._table.stats(job_ids, lock=lock)

    def put_stats(self, stats: Sequence[Any]) -> None:
        self._locks.wait(Rank.ROLLUP, [one.job_id for one in stats], "jobs.put_stats")
        self._table.put_stats(stats)


class _Rollups(_Table):
    def hold(self, blanks: Sequence[Any]) -> Any:
        # In front of the jobs' counters, which are of the same rank.
        self._locks.wait(Rank.ROLLUP, [f"!{key}" for key in sorted(blank.key for blank in blanks)], "rollups.hold")
        return self._table.hold(blanks)

    def put(self, rollups: Sequence[Any]) -> None:
        self._locks.wait(Rank.ROLLUP, [f"!{rollup.key}" for rollup in rollups], "rollups.put")
        self._table.put(rollups)


_FREE = ("promotable", "blocked", "claim", "lease_over", "overdue", "start_expired")


class _Executions(_Table):
    def __getattr__(self, name: str) -> Any:
        found = getattr(self._table, name)
        return self._having(found) if name in _FREE else found

    def _having(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            found = method(*arguments, **named)
            self._locks.have(Rank.EXECUTION, [execution.id for execution in found])
            return found

        return called

    def add(self, executions: Sequence[Any]) -> None:
        self._locks.made(Rank.EXECUTION, [execution.id for execution in executions])
        self._table.add(executions)

    def get(self, execution_id: str, *, lock: bool = False) -> Any:
        found = self._table.get(execution_id, lock=lock)
        if lock and found is not None and not found.status.terminal:
            self._wait([execution_id], "executions.get")
        return found

    def hold(self, execution_ids: Sequence[str]) -> None:
        self._wait(sorted(set(execution_ids)), "executions.hold")
        self._table.hold(execution_ids)

    def move(self, moves: Sequence[Any]) -> Any:
        # One statement for each kind of move, which takes its rows as they are given.
        kinds: dict[Any, list[str]] = {}
        for move in moves:
            kinds.setdefault((move.source, move.fence is not None, tuple(move.set)), []).append(move.execution_id)
        for ids in kinds.values():
            self._wait(ids, "executions.move")
        return self._table.move(moves)

    def move_alike(self, moves: Any) -> Any:
        self._wait(moves.ids, "executions.move_alike")
        return self._table.move_alike(moves)

    def renew(self, worker_id: str, lease_until: Any) -> Any:
        found = self._table.renew(worker_id, lease_until)
        self._locks.have(Rank.EXECUTION, [row[0] for row in found])
        return found

    def set_blocked(self, blocked: Any) -> None:
        self._wait(blocked, "executions.set_blocked")
        self._table.set_blocked(blocked)

    def request_cancel(self, execution_id: str, reason: str) -> bool:
        self._wait([execution_id], "executions.request_cancel")
        return bool(self._table.request_cancel(execution_id, reason))

    def put_progress(self, progress: Sequence[Any]) -> None:
        self._wait([one[0] for one in progress], "executions.put_progress")
        self._table.put_progress(progress)

    def _wait(self, ids: Iterable[str], what: str) -> None:
        self._locks.wait(Rank.EXECUTION, ids, what)


class _Logs(_Table):
    def append(self, execution_id: str, lines: Sequence[Any], **more: Any) -> Any:
        self._locks.wait(Rank.EXECUTION, [execution_id], "logs.append")
        return self._table.append(execution_id, lines, **more)


class _Letters(_Table):
    def add(self, letters: Sequence[Any]) -> None:
        self._locks.made(Rank.LETTER, [letter.execution_id for letter in letters])
        self._table.add(letters)

    def get(self, execution_id: str, *, lock: bool = False) -> Any:
        if lock:
            self._locks.wait(Rank.LETTER, [execution_id], "dead_letters.get")
        return self._table.get(execution_id, lock=lock)

    def hold(self, execution_ids: Sequence[str]) -> None:
        self._locks.wait(Rank.LETTER, sorted(set(execution_ids)), "dead_letters.hold")
        self._table.hold(execution_ids)

    def open(self, *arguments: Any, lock: bool = False, **named: Any) -> Any:
        found = self._table.open(*arguments, lock=lock, **named)
        if lock:
            self._locks.have(Rank.LETTER, [letter.execution_id for letter in found])
        return found

    def resolve(self, execution_id: str, **more: Any) -> bool:
        self._locks.wait(Rank.LETTER, [execution_id], "dead_letters.resolve")
        return bool(self._table.resolve(execution_id, **more))


class _Outbox(_Table):
    def mark_published(self, event_ids: Sequence[str]) -> Any:
        self._locks.wait(Rank.STEP, sorted(event_ids), "outbox.mark_published")
        return self._table.mark_published(event_ids)

    def mark_applied(self, event_ids: Sequence[str]) -> Any:
        self._locks.wait(Rank.STEP, sorted(event_ids), "outbox.mark_applied")
        return self._table.mark_applied(event_ids)


class _Inbox(_Table):
    def accept(self, event: Any) -> bool:
        self._locks.wait(Rank.STEP, [f"{event.platform_id}/{event.source}/{event.id}"], "inbox.accept")
        return bool(self._table.accept(event))


class _Webhooks(_Table):
    def get(self, platform_id: str, webhook_id: str, *, lock: bool = False) -> Any:
        if lock:
            self._locks.wait(Rank.WEBHOOK, [webhook_id], "webhooks.get")
        return self._table.get(platform_id, webhook_id, lock=lock)

    def lock_enabled(self, platform_ids: Sequence[str]) -> Any:
        found = self._table.lock_enabled(platform_ids)
        self._locks.wait(Rank.WEBHOOK, [webhook.id for webhook in found], "webhooks.lock_enabled")
        return found

    def save(self, webhook: Any) -> None:
        self._locks.wait(Rank.WEBHOOK, [webhook.id], "webhooks.save")
        self._table.save(webhook)


class _Platforms(_Table):
    def lock_limits(self, limits: Sequence[Any]) -> None:
        names = sorted((one.platform_id, one.scope, one.name) for one in limits)
        self._locks.wait(Rank.LIMIT, ["/".join(name) for name in names], "platforms.lock_limits")
        self._table.lock_limits(limits)

    def put_limit(self, limit: Any) -> None:
        self._locks.wait(Rank.LIMIT, [f"{limit.platform_id}/{limit.scope}/{limit.name}"], "platforms.put_limit")
        self._table.put_limit(limit)

    def put_idempotent(self, platform_id: str, key: str, request_hash: str, execution_id: str) -> bool:
        self._locks.wait(Rank.KEY, [f"{platform_id}/{key}"], "platforms.put_idempotent")
        return bool(self._table.put_idempotent(platform_id, key, request_hash, execution_id))

    def put_note(self, name: str, value: str) -> None:
        self._locks.wait(Rank.NOTE, [name], "platforms.put_note")
        self._table.put_note(name, value)


_TABLES = {
    "jobs": _Jobs,
    "rollups": _Rollups,
    "executions": _Executions,
    "logs": _Logs,
    "dead_letters": _Letters,
    "outbox": _Outbox,
    "inbox": _Inbox,
    "webhooks": _Webhooks,
    "platforms": _Platforms,
}


class WatchedTx:
    """A `Tx` whose locks are watched."""

    def __init__(self, tx: Tx) -> None:
        self.locks = Locks()
        self._tx = tx
        self._tables = {name: kind(getattr(tx, name), self.locks) for name, kind in _TABLES.items()}

    def __getattr__(self, name: str) -> Any:
        return self._tables.get(name) or getattr(self._tx, name)


def watched(work: Work[T], tell: Callable[[str], None]) -> Work[T]:
    """Return ``work`` that tells what it waited for out of turn, once it is done."""

    def doing(tx: Tx) -> T:
        watch = WatchedTx(tx)
        try:
            return work(cast(Tx, watch))
        finally:
            for wrong in watch.locks.wrong:
                tell(wrong)

    doing.__qualname__ = getattr(work, "__qualname__", "work")
    return doing


class WatchedStore:
    """A `Store` all of whose writing is watched. ``wrong`` is what was found, by what did it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.wrong: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Work[T]) -> T:
        """Run ``work``, watched."""
        return await self._store.write(watched(work, self.wrong.append))

    def write_blocking(self, work: Work[T]) -> T:
        """Run ``work``, watched."""
        return self._store.write_blocking(watched(work, self.wrong.append))
