"""The nodes of a cluster: real dispatchers and workers, each in a process of its own, and the handlers they run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from mainspring import Context, Fail, Retry, Snooze
from mainspring.engine.dispatcher import DispatcherSettings, JobDispatcherWorker
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.worker import Worker
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.errors import MainspringError, StoreUnavailableError
from mainspring.testing.inline import InlineChildren, InlineThreads
from tests.simulation.world import Process, SimBus, SimSender, Start, World

#: What the simulated handlers can be asked to do.
BEHAVIOURS = (
    "succeed", "slow", "fail", "flaky", "hang", "swallow", "stubborn", "snooze", "retry", "give_up", "talk",
    "bad_result", "cancels_itself", "plain", "child",
)  # fmt: skip


class Handlers:
    """What the handlers do, told by their payload, and the ledger of every start."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._node = world, name
        self._random = world.random(f"handlers of {name}")

    def registry(self) -> JobHandlerRegistry:
        """Return the handlers of one process."""
        registry = JobHandlerRegistry()
        registry.register_handler("work", self._work)
        registry.register_handler("plain", self._plain)
        registry.register_handler("child", self._child, isolation="process")
        return registry

    def _plain(self, context: Context, does: str = "succeed", seconds: float = 0.0, n: int = 0) -> str:
        start = self._started(context)
        start.ended = "success"
        return _result(context)

    async def _child(self, context: Context, does: str = "succeed", seconds: float = 0.0, n: int = 0) -> str:
        start = self._started(context)
        await asyncio.sleep(seconds)
        start.ended = "success"
        return _result(context)

    async def _work(self, context: Context, does: str = "succeed", seconds: float = 0.0, n: int = 0) -> Any:
        start = self._started(context)
        context.log.info("started", fence=context.fence)
        context.progress(context.fence)
        try:
            result = await self._do(context, does, seconds)
        except BaseException as error:
            start.ended = type(error).__name__
            raise
        context.log.info("ended", fence=context.fence)
        start.ended = "success"
        return result

    async def _do(self, context: Context, does: str, seconds: float) -> Any:
        match does:
            case "slow" | "talk":
                for _ in range(4):
                    await asyncio.sleep(seconds / 4)
                    context.progress(context.fence)
                    context.log.info("on", fence=context.fence)
            case "fail":
                await asyncio.sleep(seconds / 2)
                raise ValueError("it always fails")
            case "flaky":
                await asyncio.sleep(seconds / 2)
                if self._random.random() < 0.5:
                    raise ValueError("it fails at times")
            case "hang":
                if self._random.random() < 0.5:
                    await asyncio.sleep(3600)
            case "swallow":
                try:
                    await asyncio.sleep(seconds)
                except asyncio.CancelledError:
                    await asyncio.sleep(1)
            case "stubborn":
                until = asyncio.get_running_loop().time() + 20 + seconds
                while asyncio.get_running_loop().time() < until and not self._world.closing:
                    try:
                        await asyncio.sleep(5)
                    except asyncio.CancelledError:
                        continue
            case "snooze":
                if self._random.random() < 0.5:
                    raise Snooze(self._random.uniform(0.5, 5))
            case "retry":
                if self._random.random() < 0.6:
                    raise Retry(after=self._random.uniform(0, 3))
            case "give_up":
                raise Fail("not worth another try")
            case "bad_result":
                return object()
            case "cancels_itself":
                raise asyncio.CancelledError
            case _:
                await asyncio.sleep(seconds)
        return _result(context)

    def _started(self, context: Context) -> Start:
        start = Start(context.execution_id, context.fence, self._node, self._world.now)
        self._world.starts.append(start)
        return start


def _result(context: Context) -> str:
    return f"{context.execution_id}:{context.fence}"


class Node(Process):
    """One process with a dispatcher, a worker, or both; it starts itself and never gives up trying to."""

    def __init__(self, world: World, name: str, *, dispatcher: bool, worker: bool, slots: dict[str, int]) -> None:
        super().__init__(world, name)
        self.roles = (dispatcher, worker)
        self.slots = slots
        self.dispatcher: JobDispatcherWorker | None = None
        self.worker: Worker | None = None
        self.ready = False
        self.beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self.task = self.spawn(self._live())

    async def _live(self) -> None:
        random = self.world.random(f"node {self.name}")
        dispatches, works = self.roles
        if dispatches:
            self.dispatcher = JobDispatcherWorker(
                f"{self.name}:dispatcher",
                self.store,
                SimBus(self.world),
                self.wakeups,
                DispatcherSettings(),
                random=random,
                transport=self.transport,
                sender=SimSender(self.world),
            )
            await self._insist(self.dispatcher.start)
        if works:
            self.worker = Worker(
                f"{self.name}:worker",
                self.store,
                Handlers(self.world, self.name).registry(),
                self.wakeups,
                WorkerSettings(queues=self.slots),
                random=random,
                transport=self.transport,
                threads=InlineThreads,
                children=InlineChildren,
            )
            await self._insist(self.worker.start)
            self.beating = self.spawn(self._beat(self.worker))
        self.ready = True

    async def _insist(self, begin: Any) -> None:
        while True:
            try:
                return await begin()
            except StoreUnavailableError:
                await asyncio.sleep(1)

    async def _beat(self, worker: Worker) -> None:
        """What the heartbeat thread does, in this loop: a step of its own, which no handler can hold up."""
        listener = self.wakeups.listen("cancel")
        while True:
            await listener.wait(worker.settings.heartbeat.total_seconds())
            try:
                worker.on_beat(await self.store.write(worker.beat()))
            except MainspringError:
                continue

    async def drain(self) -> None:
        """Stop as SIGTERM would, then be gone."""
        try:
            if self.worker is not None:
                await self.worker.stop(timedelta(seconds=3))
            if self.dispatcher is not None:
                await self.dispatcher.stop()
        except MainspringError:
            self.world.say("%s could not say goodbye", self.name)
        self.kill()
