"""A worker's slots: how many of each queue are free, and whether a claim may have left something for want of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mainspring.model.execution import Execution


def free_slots(queues: Mapping[str, int], busy: Iterable[Execution]) -> dict[str, int]:
    """Return how many slots each queue has free; queues without any are left out.

    >>> free_slots({"default": 2, "mail": 0}, [])
    {'default': 2}
    """
    used = Counter(execution.queue for execution in busy)
    return {queue: slots - used[queue] for queue, slots in queues.items() if slots > used[queue]}


def is_short(room: Mapping[str, int], claimed: Sequence[Execution], limit: int, queues: Mapping[str, int]) -> bool:
    """Tell whether a claim took all it had room for, in all or in one queue, or there is a queue it had none for."""
    if len(claimed) >= limit or len(room) < len(queues):
        return True
    taken = Counter(execution.queue for execution in claimed)
    return any(taken[queue] >= slots for queue, slots in room.items())
