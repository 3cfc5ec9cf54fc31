"""Streams of server-sent events: what happens, as it happens, resumed where a client left off.

One task reads what is new for all who listen, so that a hundred dashboards cost one query. A listener too slow for its
buffer is told of the gap and reads on from now, and so is everybody where more happened than can be read at once;
``Last-Event-ID`` fills it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from starlette.responses import StreamingResponse

from mainspring.errors import LimitExceededError, MainspringError
from mainspring.model.events import Event
from mainspring.model.filters import Compare
from mainspring.model.ids import id_floor, id_time
from mainspring.model.nouns import Noun
from mainspring.ports.clock import Wakeups
from mainspring.ports.search import Order, Search
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")

#: Seconds between two comments that keep a quiet stream open, and between two looks where nobody wakes us.
HEARTBEAT, POLL = 15.0, 1.0
#: Events kept for a slow listener, read by one query, and replayed to one that comes back.
BUFFER, READ, REPLAY = 1_000, 1_000, 1_000
#: Most queries until all is read that is new.
READS = 10
#: How long an event may take to be seen after it got its id: its transaction may commit later than others'.
SETTLE = timedelta(seconds=5)
STREAMS_PER_KEY = 50
#: Requests of one key that wait for an end, and seconds after which each looks by itself.
WAITS_PER_KEY, LOOK_AGAIN = 500, 5.0

T = TypeVar("T")


@dataclass(eq=False)
class Listener:
    """One open stream's buffer. ``lost``: events were dropped since it was last read.

    ``early``: it takes what happened shortly before it began to listen as well.
    """

    platform_id: str
    wants: Callable[[Event], bool]
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(BUFFER))
    lost: bool = False
    early: bool = False

    def offer(self, event: Event) -> None:
        """Take an event if it is wanted and there is room."""
        if event.platform_id != self.platform_id or not self.wants(event):
            return
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True

    def miss(self) -> None:
        """Be told that something was missed, also where nothing more comes."""
        self.lost = True
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(None)


class Streams:
    """Every open stream of a server; `close` ends them all."""

    def __init__(self, store: Callable[[], Store], wakeups: Wakeups) -> None:
        self._store, self._wakeups = store, wakeups
        self._listeners: set[Listener] = set()
        self._open: dict[str, int] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._reading: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()

    @property
    def open(self) -> int:
        """How many streams are open."""
        return sum(self._open.values())

    async def close(self) -> None:
        """End every stream and stop reading."""
        self.stopping.set()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def respond(self, principal: str, frames: AsyncIterator[bytes]) -> StreamingResponse:
        """Return a stream as a response, counted for who asked. Raises `LimitExceededError` for one too many."""
        if self._open.get(principal, 0) >= STREAMS_PER_KEY:
            raise LimitExceededError("open streams", found=STREAMS_PER_KEY + 1, allowed=STREAMS_PER_KEY)
        self._open[principal] = self._open.get(principal, 0) + 1
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._counted(principal, frames), media_type="text/event-stream", headers=headers)

    async def _counted(self, principal: str, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for one in frames:
                yield one
        except MainspringError as error:
            yield frame("end", {"reason": error.code})
        finally:
            self._left(principal)

    def _left(self, who: str) -> None:
        self._open[who] -= 1
        if not self._open[who]:
            del self._open[who]

    # -- events --------------------------------------------------------------------------------------------------

    async def events(
        self, platform_id: str, wants: Callable[[Event], bool], show: Callable[[Event], Any], last_id: str | None
    ) -> AsyncIterator[bytes]:
        """Yield a platform's events from now on, or after ``last_id``; an event may come twice, by its id."""
        listener = Listener(platform_id, wants)
        self._listeners.add(listener)
        self._start()
        try:
            yield frame("hello", {"platform_id": platform_id})
            sent: set[str] = set()
            latest = last_id
            if last_id is not None:
                missed, complete = await self._missed(platform_id, last_id)
                if not complete:
                    yield frame("gap", {"after": last_id})
                for event in missed:
                    sent.add(event.id)
                    if wants(event):
                        latest = event.id
                        yield frame(str(event.type), show(event), event.id)
            while not self.stopping.is_set():
                taken = await self.or_stopped(listener.queue.get(), HEARTBEAT)
                if taken is not None and taken.id not in sent:
                    latest = taken.id
                    yield frame(str(taken.type), show(taken), taken.id)
                if listener.lost and listener.queue.empty():
                    listener.lost = False
                    yield frame("gap", {"after": latest})
                elif taken is None and not self.stopping.is_set():
                    yield b": still here\n\n"
            yield frame("end", {"reason": "stopping"})
        finally:
            self._listeners.discard(listener)

    async def until(
        self,
        principal: str,
        platform_id: str,
        wants: Callable[[Event], bool],
        look: Callable[[], Awaitable[tuple[T, bool]]],
        seconds: float,
    ) -> T:
        """Return what ``look`` finds as soon as it says that it was waited for; after ``seconds`` what it finds then.

        It looks again when an event passes that it ``wants``, and when the server stops.
        """
        waits = f"wait/{principal}"
        if self._open.get(waits, 0) >= WAITS_PER_KEY:
            raise LimitExceededError("waiting requests", found=WAITS_PER_KEY + 1, allowed=WAITS_PER_KEY)
        self._open[waits] = self._open.get(waits, 0) + 1
        # Listening before the first look: what ends in between is not missed.
        listener = Listener(platform_id, wants, early=True)
        self._listeners.add(listener)
        time = asyncio.get_running_loop().time
        until = time() + seconds
        try:
            found, over = await look()
            while not over and time() < until and not self.stopping.is_set():
                self._start()
                await self.or_stopped(listener.queue.get(), min(until - time(), LOOK_AGAIN))
                found, over = await look()
            return found
        finally:
            self._listeners.discard(listener)
            self._left(waits)

    async def or_stopped(self, wanted: Any, timeout: float) -> Any:
        """Return what is waited for; None after ``timeout`` seconds, or as soon as the server stops."""
        waiting = asyncio.ensure_future(wanted)
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait((waiting, stopping), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()
            stopping.cancel()

    async def _missed(self, platform_id: str, last_id: str) -> tuple[list[Event], bool]:
        # Back by the time an event may take to be seen: what got an earlier id may have come later.
        since = id_floor(id_time(last_id) - SETTLE)
        search = Search(Noun.OUTBOX, platform_id, Compare("id", ">", since), (Order("id"),), limit=REPLAY + 1)
        found: list[Event] = await self._store().read(lambda tx: tx.search.find(search))
        # Where the last one is gone from the record, what came after it may be gone as well.
        known = any(event.id == last_id for event in found)
        return [event for event in found[:REPLAY] if event.id != last_id], known and len(found) <= REPLAY

    def _start(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="mainspring:streams")

    async def _read(self) -> None:
        """Read what is new and hand it to everyone, as long as anyone listens."""
        ear = self._wakeups.listen("outbox", "ended", "pending")
        try:
            first = True
            while self._listeners:
                try:
                    events, complete = await self._store().read(self._new)
                    self._hand_out(events, quietly=first)
                    if not complete and not first:
                        for listener in self._listeners:
                            listener.miss()
                    first = False
                except MainspringError as error:
                    logger.warning("streams: cannot read events: %s", error)
                await ear.wait(POLL)
        finally:
            ear.close()

    def _new(self, tx: Tx) -> tuple[list[Event], bool]:
        """Return what happened of late, the oldest first, and whether that is all that was not seen yet."""
        where = Compare("id", ">", id_floor(tx.now - SETTLE))
        search = Search(Noun.OUTBOX, None, where, (Order("id", descending=True),), limit=READ)
        found: list[Event] = []
        for _ in range(READS):
            page = tx.search.find(replace(search, after=(found[-1].id,)) if found else search)
            found += page
            if len(page) < READ or all(event.id in self._seen for event in page):
                return found[::-1], True
        return found[::-1], False

    def _hand_out(self, events: Sequence[Event], *, quietly: bool) -> None:
        for event in events:
            if event.id in self._seen:
                continue
            self._seen[event.id] = None
            for listener in self._listeners:
                if listener.early or not quietly:
                    listener.offer(event)
        while len(self._seen) > 2 * READS * READ:
            self._seen.popitem(last=False)

    # -- anything else -------------------------------------------------------------------------------------------

    async def repeated(self, look: Callable[[], Any], every: float) -> AsyncIterator[bytes]:
        """Yield what ``look`` awaits to (frames, and whether that was all), every so many seconds, until the end."""
        quiet = 0.0
        while not self.stopping.is_set():
            frames, ended = await look()
            for one in frames:
                yield one
            if ended:
                yield frame("end", {"reason": "ended"})
                return
            quiet = 0.0 if frames else quiet + every
            if quiet >= HEARTBEAT:
                quiet = 0.0
                yield b": still here\n\n"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self.stopping.wait()
        yield frame("end", {"reason": "stopping"})


def frame(event: str, data: Any, id: str | int | None = None) -> bytes:
    r"""Return one event of a stream.

    >>> frame("line", {"n": 1}, 7)
    b'id: 7\nevent: line\ndata: {"n":1}\n\n'
    """
    name = "".join(sign for sign in event if sign.isprintable())
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {name}\ndata: ".encode() + orjson.dumps(data, default=str) + b"\n\n"
