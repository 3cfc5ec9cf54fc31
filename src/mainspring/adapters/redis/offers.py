"""What a worker is offered next: what its streams named, or whatever the database has. No server is asked here.

Streams are quick and forgetful, the database is exact. A worker with free slots that the streams do not fill looks into
the database once per poll interval, and goes on looking while its looks come back full; one whose slots the streams
always fill looks now and then all the same, so that what they lost does not wait behind what they hold.
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
        if away:
            return self._everything(now)
        self._offered = self._take(room, limit)
        if now - self._looked >= self._patience(full=len(self._offered) >= min(limit, sum(room.values()))):
            self.failed()
            return self._everything(now)
        return Offer(tuple(execution_id for _, _, execution_id in self._offered)) if self._offered else None

    def _patience(self, *, full: bool) -> float:
        """Return how long after the last look the next one is due; ``full``: what the streams named fills the room."""
        if full:
            return self._look
        # A timer may fire a little early: nine tenths of the interval are the interval.
        return 0.0 if self._behind else self._poll * 0.9

    def tried(self, offer: Offer, claimed: int, limit: int) -> tuple[bool, list[tuple[Line, bytes]]]:
        """Note what came of an offer; return whether there is more to try, and the entries that are done with."""
        if offer.ids is None:
            self._behind = claimed == limit
            return self._behind or any(line.waiting for line in self.lines), []
        done = [(line, entry.id) for line, entry, _ in self._offered if line.tried(entry)]
        self._offered = []
        return True, done

    def look(self) -> None:
        """Offer everything next, whatever the streams say."""
        self._behind, self._looked = True, self._time() - self._look

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
