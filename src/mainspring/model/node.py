"""The processes of a fleet as rows, and the handlers they announce. For people to see, never to decide by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerNode:
    """A worker process. ``queues`` maps a queue to its slots; ``status``: running, draining, stopped or lost.

    ``stats`` are its counters since it started, those of its transport under ``transport``.
    """

    id: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    version: str
    queues: Mapping[str, int]
    handlers: tuple[str, ...]
    status: str = "running"
    running: int = 0
    poisoned: int = 0
    stats: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DispatcherNode:
    """A dispatcher process with its counters (`DispatchStats` as plain data)."""

    id: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    version: str
    tzdb_version: str
    status: str = "running"
    stats: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HandlerRow:
    """A handler some node has announced: its type, payload schema and defaults. ``platform_id`` None: all platforms."""

    name: str
    type: str
    announced_at: datetime
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    platform_id: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A row an admin edits. ``scope``: ``queue``, ``key`` or ``platform``; None means no bound.

    ``max_running`` bounds the executions queued or running at once; ``rate`` those queued per ``rate_per`` seconds.
    """

    platform_id: str
    scope: str
    name: str = ""
    max_running: int | None = None
    rate: int | None = None
    rate_per: float = 1.0
    max_pending: int | None = None
    max_jobs: int | None = None
    min_interval_ms: int | None = None
