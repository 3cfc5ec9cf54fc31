"""Nodes and the handlers they announce; platforms with their limits, calendars and idempotency keys; the notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TypeVar

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.model.admin import Platform
from mainspring.model.node import DispatcherNode, HandlerRow, Limit, WorkerNode

N = TypeVar("N", WorkerNode, DispatcherNode)


class MemoryNodeTable:
    """`NodeTable` in dictionaries."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._workers: dict[str, WorkerNode] = {}
        self._dispatchers: dict[str, DispatcherNode] = {}
        self._handlers: dict[tuple[str, str], HandlerRow] = {}

    def put_worker(self, worker: WorkerNode) -> None:
        self._journal.put(self._workers, worker.id, isolated(worker))

    def workers(self, *, seen_since: datetime | None = None) -> list[WorkerNode]:
        return _newest(self._workers, seen_since)

    def put_dispatcher(self, dispatcher: DispatcherNode) -> None:
        self._journal.put(self._dispatchers, dispatcher.id, isolated(dispatcher))

    def dispatchers(self, *, seen_since: datetime | None = None) -> list[DispatcherNode]:
        return _newest(self._dispatchers, seen_since)

    def forget(self, before: datetime) -> None:
        self._forget(self._workers, before)
        self._forget(self._dispatchers, before)

    def _forget(self, nodes: dict[str, N], before: datetime) -> None:
        for node in [node for node in nodes.values() if node.seen_at < before]:
            self._journal.drop(nodes, node.id)

    def announce(self, handlers: Sequence[HandlerRow]) -> None:
        for handler in handlers:
            self._journal.put(self._handlers, (handler.name, handler.platform_id or ""), isolated(handler))

    def handlers(self, platform_id: str | None = None) -> list[HandlerRow]:
        known = [row for _, row in sorted(self._handlers.items(), key=lambda item: item[0])]
        return each_isolated([h for h in known if platform_id is None or h.platform_id in (None, platform_id)])


def _newest(nodes: Mapping[str, N], seen_since: datetime | None) -> list[N]:
    found = [node for node in nodes.values() if seen_since is None or node.seen_at >= seen_since]
    return each_isolated(sorted(found, key=lambda node: (node.started_at, node.id), reverse=True))


class MemoryPlatformTable:
    """`PlatformTable` in dictionaries. With one transaction at a time there is nothing to lock."""

    def __init__(self, journal: Journal, platforms: dict[str, Platform]) -> None:
        self._journal = journal
        self._platforms = platforms
        self._limits: dict[tuple[str, str, str], Limit] = {}
        self._calendars: dict[tuple[str, str], frozenset[date]] = {}
        self._keys: dict[tuple[str, str], tuple[datetime, str, str]] = {}
        self._notes: dict[str, str] = {}
        self._leases: dict[str, tuple[str, datetime]] = {}
        self._admitted: dict[tuple[str, str], tuple[tuple[datetime, int], ...]] = {}

    def timezone(self, platform_id: str) -> str | None:
        platform = self._platforms.get(platform_id)
        return None if platform is None else platform.timezone

    def put_timezone(self, platform_id: str, timezone: str | None) -> None:
        platform = self._platforms.get(platform_id) or Platform(platform_id, created_at=self._journal.now)
        self._journal.put(self._platforms, platform_id, replace(platform, timezone=timezone))

    def limits(self, platform_id: str | None = None) -> list[Limit]:
        return [limit for key, limit in sorted(self._limits.items()) if platform_id in (None, key[0])]

    def put_limit(self, limit: Limit) -> None:
        key = (limit.platform_id, limit.scope, limit.name)
        bounds = (limit.max_running, limit.rate, limit.max_pending, limit.max_jobs, limit.min_interval_ms)
        if all(bound is None for bound in bounds):
            self._journal.drop(self._limits, key)
        else:
            self._journal.put(self._limits, key, limit)

    def lock_limits(self, limits: Sequence[Limit]) -> None:
        pass

    def admitted_since(self, platform_id: str, queue: str, since: datetime) -> int:
        return sum(count for at, count in self._admitted.get((platform_id, queue), ()) if at >= since)

    def record_admitted(
        self, platform_id: str, queue: str, count: int, *, at: datetime, forget_before: datetime
    ) -> None:
        kept = [row for row in self._admitted.get((platform_id, queue), ()) if row[0] >= forget_before]
        self._journal.put(self._admitted, (platform_id, queue), (*kept, (at, count)))

    def make_up_for(self, step: timedelta) -> None:
        for key, rows in list(self._admitted.items()) if step < timedelta(0) else ():
            moved = tuple((at + step if at > self._journal.now else at, count) for at, count in rows)
            self._journal.put(self._admitted, key, moved)

    def calendars(self, platform_id: str) -> dict[str, frozenset[date]]:
        return {name: dates for (platform, name), dates in self._calendars.items() if platform == platform_id}

    def put_calendar(self, platform_id: str, name: str, dates: Mapping[date, str], *, source: str) -> None:
        self._journal.put(self._calendars, (platform_id, name), frozenset(dates))

    def delete_calendar(self, platform_id: str, name: str) -> bool:
        known = (platform_id, name) in self._calendars
        self._journal.drop(self._calendars, (platform_id, name))
        return known

    def idempotent(self, platform_id: str, key: str) -> tuple[str, str] | None:
        stored = self._keys.get((platform_id, key))
        return None if stored is None else stored[1:]

    def put_idempotent(self, platform_id: str, key: str, request_hash: str, execution_id: str) -> bool:
        if (platform_id, key) in self._keys:
            return False
        self._journal.put(self._keys, (platform_id, key), (self._journal.now, request_hash, execution_id))
        return True

    def delete_idempotent(self, before: datetime, limit: int) -> int:
        old = sorted(key for key, (at, _, _) in self._keys.items() if at < before)[:limit]
        for key in old:
            self._journal.drop(self._keys, key)
        return len(old)

    def note(self, name: str) -> str | None:
        return self._notes.get(name)

    def put_note(self, name: str, value: str) -> None:
        self._journal.put(self._notes, name, value)

    def lease(self, name: str, holder: str, until: datetime) -> bool:
        held = self._leases.get(name)
        if held is not None and held[0] != holder and held[1] > self._journal.now:
            return False
        self._journal.put(self._leases, name, (holder, until))
        return True
