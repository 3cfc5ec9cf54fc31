"""Store and wakeups in dictionaries: for simulation and for tests. Nothing outlives the process."""

from mainspring.adapters.memory.store import MemoryStore
from mainspring.adapters.memory.wakeups import InProcessWakeups

__all__ = ["InProcessWakeups", "MemoryStore"]
