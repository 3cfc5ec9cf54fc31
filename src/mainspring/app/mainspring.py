"""The `Mainspring` class: declare handlers and jobs, and run them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, Unpack, cast

from mainspring.app.application import Application, refuse_loop
from mainspring.app.declared import check_job
from mainspring.app.handle import Decorator, Handle
from mainspring.app.policies import HANDLER_OPTIONS, HandlerOptions, Policies, Span, job_fields, plain_instant
from mainspring.app.wiring import Roles
from mainspring.engine.children import in_child
from mainspring.errors import ConflictError
from mainspring.model.durations import duration
from mainspring.model.job import JobType
from mainspring.model.wire import milliseconds

if TYPE_CHECKING:
    from mainspring.app.asgi import MountedApi
    from mainspring.app.node import Node
    from mainspring.engine.job_executor import JobExecutorService

P = ParamSpec("P")

logger = logging.getLogger("mainspring")


class Mainspring(Application):
    """An application: its handlers, its jobs, and the database that keeps the record.

    Nothing happens until something is asked for: making one connects to nothing and reads no file but the settings.

    Args:
        database_url: ``sqlite:///jobs.db`` or a path; by default ``MAINSPRING_DATABASE_URL``, else
            ``mainspring.toml``, else ``sqlite:///mainspring.db``.
        platform: The tenant whose jobs and executions these are.
        tz: Zone of jobs that name none; by default the platform's, else UTC. Never the machine's.
        builtins: What the built-in handlers work on.
        parts: Clock, random source, wake-ups, bus and store to use instead of the real ones.
        settings: Any other setting of `mainspring.settings.Settings` by name.

    >>> ms = Mainspring("sqlite:///jobs.db")
    >>> @ms.every("5m")
    ... async def sync_inbox() -> int:
    ...     return 1
    >>> [job["name"] for job in ms.jobs]
    ['sync_inbox']
    """

    _node: Node | None = None

    # -- declaring -----------------------------------------------------------------------------------------------

    def handler(self, name: str | None = None, **options: Unpack[HandlerOptions]) -> Decorator:
        """Register a function as a handler; its options are the defaults of its jobs and enqueues."""
        return self._decorator(name, "function", options)

    def agent(self, name: str | None = None, **options: Unpack[HandlerOptions]) -> Decorator:
        """Register a function as a handler of type agent."""
        return self._decorator(name, "agent", options)

    def workflow(self, name: str | None = None, **options: Unpack[HandlerOptions]) -> Decorator:
        """Register a function as a handler of type workflow."""
        return self._decorator(name, "workflow", options)

    def cron(
        self,
        *expressions: str,
        name: str | None = None,
        seconds: bool = False,
        day_match: str | None = None,
        **policies: Unpack[Policies],
    ) -> Decorator:
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
    ) -> Decorator:
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
    ) -> Decorator:
        """Run the function by a recurrence rule of RFC 5545."""
        schedule: dict[str, Any] = {"rrule": rule, "dtstart": plain_instant(dtstart)}
        if exdate:
            schedule["exdate"] = [plain_instant(at) for at in exdate]
        if rdate:
            schedule["rdate"] = [plain_instant(at) for at in rdate]
        return self._job(JobType.RECURRING, schedule, name, policies)

    def at(self, run_at: datetime | str, *, name: str | None = None, **policies: Unpack[Policies]) -> Decorator:
        """Run the function once, at an instant or at a wall time in ``tz``."""
        return self._job(JobType.ONE_TIME, {"run_at": plain_instant(run_at)}, name, policies)

    def on(
        self,
        *patterns: str,
        name: str | None = None,
        filter: Mapping[str, Any] | None = None,
        debounce: Span | None = None,
        throttle: tuple[int, Span] | None = None,
        **policies: Unpack[Policies],
    ) -> Decorator:
        """Run the function for each event whose type matches a pattern (``*`` one segment, ``**`` the tail).

        ``filter`` narrows by what the event says: ``{"data": {"total": [{"numeric": [">", 100]}]}}``. With
        ``debounce`` only the last event of a burst counts, once it has been quiet for so long. ``throttle=(10, "1m")``
        lets ten through in any minute.
        """
        schedule: dict[str, Any] = {"events": list(patterns)}
        if filter is not None:
            schedule["filter"] = dict(filter)
        if debounce is not None:
            schedule["debounce_ms"] = milliseconds(duration(debounce, "debounce"))
        if throttle is not None:
            limit, per = throttle
            schedule["throttle"] = {"limit": limit, "per_ms": milliseconds(duration(per, "throttle"))}
        return self._job(JobType.EVENT, schedule, name, policies)

    def _job(
        self, kind: JobType, schedule: Mapping[str, Any], name: str | None, policies: Mapping[str, Any]
    ) -> Decorator:
        fields = job_fields(schedule, policies)

        def declare(fn: Callable[P, Any]) -> Handle[P, Any, Any]:
            options = {key: value for key, value in policies.items() if key in HANDLER_OPTIONS}
            if isinstance(fn, Handle):
                handle: Handle[P, Any, Any] = fn
            else:
                handle = self._register(fn, name if name and not _taken(self, name, fn) else None, "function", options)
            job_name = name or handle.name
            if any(job["name"] == job_name for job in self.jobs):
                raise ConflictError(f"two jobs are named {job_name!r}: give one of them name=...")
            job = {"name": job_name, "type": kind.value, "handler": handle.name, **fields}
            check_job(job, self.settings.timezone or "UTC", self._parts.clock.now())
            self.jobs.append(job)
            return handle

        return cast(Decorator, declare)

    def _decorator(self, name: str | None, kind: str, options: Mapping[str, Any]) -> Decorator:
        def register(fn: Callable[P, Any]) -> Handle[P, Any, Any]:
            return self._register(fn, name, kind, options)

        return cast(Decorator, register)

    def _register(
        self, fn: Callable[P, Any], name: str | None, kind: str, options: Mapping[str, Any]
    ) -> Handle[P, Any, Any]:
        handler = self.registry.register_handler(name or fn.__name__, fn, type=kind, **options)
        return Handle(self, handler)

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, roles: Roles | None = None) -> None:
        """Run dispatcher and worker in this process until SIGTERM or SIGINT, then drain; a second signal releases.

        Where nobody has set up logging, what the engine says is shown on stderr.
        """
        if in_child():
            return  # a child process that loads this script to find one handler in it
        refuse_loop("run", "serve")
        from mainspring.app.loop import run_loop

        _show_logging()
        logger.info(
            "%d jobs and %d handlers; Ctrl-C drains and stops", len(self.jobs), len(self.registry.list_handlers())
        )
        run_loop(self.serve(roles))
        logger.info("stopped")

    async def serve(
        self,
        roles: Roles | None = None,
        *,
        stop: asyncio.Event | None = None,
        on_node: Callable[[Node], None] | None = None,
        beside: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """Do what `run` does, inside a running loop; ``stop`` ends it as a signal would.

        ``on_node`` is called with the node before it starts: for whoever watches it. ``beside`` is entered once it runs
        and left before it drains, as the API is.
        """
        from mainspring.app.loop import until_stopped
        from mainspring.app.node import Node  # only those who run an engine load one

        node = self._node = Node(self, roles or Roles())
        if on_node is not None:
            on_node(node)
        stopping = stop or asyncio.Event()
        with _signals(stopping, node.release):
            await node.start()
            try:
                await until_stopped(stopping, beside)
            finally:
                self._node = None
                await node.stop()

    @contextlib.asynccontextmanager
    async def running(self, roles: Roles | None = None) -> AsyncIterator[None]:
        """Run dispatcher and worker while the block runs; where another engine holds the file, stand by for it."""
        from mainspring.app.node import Node

        node = self._node = Node(self, roles or Roles(), standby=True)
        await node.start()
        try:
            yield
        finally:
            self._node = None
            await node.stop()

    def executor(self) -> JobExecutorService:
        """Return the service that executes a job here and now, by the worker of this process.

        Raises `ConflictError` where none runs in it: inside `running`, `lifespan`, `serve` or `run` one does, unless
        another process is the engine of the SQLite file.
        """
        from mainspring.engine.job_executor import JobExecutorService

        worker = self._node.worker if self._node is not None else None
        if worker is None:
            raise ConflictError("no worker runs in this process, and only one that does can execute a job here")
        lines = self.settings.log_lines
        return JobExecutorService(self.store, worker, self.wakeups, platform_id=self.platform_id, log_lines=lines)

    def lifespan(self, app_or_lifespan: Any) -> Any:
        """The lifespan of a FastAPI or Starlette application: ``FastAPI(lifespan=ms.lifespan)``.

        ``ms.lifespan(mine)`` wraps a lifespan of one's own. Any number of web workers may run it: one firing each.
        """
        if not inspect.isfunction(app_or_lifespan):
            return self._lifespan(app_or_lifespan, None)
        return lambda app: self._lifespan(app, app_or_lifespan)

    def asgi(self) -> MountedApi:
        """Return the REST API as an ASGI application: ``app.mount("/mainspring", ms.asgi())``.

        Needs the extra ``server``. Together with `lifespan` it works on the same connections; mounted alone, it opens
        the database with its first request, and runs no dispatcher and no worker. Without any API key it answers
        callers from this machine alone. Raises `SettingsError` where the extra is missing.
        """
        from mainspring.app.asgi import MountedApi

        return MountedApi(self)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Any, inner: Callable[[Any], Any] | None) -> AsyncIterator[Any]:
        async with self.running():
            if inner is None:
                yield
            else:
                async with inner(app) as state:
                    yield state


def _show_logging() -> None:
    """Show what the engine says on stderr, unless the program has set up logging itself."""
    if logging.getLogger().handlers or logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


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
