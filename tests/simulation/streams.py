"""Redis Streams in a simulated cluster: entries get lost, come twice, late, in another order, or are forged.

Streams, groups and pending lists are kept here; what a worker makes of them is the product's own `Offers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from mainspring.adapters.redis.line import Line
from mainspring.adapters.redis.offers import Offers
from mainspring.adapters.redis.streams import stream_of, to_entries
from mainspring.model.dispatch import Announcement, Dispatch, band
from mainspring.ports.transport import Offer, TransportFigures

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

#: Seconds after which an entry nobody has let go of is given to somebody else, as after XAUTOCLAIM.
ABANDONED = 5.0
#: With so many entries in it a stream is not announced to again; few, so that both cases come up.
ENOUGH = 5
UNKNOWN = "01234567-0000-7000-8000-000000000000"


class Mischief:
    """How often what goes wrong with an entry, as probabilities, and how late it may come, in seconds."""

    def __init__(self, random: Random | None = None) -> None:
        def draw(*choices: float) -> float:
            return random.choice(choices) if random is not None else 0.0

        self.lost, self.twice, self.forged = draw(0, 0.1, 0.5, 1.0), draw(0, 0.3), draw(0, 0.3)
        self.late = draw(0, 0.5, 4)
        self.flushes_every, self.away_every = draw(0, 0, 3, 10), draw(0, 0, 15)


class Streams:
    """The server: entries by stream, and who has been given which."""

    def __init__(self, world: World) -> None:
        self._world, self._random = world, world.random("streams")
        self.away = False
        self.mischief = Mischief()
        self.consumers: list[Consumer] = []
        self._entries: dict[str, dict[bytes, dict[bytes, bytes]]] = {}
        self._pending: dict[bytes, tuple[Line, float]] = {}
        self._numbers = count(1)
        self._seen: list[str] = [UNKNOWN]
        self._raging = False

    # -- what goes wrong -------------------------------------------------------------------------------------------

    async def rage(self, seconds: float) -> None:
        """Be mischievous for a while: also lose everything, and be away."""
        self.mischief = mischief = Mischief(self._random)
        loop = self._world.loop
        end, flush, leave = loop.time() + seconds, mischief.flushes_every, mischief.away_every
        self._raging = True
        while loop.time() < end and self._raging:
            await asyncio.sleep(1)
            if flush and self._random.random() < 1 / flush:
                self._world.say("the streams are flushed")
                self._entries.clear()
                self._pending.clear()
            if leave and self._random.random() < 1 / leave:
                self.away = True
                await asyncio.sleep(self._random.choice([0.5, 3, 12]))
                self.away = False
        self.relent()

    def relent(self) -> None:
        """Be a healthy server again."""
        self._raging = self.away = False
        self.mischief = Mischief()

    # -- writing ---------------------------------------------------------------------------------------------------

    def wakes(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        return ()

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        dispatches = [one for one in announcements if isinstance(one, Dispatch)]
        if self.away:
            return ("queued",) if dispatches else ()
        by_stream: dict[str, list[tuple[str, str | None]]] = {}
        for one in dispatches:
            self._seen.append(one.execution_id)
            by_stream.setdefault(stream_of(one.queue, band(one.priority)), []).append((one.execution_id, None))
        for stream, named in by_stream.items():
            for fields in to_entries(named):
                self._send(stream, fields["ids"])
        return ()

    def length(self, stream: str) -> int:
        """How many entries a stream holds."""
        return len(self._entries.get(stream, {}))

    def _send(self, stream: str, ids: str) -> None:
        mischief, draw = self.mischief, self._random.random
        times = 0 if draw() < mischief.lost else 2 if draw() < mischief.twice else 1
        for _ in range(times):
            self._later(self._random.uniform(0.001, mischief.late or 0.002), stream, ids)
        if draw() < mischief.forged:
            forged = self._random.choice([self._random.choice(self._seen), UNKNOWN, "no id at all"])
            self._later(0.001, stream, forged)

    def _later(self, seconds: float, stream: str, ids: str) -> None:
        # In nobody's context: an entry under way arrives though the one who sent it has died.
        from tests.simulation.world import NOBODY

        self._world.loop.call_later(seconds, self._arrive, stream, ids, context=NOBODY)

    def _arrive(self, stream: str, ids: str) -> None:
        entry_id = f"{next(self._numbers)}-0".encode()
        self._entries.setdefault(stream, {})[entry_id] = {b"ids": ids.encode()}
        self.pump()

    # -- reading ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Give what was not given yet to consumers that want more, whoever they are."""
        if self.away:
            return
        for consumer in self._random.sample(self.consumers, len(self.consumers)):
            for line in consumer.offers.lines:
                self._give(consumer, line)

    def _give(self, consumer: Consumer, line: Line) -> None:
        if consumer.process.life.dead or not line.hungry.is_set():
            return
        now = self._world.loop.time()
        fresh: list[tuple[bytes, dict[bytes, bytes]]] = []
        for entry_id, fields in list(self._entries.get(line.stream, {}).items()):
            owner = self._pending.get(entry_id)
            if len(fresh) < line.wanted and (owner is None or (owner[0] is not line and now - owner[1] >= ABANDONED)):
                self._pending[entry_id] = (line, now)
                fresh.append((entry_id, fields))
        if fresh:
            _, _, useless = line.put(fresh)
            self.let_go(line.stream, useless)
            consumer.process.wakeups.notify(consumer.topic)

    def let_go(self, stream: str, entries: Iterable[bytes]) -> None:
        """Acknowledge and delete."""
        for entry_id in entries:
            self._entries.get(stream, {}).pop(entry_id, None)
            self._pending.pop(entry_id, None)


