"""The store in dictionaries for simulation and tests, and what every process has: its wake-ups and its bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainspring.adapters.memory.wakeups import InProcessWakeups

if TYPE_CHECKING:
    from mainspring.adapters.memory.store import MemoryStore

__all__ = ["InProcessWakeups", "MemoryStore"]


def __getattr__(name: str) -> Any:
    # Every process has wake-ups, and hardly any has this store.
    if name == "MemoryStore":
        from mainspring.adapters.memory.store import MemoryStore

        return MemoryStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
