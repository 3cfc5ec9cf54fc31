"""Daemon threads for plain functions. A thread that will not end is given up on and replaced; it never blocks exit.

``concurrent.futures`` joins its threads when the interpreter ends, so one stuck handler would keep the process alive.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

#: Seconds an idle thread waits for work before it ends.
IDLE = 10.0


class Threads:
    """Run calls in threads of one event loop: as many as are asked for, idle ones used again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: list[queue.SimpleQueue[Callable[[], None] | None]] = []
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run ``call`` in a thread, in the caller's context; the future belongs to the loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                result, error = context.run(call), None
            except BaseException as caught:  # handed to whoever awaits it
                result, error = None, caught
            self._resolve(future, result, error)

        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="mainspring-handler", daemon=True).start()
        inbox.put(work)
        return future

    def close(self) -> None:
        """Let idle threads end. Those in the middle of a handler end with it, or with the process."""
        with self._lock:
            idle, self._idle = self._idle, []
        for inbox in idle:
            inbox.put(None)

    def _serve(self, inbox: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while True:
            try:
                work = inbox.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                continue  # taken a moment ago: work is on its way
            if work is None:
                return
            work()
            with self._lock:
                self._idle.append(inbox)

    def _resolve(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        def resolve() -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration):
                future.set_exception(RuntimeError(f"the handler raised StopIteration: {error}"))
            else:
                future.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(resolve)
        except RuntimeError:
            return  # the loop has closed: nobody waits any more