class Consumer:
    """`Deliveries` of one worker."""

    def __init__(
        self, streams: Streams, process: Process, worker_id: str, queues: Mapping[str, int], poll: float
    ) -> None:
        self.topic = f"delivered:{worker_id}"
        self.process, self._streams = process, streams
        self.offers = Offers(queues, time=process.world.loop.time, poll=poll, look=5.0)

    def offer(self, room: Mapping[str, int], limit: int) -> Offer | None:
        self._streams.pump()
        return self.offers.next(room, limit, away=self._streams.away)

    def tried(self, offer: Offer, claimed: int, limit: int) -> bool:
        more, done = self.offers.tried(offer, claimed, limit)
        for line, entry_id in done:
            self._streams.let_go(line.stream, [entry_id])
        return more

    def failed(self, offer: Offer) -> None:
        self.offers.failed()

    def look(self) -> None:
        self.offers.look()

    async def close(self) -> None:
        self._streams.consumers.remove(self)


class StreamTransport:
    """`Transport` of one process."""

    may_lose = True

    def __init__(self, streams: Streams, process: Process) -> None:
        self._streams, self._process = streams, process

    async def open(self) -> None:
        """Nothing to do: the server is there."""

    async def close(self) -> None:
        """Nothing to do."""

    def wakes(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        return ()

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        return self._streams.announce(announcements)

    async def deliveries(self, worker_id: str, queues: Mapping[str, int], *, poll: float) -> Any:
        consumer = Consumer(self._streams, self._process, worker_id, queues, poll)
        self._streams.consumers.append(consumer)
        return consumer

    async def announce_again(self, dispatches: Sequence[Dispatch]) -> int:
        lost = [d for d in dispatches if self._streams.length(stream_of(d.queue, band(d.priority))) < ENOUGH]
        self._streams.announce(lost)
        return len(lost)

    async def figures(self, queues: Sequence[str]) -> TransportFigures:
        raise AssertionError("nobody in a simulation looks")

    def counters(self) -> Mapping[str, int]:
        return {}
