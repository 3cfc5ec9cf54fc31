"""The `Mainspring` class: declare handlers and jobs, enqueue, publish, run."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from mainspring.app.handle import Handle, refuse_loop
from mainspring.app.policies import HANDLER_OPTIONS, HandlerOptions, Policies, Span, job_fields, plain_instant
from mainspring.app.wiring import Roles, SystemParts, open_store
from mainspring.control.scheduler import SchedulerService
from mainspring.engine.children import in_child
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.errors import ConflictError
from mainspring.model.job import JobType
from mainspring.model.wire import duration, milliseconds
from mainspring.moves import events
from mainspring.moves.events import Published
from mainspring.moves.schedules import Schedules
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store
from mainspring.settings import Settings, load_settings

if TYPE_CHECKING:
    from mainspring.app.node import Node

P = ParamSpec("P")
R = TypeVar("R")


class Mainspring:
    """An application: its handlers, its jobs, and the database that keeps the record.

    Nothing happens until something is asked for: making one connects to nothing and reads no file but the settings.

    Args:
        database_url: ``sqlite:///jobs.db``; by default ``MAINSPRING_DATABASE_URL``, else ``mainspring.toml``, else
            ``sqlite:///mainspring.db``.
        platform: The tenant whose jobs and executions these are.
        tz: Zone of jobs that name none; by default the platform's, else UTC. Never the machine's.
        settings: Any other setting of `mainspring.settings.Settings` by name.

    >>> ms = Mainspring("sqlite:///jobs.db")
    >>> @ms.every("5m")
    ... async def sync_inbox() -> int:
    ...     return 1
    >>> [job["name"] for job in ms.jobs]
    ['sync_inbox']
    """

    def __init__(
        self,
        database_url: str | Path | None = None,
        *,
        platform: str | None = None,
        tz: str | None = None,
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
        self._opened = False
        self._lock = threading.Lock()

    # -- declaring -----------------------------------------------------------------------------------------------

    def handler(
        self, name: str | None = None, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Register a function as a handler; its options are the defaults of its jobs and enqueues."""
        return lambda fn: self._register(fn, name, "function", dict(options))

    def agent(
        self, name: str | None = None, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Register a function as a handler of type agent."""
        return lambda fn: self._register(fn, name, "agent", dict(options))

    def workflow(
        self, name: str | None = None, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Register a function as a handler of type workflow."""
        return lambda fn: self._register(fn, name, "workflow", dict(options))

    def cron(
        self,
        *expressions: str,
        name: str | None = None,
        seconds: bool = False,
        day_match: str | None = None,
        **policies: Unpack[Policies],
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Run the function at the times of one or more cron expressions, in ``tz``."""
        schedule: dict[str, Any] = {"cron": expressions[0] if len(expressions) == 1 else list(expressions)}
        if seconds:
            schedule["seconds"] = True
        if day_match is not None:
            schedule["day_match"] = day_match
        return self._job(JobType.CRON, schedule, name, policies)

    def every(
        self,
        period: Span | Mapping[str, int],
        *,
        name: str | None = None,
        anchor_at: datetime | str | None = None,
        **policies: Unpack[Policies],
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Run the function on a fixed grid (``"5m"``), or in calendar steps (``{"months": 1}``), from the anchor."""
        if isinstance(period, Mapping):
            schedule: dict[str, Any] = {"every": dict(period)}
        else:
            schedule = {"every_ms": milliseconds(duration(period, "every"))}
        if anchor_at is not None:
            schedule["anchor_at"] = plain_instant(anchor_at)
        return self._job(JobType.RECURRING, schedule, name, policies)

    def rrule(
        self,
        rule: str,
        *,
        dtstart: datetime | str,
        name: str | None = None,
        exdate: list[datetime | str] | None = None,
        rdate: list[datetime | str] | None = None,
        **policies: Unpack[Policies],
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Run the function by a recurrence rule of RFC 5545."""
        schedule: dict[str, Any] = {"rrule": rule, "dtstart": plain_instant(dtstart)}
        if exdate:
            schedule["exdate"] = [plain_instant(at) for at in exdate]
        if rdate:
            schedule["rdate"] = [plain_instant(at) for at in rdate]
        return self._job(JobType.RECURRING, schedule, name, policies)

    def at(
        self, run_at: datetime | str, *, name: str | None = None, **policies: Unpack[Policies]
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Run the function once, at an instant or at a wall time in ``tz``."""
        return self._job(JobType.ONE_TIME, {"run_at": plain_instant(run_at)}, name, policies)

    def on(
        self, *patterns: str, name: str | None = None, **policies: Unpack[Policies]
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        """Run the function for each event whose type matches a pattern (``*`` one segment, ``**`` the tail)."""
        return self._job(JobType.EVENT, {"events": list(patterns)}, name, policies)

    def _job(
        self, kind: JobType, schedule: Mapping[str, Any], name: str | None, policies: Mapping[str, Any]
    ) -> Callable[[Callable[P, R]], Handle[P, R]]:
        fields = job_fields(schedule, policies)

        def declare(fn: Callable[P, R]) -> Handle[P, R]:
            options = {key: value for key, value in policies.items() if key in HANDLER_OPTIONS}
            if isinstance(fn, Handle):
                handle: Handle[P, R] = fn
            else:
                handle = self._register(fn, name if name and not _taken(self, name, fn) else None, "function", options)
            job_name = name or handle.name
            if any(job["name"] == job_name for job in self.jobs):
                raise ConflictError(f"two jobs are named {job_name!r}: give one of them name=...")
            self.jobs.append({"name": job_name, "type": kind.value, "handler": handle.name, **fields})
            return handle

        return declare

    def _register(self, fn: Callable[P, R], name: str | None, kind: str, options: Mapping[str, Any]) -> Handle[P, R]:
        handler = self.registry.register_handler(name or fn.__name__, fn, type=kind, **options)
        return Handle(self, handler)

    # -- using ---------------------------------------------------------------------------------------------------

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
            if self._store is None:
                self._store = open_store(self.settings, self._parts)
            return self._store

    async def open(self) -> Store:
        """Connect, once; return the store."""
        store = self.store
        if not self._opened:
            await store.open()
            self._opened = True
        return store

    def open_blocking(self) -> Store:
        """Connect, once, from sync code; return the store."""
        refuse_loop("open_blocking", "open")
        if not self._opened:
            asyncio.run(self.open())
        return self.store

    async def close(self) -> None:
        """Let go of the database. What was enqueued is safe."""
        store, self._store, self._opened = self._store, None, False
        if store is not None:
            await store.close()

    def scheduler(self, *, actor: str = "code") -> SchedulerService:
        """Return the service that creates, pauses, triggers, lists and explains; the store must be open."""
        return SchedulerService(self.store, platform_id=self.platform_id, schedules=self.schedules, actor=actor)

    async def apublish(
        self,
        type: str,  # noqa: A002 - the field's name
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's name
        source: str = "mainspring",
        subject: str | None = None,
    ) -> Published:
        """Publish an event: accepted once by source and id, it runs the jobs declared with `on` that match it."""
        await self.open()
        return await self.scheduler().handle_event(type, data, id=id, source=source, subject=subject)

    def publish(
        self,
        type: str,  # noqa: A002 - the field's name
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's name
        source: str = "mainspring",
        subject: str | None = None,
    ) -> Published:
        """Publish an event from sync code; see `apublish`."""
        refuse_loop("publish", "apublish")
        store = self.open_blocking()
        return store.write_blocking(
            lambda tx: events.publish(tx, self.platform_id, type, data, event_id=id, source=source, subject=subject)
        )

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, roles: Roles | None = None) -> None:
        """Run dispatcher and worker in this process until SIGTERM or SIGINT, then drain; a second signal releases."""
        if in_child():
            return  # a child process that loads this script to find one handler in it
        refuse_loop("run", "serve")
        asyncio.run(self.serve(roles))

    async def serve(
        self,
        roles: Roles | None = None,
        *,
        stop: asyncio.Event | None = None,
        on_node: Callable[[Node], None] | None = None,
    ) -> None:
        """Do what `run` does, inside a running loop; ``stop`` ends it as a signal would.

        ``on_node`` is called with the node before it starts: for whoever watches it.
        """
        from mainspring.app.node import Node

        node = Node(self, roles or Roles())
        if on_node is not None:
            on_node(node)
        stopping = stop or asyncio.Event()
        with _signals(stopping, node.release):
            await node.start()
            try:
                await stopping.wait()
            finally:
                await node.stop()

    @contextlib.asynccontextmanager
    async def running(self, roles: Roles | None = None) -> AsyncIterator[None]:
        """Run dispatcher and worker while the block runs; where another engine holds the file, stand by for it."""
        from mainspring.app.node import Node

        node = Node(self, roles or Roles(), standby=True)
        await node.start()
        try:
            yield
        finally:
            await node.stop()

    def lifespan(self, app_or_lifespan: Any) -> Any:
        """The lifespan of a FastAPI or Starlette application: ``FastAPI(lifespan=ms.lifespan)``.

        ``ms.lifespan(mine)`` wraps a lifespan of one's own. Any number of web workers may run it: one firing each.
        """
        if not inspect.isfunction(app_or_lifespan):
            return self._lifespan(app_or_lifespan, None)
        return lambda app: self._lifespan(app, app_or_lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Any, inner: Callable[[Any], Any] | None) -> AsyncIterator[Any]:
        async with self.running():
            if inner is None:
                yield
            else:
                async with inner(app) as state:
                    yield state


@contextlib.contextmanager
def _signals(stop: asyncio.Event, release: Callable[[], None]) -> Any:
    """Let the first SIGTERM or SIGINT set ``stop`` and the second call ``release``."""
    loop = asyncio.get_running_loop()

    def stop_or_release() -> None:
        if stop.is_set():
            release()
        stop.set()

    handled = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows' loops take no handlers, and neither does any thread but the main one.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop_or_release)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _taken(app: Mainspring, name: str, fn: Callable[..., Any]) -> bool:
    """Whether a job's name already stands for another function's handler."""
    return app.registry.has_handler(name) and app.registry.resolve_handler(name).fn is not fn
