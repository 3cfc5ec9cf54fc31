"""A worker's slots: how many of each queue are free, and whether a claim may have left something for want of one.

And what it has got before it was offered.
"""

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


class Forestalled:
    """Executions a worker has claimed before its transport named them: the last thousand. Each is named once.

    >>> early = Forestalled()
    >>> early.add(["a", "b"])
    >>> early.left_of(["b", "c"]), early.left_of(["b", "c"])
    (('c',), ('b', 'c'))
    """

    MOST = 1_000

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, ids: Iterable[str]) -> None:
        """Remember what was claimed."""
        self._ids |= dict.fromkeys(ids)
        for oldest in list(self._ids)[: -self.MOST]:
            del self._ids[oldest]

    def left_of(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return those of ``ids`` that are still to be claimed, and forget the others: a retry is named again."""
        return tuple(one for one in ids if self._ids.pop(one, self) is self)
