"""The world of one run: one record, a clock, what hits it, and everything that was seen to happen.

Each node reaches the record through a `NodeStore` of its own, which is where answers are lost and databases go away.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Generic, TypeVar

from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.errors import BusUnavailableError, StoreUnavailableError
from mainspring.model.events import Event
from mainspring.model.webhook import Answer, Reception
from mainspring.ports.store import TooEarlyError, Tx, Work
from mainspring.ports.transport import DatabaseTransport, Transport
from mainspring.testing.loop import VirtualClock
from tests.locks import watched
from tests.simulation.auditor import Auditor
from tests.simulation.loop import LIFE, Life, SimLoop
from tests.simulation.streams import Streams, StreamTransport

T = TypeVar("T")
NOBODY = contextvars.Context()
#: How often somebody else wants to write while work waits for its instant.
OTHERS_FIRST = 0.2


@dataclass
class Rates:
    """How often what goes wrong, as probabilities per transaction (or per notification)."""

    refused: float = 0.0
    answer_lost: float = 0.0
    slow: float = 0.0
    slowest: float = 2.0
    crash: float = 0.0
    wake_lost: float = 0.0
    wake_twice: float = 0.0
    bus_fails: float = 0.0
    post_fails: float = 0.0


@dataclass
class Start:
    """One start of a handler, as the handler saw it."""

    execution_id: str
    fence: int
    node: str
    at: datetime
    ended: str = "running"


class World:
    """All there is in one run."""

    def __init__(self, seed: int, loop: SimLoop, start: datetime) -> None:
        self.seed, self.loop = seed, loop
        self.clock = VirtualClock(loop, start)
        self.rates = Rates()
        self.down = False
        self.closing = False
        self.stepped = False
        self.slow_until = 0.0
        self.at_end: list[Callable[[], None]] = []
        self.trace: deque[str] = deque(maxlen=4000)
        self.keep: list[str] | None = None
        self.starts: list[Start] = []
        self.published: dict[str, int] = {}
        self.posted: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()
        self.lives: list[Life] = []
        self.ears: list[tuple[Life, InProcessWakeups]] = []
        self.faults = self.random("faults")
        #: In half of the runs work is announced over streams, in the others by waking whoever listens.
        self.streams = Streams(self) if self.random("transport").random() < 0.5 else None
        self.base = MemoryStore(
            self.clock, random=self.random("ids"), wakeups=self, announcer=self.streams, record_transitions=True
        )
        #: The record itself, past its doors: for the auditor, and for planting faults.
        self.tables: Any = self.base._tx
        self.auditor = Auditor(self)
        self.crash: Callable[[Life], None] = lambda life: None
        loop.set_exception_handler(self._on_loop_error)

    def random(self, name: str) -> Random:
        """A source of chance of its own for each part, so that one drawing more does not disturb the others."""
        return Random(f"{self.seed}:{name}")

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def say(self, what: str, *arguments: object) -> None:
        """Add a line to the trace."""
        line = f"{self.loop.time():9.3f} {self.now:%H:%M:%S.%f}  {what % arguments if arguments else what}"
        self.trace.append(line)
        if self.keep is not None:
            self.keep.append(line)

    def problem(self, what: str) -> None:
        """Note a violation; the run goes on to its next look and then ends."""
        self.problems.append(what)
        self.say("VIOLATION %s", what)

    # -- wake-ups: the store's, passed on to every node, or not ----------------------------------------------------

    def when_heard(self, then: Callable[[], None]) -> None:
        then()

    def notify(self, *topics: str) -> None:
        for life, ears in self.ears:
            if life.dead:
                continue
            draw = self.faults.random() if self.rates.wake_lost or self.rates.wake_twice else 1.0
            if draw < self.rates.wake_lost:
                continue
            # In nobody's context: what was committed is told even if the one who committed it dies at once.
            self.loop.call_soon(ears.notify, *topics, context=NOBODY)
            if draw > 1.0 - self.rates.wake_twice:
                self.loop.call_later(self.faults.uniform(0, 3), ears.notify, *topics, context=NOBODY)

    def listen(self, *topics: str) -> Any:
        raise AssertionError("nobody listens by this: each process has ears of its own")

    # -- transactions ------------------------------------------------------------------------------------------------

    def run(self, who: str, work: Work[T], *, writing: bool) -> T:
        """Run one transaction, look at what it did, and note it."""
        if not writing:
            return self.base.read_blocking(work)
        self.auditor.begin()
        try:
            result = self.base.write_blocking(watched(work, self._out_of_turn))
        except BaseException as error:
            self.auditor.rolled_back()
            self.say("%s %s: %s: %s", who, name_of(work), type(error).__name__, error)
            raise
        name = name_of(work)
        self.counts[name] += 1
        self.auditor.committed(who, name)
        return result

    def _out_of_turn(self, wrong: str) -> None:
        self.problem(f"locks: {wrong}")

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.closing and "never retrieved" in str(context.get("message")):
            self.problem(f"nobody looked at {context.get('exception')!r} of {context.get('future')!r}")


def name_of(work: Any) -> str:
    """A short name for what a transaction does."""
    name = getattr(work, "__qualname__", None) or getattr(getattr(work, "func", None), "__qualname__", "work")
    return str(name).replace(".<locals>", "").replace(".<lambda>", "").replace(".work", "")


class NodeStore:
    """`Store` as one node sees it: slow, sometimes away, sometimes without an answer."""

    lead = timedelta(milliseconds=10)

    def __init__(self, world: World, life: Life) -> None:
        self._world, self._life = world, life
        self._faults = world.random(f"store of {life.name}")
        self.quiet = False
        self.companions: list[SimCompanion[Any]] = []
        self.begun: list[SimCompanion[Any]] = []

    async def open(self) -> None:
        """Nothing to do: the record is there."""

    async def close(self) -> None:
        """Nothing to do."""

    async def write(self, work: Work[T]) -> T:
        return await self._call(work, writing=True)

    async def read(self, work: Work[T]) -> T:
        return await self._call(work, writing=False)

    async def write_at(self, instant: datetime, work: Work[T]) -> T | None:
        """Do work at its instant, unless that is far off, the clock is put back meanwhile, or others come first."""
        left = (instant - self._world.now).total_seconds()
        if left > 2 * self.lead.total_seconds() or self._faults.random() < OTHERS_FIRST:
            return None
        await asyncio.sleep(max(left, 0.0))
        if self._world.now < instant:
            return None
        try:
            return await self._call(work, writing=True)
        except TooEarlyError:
            return None

    def write_blocking(self, work: Work[T]) -> T:
        raise AssertionError("nothing in a simulation has a thread to block")

    def read_blocking(self, work: Work[T]) -> T:
        raise AssertionError("nothing in a simulation has a thread to block")

    def accompany(self, topic: str, work: Work[T], done: Callable[[T], None] | None = None) -> SimCompanion[T]:
        return SimCompanion(self, topic, work, done)

    def woken(self, topics: Sequence[str]) -> None:
        """Begin what waits for one of these topics."""
        for companion in self.begun:
            companion.woken_again = companion.woken_again or companion.topic in topics
        for companion in [one for one in self.companions if one.topic in topics]:
            if companion.withdraw():
                companion.begin()

    async def _call(self, work: Work[T], *, writing: bool) -> T:
        world, rates, draw = self._world, self._world.rates, self._faults.random
        await asyncio.sleep(self._delay())
        if world.down or (not self.quiet and draw() < rates.refused):
            world.say("%s %s: REFUSED", self._life.name, name_of(work))
            raise StoreUnavailableError("the database is away")
        if not self.quiet and rates.crash and draw() < rates.crash:
            await self._crash("before", work)
        result = world.run(self._life.name, work, writing=writing)
        if self.quiet:
            return result
        if rates.crash and draw() < rates.crash:
            await self._crash("after", work)
        if draw() < rates.answer_lost:
            world.say("%s %s: ANSWER LOST", self._life.name, name_of(work))
            raise StoreUnavailableError("the answer was lost")
        if draw() < rates.slow:
            await asyncio.sleep(self._delay(slow=True))
        return result

    async def _crash(self, when: str, work: Work[Any]) -> None:
        self._world.say("%s CRASHES %s %s", self._life.name, when, name_of(work))
        self._world.crash(self._life)
        await asyncio.sleep(0)  # a dead node's steps never come back from here

    def _delay(self, *, slow: bool = False) -> float:
        if slow or (not self.quiet and self._faults.random() < self._world.rates.slow):
            seconds = self._faults.uniform(0, self._world.rates.slowest)
            self._world.slow_until = max(self._world.slow_until, self._world.loop.time() + seconds)
            return seconds
        return 0.001


class SimCompanion(Generic[T]):
    """`Companion` of a node's store: it begins as the topic is woken, in steps of that node."""

    def __init__(self, store: NodeStore, topic: str, work: Work[T], done: Callable[[T], None] | None) -> None:
        self.topic, self._store, self._work, self._done = topic, store, work, done
        self._context = contextvars.copy_context()
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.woken_again = False
        store.companions.append(self)

    def withdraw(self) -> bool:
        waiting = self in self._store.companions
        if waiting:
            self._store.companions.remove(self)
        return waiting

    async def result(self) -> T:
        try:
            return await self._future
        finally:
            if self in self._store.begun:
                self._store.begun.remove(self)

    def begin(self) -> None:
        """Run the work, as the store would run any."""
        self._store.begun.append(self)
        _ = asyncio.get_running_loop().create_task(self._run(), context=self._context)

    async def _run(self) -> None:
        try:
            result = await self._store.write(self._work)
        except StoreUnavailableError as error:
            if not self._future.done():
                self._future.set_exception(error)
        else:
            if not self._future.done():
                if self._done is not None:
                    self._done(result)
                self._future.set_result(result)


