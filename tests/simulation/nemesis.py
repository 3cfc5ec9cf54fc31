"""What goes wrong, drawn from the seed: each run has its own mix, from perfect health to everything at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.simulation.cluster import Node
from tests.simulation.loop import Life
from tests.simulation.world import Process, Rates, World


class Nemesis:
    """Kills, pauses, cuts off, and sets clocks."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, world.random("nemesis")
        self.nodes: list[Node] = []
        self._count = 0
        self._paused: dict[str, Node] = {}
        self._background: set[asyncio.Task[None]] = set()
        world.crash = self._crash
        r = self.random
        self._kinds = [k for k in ("kill", "pause", "drain", "down", "jump", "another") if r.random() < 0.55]
        self._every = r.choice([5, 12, 30])
        self._dispatchers, self._workers = r.randint(1, 3), r.randint(1, 3)

    def rates(self) -> Rates:
        """Draw how often single transactions go wrong."""
        r = self.random
        return Rates(
            refused=r.choice([0, 0, 0.02, 0.1]),
            answer_lost=r.choice([0, 0, 0.02, 0.1]),
            slow=r.choice([0, 0.02, 0.1]),
            slowest=r.choice([0.5, 3, 12]),
            crash=r.choice([0, 0, 0.002, 0.01]),
            wake_lost=r.choice([0, 0.2, 1.0]),
            wake_twice=r.choice([0, 0.2]),
            bus_fails=r.choice([0, 0.1, 0.5]),
            post_fails=self.world.random("receiver's health").choice([0, 0.1, 0.5, 1.0]),
        )

    def begin(self) -> None:
        """Start the first nodes."""
        together = self.random.random() < 0.3
        for index in range(max(self._dispatchers, self._workers)):
            if together:
                self._join(dispatcher=index < self._dispatchers, worker=index < self._workers)
                continue
            if index < self._dispatchers:
                self._join(dispatcher=True)
            if index < self._workers:
                self._join(worker=True)

    async def rage(self, seconds: float) -> None:
        """Let things go wrong for a while."""
        self.world.rates = self.rates()
        if self.world.streams is not None:
            mischief = Process.spawn(self._hand, self.world.streams.rage(seconds))
            self._background.add(mischief)
        end = self.world.loop.time() + seconds
        while self._kinds and self.world.loop.time() < end:
            await asyncio.sleep(self.random.expovariate(1 / self._every))
            if self.world.loop.time() < end:
                await getattr(self, f"_{self.random.choice(self._kinds)}")()

    async def relent(self) -> None:
        """Stop: wake what sleeps, and see that every role has a node that lives."""
        world = self.world
        world.rates, world.down = Rates(), False
        if world.streams is not None:
            world.streams.relent()
        for node in list(self._paused.values()):
            self._wake(node)
        for process in self.nodes:
            process.store.quiet = True
        alive = [node for node in self.nodes if not node.life.dead]
        if not any(node.roles[0] for node in alive):
            self._join(dispatcher=True)
        if not any(node.roles[1] for node in alive):
            self._join(worker=True)
        # Give every queue a worker: what waits for one that nobody serves would wait for ever, and rightly so.
        self._join(worker=True)
        for process in self.nodes:
            process.store.quiet = True

    # -- faults --------------------------------------------------------------------------------------------------------

    def _join(self, *, dispatcher: bool = False, worker: bool = False) -> Node:
        self._count += 1
        slots = {"default": self.random.randint(1, 4), "side": self.random.randint(1, 3)}
        node = Node(self.world, f"n{self._count}", dispatcher=dispatcher, worker=worker, slots=slots)
        self.world.say("%s joins as %s%s", node.name, "dispatcher " * dispatcher, "worker" * worker)
        self.nodes.append(node)
        node.start()
        return node

    def _alive(self) -> list[Node]:
        return [node for node in self.nodes if not node.life.dead and node.name not in self._paused]

    def _crash(self, life: Life) -> None:
        node = next((node for node in self.nodes if node.life is life), None)
        if node is not None:
            self._gone(node)

    def _gone(self, node: Node) -> None:
        """A process is dead; its supervisor starts another one a little later, with another name."""
        node.kill()
        after = self.random.choice([0.1, 3, 20, 40])
        self.world.say("%s is dead; back in %g s", node.name, after)
        dispatcher, worker = node.roles
        self._later(after, lambda: self._join(dispatcher=dispatcher, worker=worker))

    def _later(self, seconds: float, act: object) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            if not self.world.closing:
                act()  # type: ignore[operator]

        # By the nemesis, not by the process in whose step this may be called.
        outside = Process.spawn(self._hand, wait())
        self._background.add(outside)
        outside.add_done_callback(self._background.discard)

    @property
    def _hand(self) -> Process:
        if not hasattr(self, "_own"):
            self._own = Process(self.world, "nemesis")
        return self._own

    async def _kill(self) -> None:
        if alive := self._alive():
            self._gone(self.random.choice(alive))

    async def _drain(self) -> None:
        if alive := [n for n in self._alive() if n.ready]:
            node = self.random.choice(alive)
            self.world.say("%s is told to stop", node.name)
            node.task = node.spawn(node.drain())
            dispatcher, worker = node.roles
            self._later(5, lambda: self._join(dispatcher=dispatcher, worker=worker))

    async def _another(self) -> None:
        if len(self._alive()) < 6:
            self._join(dispatcher=self.random.random() < 0.5, worker=True)

    async def _pause(self) -> None:
        if alive := self._alive():
            node = self.random.choice(alive)
            seconds = self.random.choice([1, 4, 14, 16, 25, 40])
            self.world.say("%s stands still for %g s", node.name, seconds)
            node.life.pause()
            self._paused[node.name] = node
            self._later(seconds, lambda: self._wake(node))

    def _wake(self, node: Node) -> None:
        if self._paused.pop(node.name, None) is not None:
            self.world.say("%s wakes", node.name)
            node.life.wake(self.world.loop)

    async def _down(self) -> None:
        seconds = self.random.choice([0.5, 3, 20])
        self.world.say("the database is away for %g s", seconds)
        self.world.down = True

        def back() -> None:
            self.world.down = False

        self._later(seconds, back)

    async def _jump(self) -> None:
        seconds = self.random.choice([0.5, 5, 20, 200])
        self.world.say("the store's clock jumps %g s forward", seconds)
        self.world.stepped = True
        self.world.clock.jump(timedelta(seconds=seconds))
