"""What a worker is told, and what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``queues`` maps each queue to its slots. Durations are the defaults of SPEC §7."""

    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 20})
    lease: timedelta = timedelta(seconds=15)
    heartbeat: timedelta = timedelta(seconds=5)
    poll: timedelta = timedelta(seconds=1)
    drain_grace: timedelta = timedelta(seconds=30)
    stop_grace: timedelta = timedelta(seconds=5)
    flush: timedelta = timedelta(milliseconds=500)
    log_lines: int = 10_000
    max_poisoned: int = 10
    claim_batch: int = 500
    started_events: bool = False


@dataclass(slots=True)
class WorkerStats:
    """What a worker has done since it started. ``superseded``: outcomes dropped because the fence was stale."""

    claimed: int = 0
    settled: int = 0
    superseded: int = 0