class Ears(InProcessWakeups):
    """What a process hears; its store first."""

    def __init__(self) -> None:
        super().__init__()
        self.store: NodeStore | None = None

    def notify(self, *topics: str) -> None:
        if self.store is not None:
            self.store.woken(topics)
        super().notify(*topics)


class SimBus:
    """`Bus` that counts what it was given, and sometimes fails after or before taking it."""

    def __init__(self, world: World) -> None:
        self._world, self._faults = world, world.random("bus")

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.sleep(0.001)
        fails = self._faults.random() < self._world.rates.bus_fails
        taken = events if not fails else events[: self._faults.randrange(len(events) + 1)]
        for event in taken:
            self._world.published[event.id] = self._world.published.get(event.id, 0) + 1
        if fails:
            raise BusUnavailableError("the bus is away")

    def subscribe(self, pattern: str, subscriber: Any) -> Callable[[], None]:
        raise AssertionError("nobody in a simulation subscribes")

    async def close(self) -> None:
        """Nothing to close."""


class SimSender:
    """`WebhookSender` to a receiver that is slow at times, refuses at times, and whose answers are lost at times."""

    def __init__(self, world: World) -> None:
        self._world, self._faults = world, world.random("receiver")

    async def send(self, url: str, *, id: str, body: str, secrets: Sequence[str]) -> Answer:
        world, draw = self._world, self._faults.random
        await asyncio.sleep(0.001 if draw() > world.rates.slow else self._faults.uniform(0, 40))
        if draw() < world.rates.post_fails:
            return Answer(Reception.RETRY, "the receiver answered 500")
        world.posted.append((url, id))
        if draw() < world.rates.post_fails:
            return Answer(Reception.RETRY, "no answer")
        return Answer(Reception.DELIVERED, "the receiver answered 200")


@dataclass
class Process:
    """A process of the cluster: alive until killed, in a context of its own."""

    world: World
    name: str
    life: Life = field(init=False)
    wakeups: Ears = field(default_factory=Ears)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.life = Life(self.name)
        self.world.lives.append(self.life)
        self.world.ears.append((self.life, self.wakeups))
        self.store = self.wakeups.store = NodeStore(self.world, self.life)
        streams = self.world.streams
        self.transport: Transport = DatabaseTransport() if streams is None else StreamTransport(streams, self)

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Run a coroutine as part of this process."""
        token = LIFE.set(self.life)
        try:
            return asyncio.get_running_loop().create_task(coroutine, name=self.name)
        finally:
            LIFE.reset(token)

    def kill(self) -> None:
        self.life.kill()
        self.world.ears = [(life, ears) for life, ears in self.world.ears if life is not self.life]


def grace(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


__all__ = ["NodeStore", "Process", "Rates", "SimBus", "SimSender", "Start", "Tx", "World", "grace", "name_of"]
