"""What an application is before anything is declared or run: settings, handlers, jobs, and its way to the record."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mainspring.app.enqueuing import Enqueuer, Enqueues
from mainspring.app.wiring import SystemParts, open_bus, open_sealer, open_store, open_tracing, open_transport
from mainspring.control.scheduler import SchedulerService
from mainspring.control.traced import carried, producing, traced
from mainspring.engine.context import next_depth
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.errors import MainspringError
from mainspring.handlers import Builtins, register_builtins
from mainspring.model.execution import Execution
from mainspring.model.metrics import Figure
from mainspring.model.trace import headers
from mainspring.moves import events
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.moves.events import Published
from mainspring.moves.schedules import Schedules
from mainspring.ports.bus import Bus
from mainspring.ports.clock import Wakeups
from mainspring.ports.sealing import Sealer
from mainspring.ports.store import Store
from mainspring.ports.tracing import Tracing
from mainspring.ports.transport import Transport
from mainspring.settings import Settings, load_settings


class BlockingCallError(MainspringError):
    """A sync call was made inside a running event loop, which it would block. Use the ``a...`` one and await it."""

    code = "blocking_call"


class Application:
    """Settings, handlers, jobs and a store that is opened when it is first needed."""

    def __init__(
        self,
        database_url: str | Path | None = None,
        *,
        platform: str | None = None,
        tz: str | None = None,
        builtins: Builtins | None = None,
        parts: SystemParts | None = None,
        **settings: Any,
    ) -> None:
        url = f"sqlite:///{database_url}" if isinstance(database_url, Path) else database_url
        self.settings: Settings = load_settings(database_url=url, platform=platform, timezone=tz, **settings)
        self.platform_id = self.settings.platform
        self.registry = JobHandlerRegistry()
        self.jobs: list[dict[str, Any]] = []
        self.schedules = Schedules()
        self._parts = parts or SystemParts()
        self._store: Store | None = None
        self._transport: Transport | None = None
        self._bus: Bus | None = None
        self._tracing: list[Tracing | None] = []
        self._opened = False
        self._enqueues = Enqueues()
        self._enqueuer: Enqueuer | None = None
        self._sealer: Sealer | None = None
        self._lock = threading.Lock()
        #: What the parts of this process tell of themselves, for its metrics.
        self.figures: list[Callable[[], Iterable[Figure]]] = []
        #: Awaited, once each, before the database is let go of: what else uses it.
        self.before_close: list[Callable[[], Awaitable[None]]] = []
        register_builtins(self.registry, builtins, store=lambda: self.store, clock=self._parts.clock)

    @property
    def wakeups(self) -> Wakeups:
        """This process's wake-ups."""
        return self._parts.wakeups

    @property
    def parts(self) -> SystemParts:
        """The clock, the random source and the bus of this application."""
        return self._parts

    @property
    def store(self) -> Store:
        """The store, connected or not."""
        with self._lock:
            if self._transport is None:
                self._transport = open_transport(self.settings, self._parts)
            if self._store is None:
                self._store = open_store(self.settings, self._parts, self._transport)
            return self._store

    @property
    def transport(self) -> Transport:
        """What carries queued executions to workers, opened or not."""
        assert self.store is not None
        assert self._transport is not None, "they are made together"
        return self._transport

    @property
    def bus(self) -> Bus:
        """Where events go; nothing is connected before something is published or subscribed."""
        with self._lock:
            if self._bus is None:
                self._bus = open_bus(self.settings, self._parts)
            return self._bus

    @property
    def sealer(self) -> Sealer:
        """What seals secrets for the record."""
        if self._sealer is None:
            self._sealer = open_sealer(self.settings)
        return self._sealer

    @property
    def tracing(self) -> Tracing | None:
        """What makes spans, None where traces are not recorded."""
        with self._lock:
            if not self._tracing:
                self._tracing.append(open_tracing(self.settings, self._parts))
            return self._tracing[0]

    async def open(self) -> Store:
        """Connect, once; return the store."""
        store = await self._open_store()
        await self.transport.open()
        return store

    async def _open_store(self) -> Store:
        store = self.store
        if not self._opened:
            await store.open()
            self._opened = True
        return store

    def open_blocking(self) -> Store:
        """Connect, once, from sync code; return the store."""
        refuse_loop("open_blocking", "open")
        if not self._opened:
            # Not the transport: it would be bound to an event loop that is gone in a moment.
            asyncio.run(self._open_store())
        return self.store

    @property
    def is_open(self) -> bool:
        """Whether the store is connected."""
        return self._opened

    async def close(self) -> None:
        """Let go of the database. What was enqueued is safe."""
        while self.before_close:
            await self.before_close.pop()()
        if self._tracing and (tracing := self._tracing.pop()) is not None:
            await asyncio.to_thread(tracing.close)
        store, self._store, self._opened = self._store, None, False
        transport, self._transport = self._transport, None
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()
        if store is not None:
            await store.close()
        if transport is not None:
            await transport.close()

    @contextlib.contextmanager
    def using(self, parts: SystemParts) -> Iterator[None]:
        """Use other parts while the block runs, as tests do; what was in use before comes back untouched."""
        kept = self._parts, self._store, self._transport, self._bus, self._opened, self.schedules
        self._parts, self._store, self._transport, self._bus = parts, None, None, None
        self._opened, self.schedules = False, Schedules()
        try:
            yield
        finally:
            self._parts, self._store, self._transport, self._bus, self._opened, self.schedules = kept

    async def aenqueue(self, request: EnqueueRequest) -> Execution:
        """Make an execution; durable when this returns. Concurrent callers of one event loop share transactions."""
        store, loop = await self.open(), asyncio.get_running_loop()
        if self._enqueuer is None or not self._enqueuer.serves(store, loop):
            self._enqueuer = Enqueuer(store, loop, self._enqueues)
        if self.tracing is None:
            return await self._enqueuer.enqueue(carried(request))
        with producing(self.tracing, request.handler, request.platform_id) as span:
            return span.made(await self._enqueuer.enqueue(traced(request, span.ids)))

    def enqueue(self, request: EnqueueRequest) -> Execution:
        """Make an execution from sync code; durable when this returns."""
        store = self.open_blocking()
        with producing(self.tracing, request.handler, request.platform_id) as span:
            mine = traced(request, span.ids)
            return span.made(store.write_blocking(self._enqueues.work([mine]))[0])

    def scheduler(self, *, actor: str = "code") -> SchedulerService:
        """Return the service that creates, pauses, triggers, lists and explains; the store must be open."""
        service = SchedulerService(self.store, platform_id=self.platform_id, schedules=self.schedules, actor=actor)
        service.health_limits, service.tracing = self.settings.health(), self.tracing
        return service

    async def apublish(
        self,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str = "mainspring",
        subject: str | None = None,
    ) -> Published:
        """Publish an event: accepted once by source and id, it runs the jobs declared with `on` that match it.

        Published from within a handler it carries on that execution's chain depth, so that jobs which feed each other
        come to an end.
        """
        await self.open()
        depth = next_depth()
        return await self.scheduler().handle_event(type, data, id=id, source=source, subject=subject, chain_depth=depth)

    def publish(
        self,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str = "mainspring",
        subject: str | None = None,
    ) -> Published:
        """Publish an event from sync code; see `apublish`."""
        refuse_loop("publish", "apublish")
        store, depth, extensions = self.open_blocking(), next_depth(), headers()
        return store.write_blocking(
            lambda tx: events.publish(
                tx,
                self.platform_id,
                type,
                data,
                event_id=id,
                source=source,
                subject=subject,
                chain_depth=depth,
                extensions=extensions,
                schedules=self.schedules,
            )
        )


def refuse_loop(name: str, instead: str) -> None:
    """Raise `BlockingCallError` where an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingCallError(f"{name}() would block the running event loop: use `await ...{instead}()`")
