"""Calls that wait for a connection, and the line they wait in.

Each connection belongs to a thread. Work is handed to the thread that became idle last: its connection, and what that
has prepared, is warm, and a process with little to do opens few of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from mainspring.errors import StoreError, StoreUnavailableError
from mainspring.ports.store import TooEarlyError, Work
from mainspring.ports.transport import Aftermath

logger = logging.getLogger("mainspring")


class Call:
    """Work that somebody waits for: a task of an event loop, or a thread.

    ``reading``: it must not write. ``at``: the instant at which to commit it, as if it were done then. ``topic``: what
    a companion waits for. ``done`` is given the result, in the loop, before the future is.
    """

    __slots__ = ("aftermath", "at", "done", "error", "future", "loop", "reading", "result", "topic", "work")

    def __init__(
        self,
        work: Work[Any],
        loop: asyncio.AbstractEventLoop | None = None,
        reading: bool = False,
        at: datetime | None = None,
    ) -> None:
        self.work, self.loop, self.reading, self.at = work, loop, reading, at
        self.future: asyncio.Future[Any] | Future[Any] = Future() if loop is None else loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.aftermath: Aftermath | None = None
        self.topic: str | None = None
        self.done: Callable[[Any], None] | None = None

    def settle(self) -> None:
        """Tell who waits; in the event loop's own thread, if it is a task."""
        if self.future.done():  # cancelled meanwhile
            return
        if self.error is not None:
            self.future.set_exception(self.error)
            return
        if self.done is not None:
            self.done(self.result)
        self.future.set_result(self.result)


def deliver(calls: Sequence[Call]) -> None:
    """Settle calls that are over, waking each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Call]] = {}
    for call in calls:
        if call.loop is None:
            call.settle()
        else:
            by_loop.setdefault(call.loop, []).append(call)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, waiting)
        except RuntimeError:
            logger.debug("an event loop was closed before %d of its calls were done", len(waiting))


def rouse(calls: Sequence[Call]) -> None:
    """Wake the event loops of calls that are over in a moment: one that has slept for long is slow to hear."""
    for loop in {call.loop for call in calls if call.loop is not None}:
        with contextlib.suppress(RuntimeError):  # it was closed, which whoever delivers says
            loop.call_soon_threadsafe(_woken)


def _woken() -> None:
    """Do nothing more."""


def _settle(calls: Sequence[Call]) -> None:
    for call in calls:
        try:
            call.settle()
        except Exception as error:
            logger.exception("what was to follow on a commit failed")
            call.future.set_exception(error)


class Line:
    """Where calls wait for the next free thread. Once closed it takes no more, and its threads end when it is empty."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._waiting: deque[Call] = deque()
        self._idle: list[LineThread] = []
        self._threads: list[LineThread] = []
        self._open = False

    def start(self, threads: Sequence[LineThread]) -> None:
        """Start serving, once every thread is ready. Raises what kept one from being so."""
        self._threads = list(threads)
        self._waiting.clear()  # whatever an earlier, failed start has left
        self._open = True
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.ready.result()
        except BaseException:
            self.close()
            raise

    async def call(self, work: Work[Any], *, reading: bool = False) -> Any:
        """Run work and wait for it in the present event loop."""
        call = Call(work, asyncio.get_running_loop(), reading)
        self._called(call)
        return await call.future  # type: ignore[misc]  # an asyncio future, since it was given a loop

    async def call_at(self, instant: datetime, work: Work[Any]) -> Any:
        """Run work to be committed at an instant; None where that cannot be."""
        call = Call(work, asyncio.get_running_loop(), at=instant)
        self._called(call)
        try:
            return await call.future  # type: ignore[misc]  # an asyncio future, since it was given a loop
        except TooEarlyError:
            return None

    def call_blocking(self, work: Work[Any], *, reading: bool = False) -> Any:
        """Run work and wait for it in the present thread."""
        call = Call(work, None, reading)
        self._called(call)
        return call.future.result()

    def _called(self, call: Call) -> None:
        if threading.current_thread() in self._threads:
            raise StoreError("work called the store it runs in: use its transaction instead")
        self.put(call)

    def put(self, call: Call) -> None:
        """Let a call wait for the next free thread. Raises `StoreUnavailableError` once the line is closed."""
        with self._lock:
            if not self._open:
                raise StoreUnavailableError("the store is not open")
            if not self._idle:
                self._waiting.append(call)
                return
            thread = self._idle.pop()
        thread.inbox.put(call)

    @property
    def connections(self) -> int:
        """How many threads serve, each with at most one connection."""
        return len(self._threads)

    @property
    def idle(self) -> int:
        """How many of them have nothing to do."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return len(self._waiting)

    def take(self, thread: LineThread, timeout: float | None = None) -> Call | None:
        """Return the next call for a thread; None at the end. Raises ``queue.Empty`` after ``timeout`` seconds."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if not self._open:
                return None
            self._idle.append(thread)
        try:
            return thread.inbox.get(timeout=timeout)
        except queue.Empty:
            with self._lock:
                if thread in self._idle:
                    self._idle.remove(thread)
                    raise
            return thread.inbox.get()  # handed over at the last moment

    def lull(self, thread: LineThread, seconds: float) -> bool:
        """Let a thread that serves wait so long; False, and earlier, where something comes for it to serve."""
        try:
            call = self.take(thread, timeout=max(seconds, 0.0))
        except queue.Empty:
            return True
        if call is not None:
            with self._lock:
                self._waiting.appendleft(call)
        return False

    def take_more(self, limit: int) -> list[Call]:
        """Return up to ``limit`` calls that wait already."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def close(self) -> None:
        """Finish what waits, end the threads, and wait for them."""
        with self._lock:
            self._open = False
            idle, self._idle = self._idle, []
        for thread in idle:
            thread.inbox.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []


class LineThread(threading.Thread, ABC):
    """A thread that serves a line. A daemon: a process that forgot to close still ends."""

    def __init__(self, name: str, line: Line) -> None:
        super().__init__(name=name, daemon=True)
        self.inbox: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self.ready: Future[None] = Future()
        self._line = line

    @abstractmethod
    def run(self) -> None:
        """Serve calls to the end of the line."""
