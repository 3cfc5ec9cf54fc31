"""One process of a fleet: the store, a dispatcher, a worker and its heartbeats, started and stopped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mainspring._version import __version__
from mainspring.app.application import Application
from mainspring.app.declared import register_code
from mainspring.app.holding import Holding
from mainspring.app.process_figures import dispatcher_figures, worker_figures
from mainspring.app.wiring import Roles, open_inbound, webhook_sender
from mainspring.control.health import ALIVE
from mainspring.engine.children import Children
from mainspring.engine.executor import Attempt
from mainspring.engine.gaps import no_gap
from mainspring.engine.heartbeat import HeartbeatThread
from mainspring.engine.reaper import take_over
from mainspring.engine.service import Loop
from mainspring.engine.worker import Worker
from mainspring.errors import EngineBusyError
from mainspring.model.events import Event
from mainspring.model.log_events import about
from mainspring.model.metrics import Figure
from mainspring.model.outcome import Outcome
from mainspring.ports.store import Store, Tx

if TYPE_CHECKING:
    from mainspring.app.node_server import NodeServer
    from mainspring.engine.dispatcher import JobDispatcherWorker

logger = logging.getLogger("mainspring")


class Node:
    """Runs an application's roles. On one SQLite file an OS lock names the engine; on standby it is waited for."""

    def __init__(self, app: Application, roles: Roles, *, standby: bool = False) -> None:
        self._app, self.roles, self._standby = app, roles, standby
        self.id = f"{self._app.parts.random.getrandbits(64):016x}"
        self.dispatcher: JobDispatcherWorker | None = None
        self.worker: Worker | None = None
        #: Called for each attempt that starts here, and for each that ends; to be set before `start`.
        self.on_attempt: Callable[[Attempt], None] | None = None
        self.on_end: Callable[[Attempt, Outcome], None] | None = None
        #: Called with the events this node's dispatcher has published; to be set before `start`.
        self.on_published: Callable[[Sequence[Event]], None] | None = None
        self._heartbeat: HeartbeatThread | None = None
        self._cancels: Loop | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._holding: Holding | None = None
        self._server: NodeServer | None = None

    async def start(self) -> None:
        """Open the store, register what the code defines, and start the roles.

        Raises `EngineBusyError` where another process is the engine of this SQLite file, unless on standby.
        """
        self._app.wakeups.listen()  # so that the store hears from its first moment on what others tell
        store = await self._app.open()
        await store.write(lambda tx: register_code(self._app, tx))
        if self._become_engine(store):
            await self._start_roles(store)
        else:
            self._waiting = asyncio.create_task(self._take_over(store), name="mainspring:standby")

    async def stop(self) -> None:
        """Drain the worker, stop the dispatcher, let go of the store."""
        if self._figures in self._app.figures:
            self._app.figures.remove(self._figures)
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        if self._holding is not None:
            await self._holding.stop()
        if self.dispatcher is not None and hasattr(self._app.store, "become_engine"):
            # This is the file's one engine: what it decided now nobody would run, and later instants would be skipped
            # because of that. After the next start each job's own policy decides what has passed.
            self.dispatcher.held = True
        # The worker first: while it drains, the dispatcher still relays, and in a fleet decides and promotes.
        if self.worker is not None:
            await self.worker.stop()
        if self._cancels is not None:
            await self._cancels.stop()
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        if self.dispatcher is not None:
            await self.dispatcher.stop()
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
        await self._app.close()

    def release(self) -> None:
        """Stop waiting for running handlers: tell them to stop, so that they are released."""
        if self.worker is not None:
            self.worker.release()

    @property
    def metrics_port(self) -> int | None:
        """Where this process serves its metrics, None where it does not."""
        return None if self._server is None else self._server.port

    @property
    def is_engine(self) -> bool:
        """Whether this process runs its roles now, rather than standing by."""
        return self.dispatcher is not None or self.worker is not None

    def _become_engine(self, store: Store) -> bool:
        acquire = getattr(store, "become_engine", None)
        if acquire is None:
            return True
        try:
            acquire(str(self.roles))
        except EngineBusyError:
            if not self._standby:
                raise
            return False
        return True

    async def _take_over(self, store: Store) -> None:
        while not self._become_engine(store):  # noqa: ASYNC110 - a file lock tells nobody when it frees
            await asyncio.sleep(self._app.settings.poll_ms / 1000)
        logger.info("the former engine is gone: this process takes over", extra=about("node.took_over"))
        await self._start_roles(store)

    async def _start_roles(self, store: Store) -> None:
        app, parts = self._app, self._app.parts
        dispatcher = self._make_dispatcher(store) if self.roles.dispatcher else None
        if hasattr(store, "become_engine"):
            # Whoever held these leases held the file's lock as well, and does so no longer.
            await take_over(store, parts.random, grace=app.settings.dispatcher().grace)
        poll = app.settings.heartbeat_ms / 1000
        holding = Holding(store, parts.wakeups, lambda: [one for one in (dispatcher, self.worker) if one], poll=poll)
        await holding.start()
        self._holding = holding
        gap = no_gap if dispatcher is None else dispatcher.planning.gaps.wait
        worker = await self._start_worker(store, held=holding.held, gap=gap) if self.roles.worker else None
        if dispatcher is not None:
            if worker is not None:
                dispatcher.relay.makes_way = lambda: dispatcher.planning.behind or worker.behind
                worker.more_comes = lambda: dispatcher.planning.behind
                worker.makes_way = lambda: dispatcher.planning.pressed
            await dispatcher.start()
            self.dispatcher = dispatcher
        self._tell_figures()

    def _make_dispatcher(self, store: Store) -> JobDispatcherWorker:
        from mainspring.engine.dispatcher import JobDispatcherWorker  # which a worker of a fleet does not load

        app, parts = self._app, self._app.parts
        dispatcher = JobDispatcherWorker(
            f"dispatcher-{self.id}",
            store,
            app.bus,
            parts.wakeups,
            app.settings.dispatcher(),
            random=parts.random,
            transport=app.transport,
            schedules=app.schedules,
            sender=webhook_sender(app.settings, parts),
            inbound=open_inbound(app.settings, f"dispatcher-{self.id}"),
            platform_id=app.platform_id,
            tracing=app.tracing,
            version=__version__,
        )
        dispatcher.relay.on_published = self.on_published
        return dispatcher

    def _figures(self) -> Iterable[Figure]:
        """What this node has done."""
        if self.worker is not None:
            yield from worker_figures(self.worker)
        if self.dispatcher is not None:
            yield from dispatcher_figures(self.dispatcher)

    def _tell_figures(self) -> None:
        """Tell metrics whoever asks this process; on an address of its own where a setting names one."""
        app = self._app
        app.figures.append(self._figures)
        address = app.settings.metrics_address()
        if address is not None:
            from mainspring.app.exposition import Exposition
            from mainspring.app.node_server import NodeServer

            loop = asyncio.get_running_loop()
            exposition = Exposition(app, fleet=self.roles.dispatcher, loop=lambda: loop)
            self._server = NodeServer(address, exposition, app.store, loop)
            self._server.what_is_wrong = self._what_is_wrong
            self._server.start()
            where = f"http://{address[0]}:{self._server.port}/metrics"
            logger.info("metrics at %s", where, extra=about("metrics.served", url=where))

    def _what_is_wrong(self, tx: Tx) -> str | None:
        """Return what keeps a role of this process from being ready, as its own rows show it."""
        since = tx.now - ALIVE
        seen = {worker.id for worker in tx.nodes.workers(seen_since=since) if worker.status == "running"}
        seen |= {one.id for one in tx.nodes.dispatchers(seen_since=since) if one.status == "running"}
        ours = [one for one in (self.worker and self.worker.id, self.dispatcher and self.dispatcher.worker_id) if one]
        return next((f"{one} was not seen within {ALIVE.total_seconds():g} s" for one in ours if one not in seen), None)

    async def _start_worker(self, store: Store, *, held: bool, gap: Callable[[float], float]) -> Worker:
        app, parts = self._app, self._app.parts
        settings = app.settings.worker()
        worker = self.worker = Worker(
            f"worker-{self.id}",
            store,
            app.registry,
            parts.wakeups,
            settings,
            random=parts.random,
            transport=app.transport,
            tracing=app.tracing,
            version=__version__,
            gap=gap,
            children=Children if app.tracing is None else partial(Children, app.tracing.child),
        )
        worker.on_attempt, worker.on_end = self.on_attempt, self.on_end
        worker.held = held
        await worker.start()
        heartbeat = HeartbeatThread(
            store,
            asyncio.get_running_loop(),
            interval=settings.heartbeat.total_seconds(),
            work=worker.beat,
            on_beat=worker.on_beat,
            busy=lambda: worker.busy,
            gap=gap,
        )
        worker.on_busy = heartbeat.attend
        heartbeat.start()
        self._heartbeat = heartbeat

        async def beat_now() -> None:
            heartbeat.beat_now()

        self._cancels = Loop(
            "cancels",
            beat_now,
            wakeups=parts.wakeups,
            topics=("cancel",),
            poll=None,  # what was not heard of a beat that comes anyway will tell
        )
        self._cancels.start()
        return worker
