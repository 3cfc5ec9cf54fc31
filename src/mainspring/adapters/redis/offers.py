"""What a worker is offered next: what its streams named, or whatever the database has. No server is asked here.

Streams are quick and forgetful, the database is exact. A worker with free slots that nothing named fills looks into the
database once per poll interval; one whose slots are always filled looks now and then all the same, so that what the
streams lost does not wait behind what they hold; and while such a look finds more than there is room for, it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mainspring.adapters.redis.line import Entry, Line
from mainspring.model.dispatch import Band
from mainspring.ports.transport import Offer

_Taken = tuple[Line, Entry, str]


class Offers:
    """Decides what is offered, from the buffers of one worker's streams. Times are seconds of ``time``."""

    def __init__(self, queues: Mapping[str, int], *, time: Callable[[], float], poll: float, look: float) -> None:
        self.lines = [Line(queue, band, slots) for band in Band for queue, slots in queues.items()]
        self._time, self._poll, self._look = time, poll, look
        self._offered: list[_Taken] = []
        self._behind = True  # what was queued before this worker came may be in no stream
        self._looked = time()
        self._turn = 0

    def next(self, room: Mapping[str, int], limit: int, *, away: bool) -> Offer | None:
        """Return what to try within ``room`` and ``limit``; None for nothing. ``away``: there are no streams."""
        now = self._time()
        since = now - self._looked
        if away or self._behind or since >= self._look:
            return self._everything(now)
        self._offered = self._take(room, limit)
        # A timer may fire a little early: nine tenths of the interval are the interval.
        if since >= self._poll * 0.9 and len(self._offered) < min(limit, sum(room.values())):
            self.failed()
            return self._everything(now)
        return Offer(tuple(execution_id for _, _, execution_id in self._offered)) if self._offered else None

    def tried(self, offer: Offer, claimed: int, limit: int) -> tuple[bool, list[tuple[Line, bytes]]]:
        """Note what came of an offer; return whether there is more to try, and the entries that are done with."""
        if offer.ids is None:
            self._behind = claimed == limit
            return self._behind or any(line.waiting for line in self.lines), []
        done = [(line, entry.id) for line, entry, _ in self._offered if line.tried(entry)]
        self._offered = []
        return True, done

    def failed(self) -> None:
        """Take back what was offered."""
        for line, entry, execution_id in reversed(self._offered):
            line.put_back(entry, execution_id)
        self._offered = []

    def _everything(self, now: float) -> Offer:
        self._looked = now
        return Offer()

    def _take(self, room: Mapping[str, int], limit: int) -> list[_Taken]:
        """Take ids up to each queue's room: high before normal before low, the queues of a band in turn."""
        left, taken = dict(room), list[_Taken]()
        self._turn += 1
        for band in Band:
            lines = [line for line in self.lines if line.band is band and line.waiting]
            for number in range(len(lines)):
                line = lines[(number + self._turn) % len(lines)]
                found = line.take(min(left.get(line.queue, 0), limit - len(taken)))
                left[line.queue] = left.get(line.queue, 0) - len(found)
                taken += [(line, entry, execution_id) for entry, execution_id in found]
        return taken
