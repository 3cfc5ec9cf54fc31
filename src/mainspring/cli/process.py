"""One process of a fleet as a command runs it: an application's roles, what happens shown, its logging taken in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mainspring.cli.door import Door
from mainspring.cli.live import StreamHandler, View
from mainspring.cli.log_stream import LogStream
from mainspring.cli.output import say
from mainspring.cli.serving import api_beside
from mainspring.cli.watch import Watch
from mainspring.engine.service import BACKOFF_CAP
from mainspring.errors import StoreUnavailableError
from mainspring.model.log_events import about

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.app.node import Node
    from mainspring.app.wiring import Roles
    from mainspring.cli.roles import Level

logger = logging.getLogger("mainspring")

#: Libraries that report every step of theirs; heard at level debug only.
QUIET = ("alembic", "sqlalchemy", "asyncio", "httpx", "httpx2", "httpcore", "uvicorn")

#: Seconds between two looks at whether the supervisor is gone, and at whether the worker must be replaced.
LOOK, LOOK_ALONE = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Role:
    """What a process is: its command, its application and where that was found, and whom it works for.

    ``patient`` ones wait for a database that cannot be reached yet; ``parent`` is the supervisor's process id, without
    which a child drains. With a ``door`` the API is served there, beside the roles.
    """

    command: str
    where: str | None
    app: Mainspring
    roles: Roles
    patient: bool = False
    parent: int | None = None
    door: Door | None = None


class Process:
    """One run of an application's roles, with its view."""

    def __init__(self, role: Role, view: View) -> None:
        self._role, self._view = role, view
        self._stop = asyncio.Event()
        self._recycle = False
        self._node: Node | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, level: Level) -> None:
        """Run until stopped and drained; then start again as a fresh process, if the worker had to be replaced."""
        role = self._role
        kind, watch = role.app.settings.log_format, self._watch()
        with structured(kind, level) if isinstance(watch, LogStream) else _logging(watch, level):
            try:
                await self._serve_when_reachable(watch)
            finally:
                watch.end()
        if self._recycle:
            _start_again()

    def _watch(self) -> Watch | LogStream:
        role = self._role
        if role.app.settings.log_format != "view":
            return LogStream(role.command, role.roles)
        return Watch(role.command, role.where, role.app, role.roles, self._view, self._stop)

    async def _serve_when_reachable(self, watch: Watch | LogStream) -> None:
        pause = 0.5
        while True:
            try:
                await self._serve(watch)
                return
            except StoreUnavailableError as error:
                if not self._role.patient or (self._node is not None and self._node.is_engine):
                    raise
                told = f"the database cannot be reached; trying again in {pause:g} s: {error}"
                if isinstance(watch, LogStream):
                    logger.warning("%s", told, extra=about("store.unavailable"))
                else:
                    say(told)  # not through the view, which holds lines back until the process runs
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_CAP)

    async def _serve(self, watch: Watch | LogStream) -> None:
        try:
            await self._role.app.serve(
                self._role.roles,
                stop=self._stop,
                on_node=lambda node: self._begin(watch, node),
                beside=lambda: self._api(watch),
            )
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []

    @contextlib.asynccontextmanager
    async def _api(self, watch: Watch | LogStream) -> AsyncIterator[None]:
        """Serve the API where there is a door for it, from when the roles run until they are to stop."""
        if self._role.door is None:
            yield
            return
        async with api_beside(self._role.app, self._role.door, watch.tell):
            yield

    def _begin(self, watch: Watch | LogStream, node: Node) -> None:
        self._node = node
        watch.begin(node)
        self._tasks += [
            asyncio.create_task(watch.run(node), name="mainspring:view"),
            asyncio.create_task(self._look_after(node), name="mainspring:recycle"),
        ]

    async def _look_after(self, node: Node) -> None:
        """Stop a worker whose slots are poisoned, as only a new process gets rid of threads that will not end.

        And stop where the supervisor is gone: nobody would restart, signal or count this process any more.
        """
        pause = LOOK_ALONE if self._role.parent is None else LOOK
        while node.worker is None or not node.worker.must_recycle:
            if self._role.parent is not None and os.getppid() != self._role.parent:
                logger.error("the supervisor, process %d, is gone: draining", self._role.parent)
                self._stop.set()
                return
            await asyncio.sleep(pause)
        logger.warning("too many handlers would not stop: draining, then starting again")
        self._recycle = True
        self._stop.set()


def _start_again() -> None:
    """Replace this process by a fresh one with the same command line; its stuck threads go with it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def structured(kind: str, level: Level) -> contextlib.AbstractContextManager[None]:
    """Let everything be told as structured records on standard error while the block runs."""
    from mainspring.app.logs import structured_logs

    hush(level)
    return structured_logs(kind, level)


def hush(level: Level) -> None:
    """Keep libraries that report every step of theirs quiet, unless everything is asked for."""
    if level != "debug":
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)


@contextlib.contextmanager
def _logging(watch: Watch, level: Level) -> Iterator[None]:
    """Let Python's logging speak in the same stream while the block runs: beside it, it would write across the view."""
    from mainspring.app.log_handlers import told_by

    hush(level)
    if level != "debug":
        # The view tells of attempts itself.
        logging.getLogger("mainspring.attempts").setLevel(logging.ERROR)
    with told_by(StreamHandler(watch.show, watch.zone), level):
        yield
