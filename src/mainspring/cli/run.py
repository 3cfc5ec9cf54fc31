"""`dev`, `worker`, `dispatcher`: run an application's roles in this process, and show what happens."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli.exits import Exit
from mainspring.cli.live import StreamHandler, View, view_for
from mainspring.cli.loading import load_app
from mainspring.cli.target import Target, database_url
from mainspring.cli.watch import Watch

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.app.node import Node
    from mainspring.app.wiring import Roles

Level = Literal["debug", "info", "warning", "error"]
LogLevel = Annotated[Level, Parameter(name="--log-level")]

#: Libraries that report every step of theirs, and attempts, which the view tells itself; heard at level debug only.
QUIET = ("alembic", "sqlalchemy", "asyncio", "httpx", "httpx2", "httpcore")
TOLD = "mainspring.attempts"

#: Seconds between two looks at whether the worker must be replaced.
LOOK = 1.0


def dev(
    app: str | None = None,
    /,
    *,
    queues: str | None = None,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> int:
    """Run an app in this process, dispatcher and worker together, with a live view.

    SIGTERM or Ctrl-C drains and stops; a second one releases what still runs, which another start repeats.

    Args:
        app: module:attribute, or path/to/file.py:attribute. The attribute may be left out where it is called ms, app
            or mainspring. Without an app, jobs of the database run if their handlers are built in.
        queues: Queues with their slots, such as default:20,reports:2.
        log_level: Python log records shown in the stream: this level and above.
    """
    return _run("dev", app, _roles(), queues, log_level, target or Target())


def worker(
    app: str,
    /,
    *,
    queues: str | None = None,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> int:
    """Run attempts only; somewhere else a dispatcher decides.

    A worker with too many handlers that would not stop drains, and starts itself again as a fresh process.

    Args:
        app: module:attribute, or path/to/file.py:attribute.
        queues: Queues with their slots, such as default:20,reports:2.
        log_level: Python log records shown in the stream: this level and above.
    """
    return _run("worker", app, _roles(dispatcher=False), queues, log_level, target or Target())


def dispatcher(
    app: str | None = None,
    /,
    *,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> int:
    """Decide, promote, reap and relay only. Any number may run on one PostgreSQL database.

    Args:
        app: module:attribute, or path/to/file.py:attribute, whose jobs are registered at the start.
        log_level: Python log records shown in the stream: this level and above.
    """
    return _run("dispatcher", app, _roles(worker=False), None, log_level, target or Target())


def _roles(*, dispatcher: bool = True, worker: bool = True) -> Roles:
    from mainspring.app.wiring import Roles

    return Roles(dispatcher=dispatcher, worker=worker)


def _run(command: str, where: str | None, roles: Roles, queues: str | None, level: Level, target: Target) -> int:
    from mainspring.app.loop import run_loop

    app = configured(load_app(where) if where is not None else target.app(), target, queues)
    view = view_for(target.output, color=not _no_color())
    run_loop(_Process(command, where, app, roles, view).run(level))
    return Exit.DONE


def configured(app: Mainspring, target: Target, queues: str | None) -> Mainspring:
    """Return the app with the command line's settings over its own."""
    from mainspring.settings import parse_queues

    given = {"database_url": database_url(target.db), "platform": target.platform, "queues": queues}
    over: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if over:
        parse_queues(over.get("queues", app.settings.queues))
        origin = {**app.settings.origin, **dict.fromkeys(over, "argument")}
        app.settings = dataclasses.replace(app.settings, **over, origin=origin)
        app.platform_id = app.settings.platform
    return app


def _no_color() -> bool:
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


class _Process:
    """One run of `serve`, with its view."""

    def __init__(self, command: str, where: str | None, app: Mainspring, roles: Roles, view: View) -> None:
        self._command, self._where, self._app, self._roles, self._view = command, where, app, roles, view
        self._stop = asyncio.Event()
        self._recycle = False
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, level: Level) -> None:
        watch = Watch(self._command, self._where, self._app, self._roles, self._view, self._stop)
        with _logging(watch, level):
            try:
                await self._app.serve(self._roles, stop=self._stop, on_node=lambda node: self._begin(watch, node))
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                watch.end()
        if self._recycle:
            _start_again()

    def _begin(self, watch: Watch, node: Node) -> None:
        watch.begin(node)
        self._tasks += [
            asyncio.create_task(watch.run(node), name="mainspring:view"),
            asyncio.create_task(self._look_after(node), name="mainspring:recycle"),
        ]

    async def _look_after(self, node: Node) -> None:
        """Stop a worker whose slots are poisoned: only a new process gets rid of threads that will not end."""
        while node.worker is None or not node.worker.must_recycle:  # noqa: ASYNC110 - a state, which sets no event
            await asyncio.sleep(LOOK)
        logging.getLogger("mainspring").warning("too many handlers would not stop: draining, then starting again")
        self._recycle = True
        self._stop.set()


def _start_again() -> None:
    """Replace this process by a fresh one with the same command line; its stuck threads go with it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


@contextlib.contextmanager
def _logging(watch: Watch, level: Level) -> Iterator[None]:
    """Let Python's logging speak in the same stream while the block runs."""
    root = logging.getLogger()
    # Handlers that write to the terminal would write across the view; others, such as files, stay.
    ours = (sys.stdout, sys.stderr)
    taken = [h for h in root.handlers if isinstance(h, logging.StreamHandler) and h.stream in ours]
    handler = StreamHandler(watch.show, watch.zone)
    before = root.level
    if level != "debug":
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(TOLD).setLevel(logging.ERROR)
    for one in taken:
        root.removeHandler(one)
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        for one in taken:
            root.addHandler(one)
        root.setLevel(before)
