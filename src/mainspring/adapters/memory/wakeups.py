"""Wakeups within one process: a set of ears per topic. Every store uses these; one shared by processes adds its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class InProcessWakeups:
    """`Wakeups` for the loops of this process."""

    def __init__(self) -> None:
        # Tuples are replaced, never changed: notify reads without a lock.
        self._listeners: dict[str, tuple[LoopListener, ...]] = {}
        self._lock = threading.Lock()
        self._heard = False
        self._when_heard: list[Callable[[], None]] = []

    def notify(self, *topics: str) -> None:
        """Wake whoever listens to one of ``topics``. Safe from any thread."""
        for topic in topics:
            for listener in self._listeners.get(topic, ()):
                listener.wake()

    def listen(self, *topics: str) -> LoopListener:
        """Start listening to ``topics``; to be called inside the event loop that will wait."""
        listener = LoopListener(self)
        with self._lock:
            for topic in dict.fromkeys(topics):  # one named twice would wake twice, the second time for nothing
                self._listeners[topic] = (*self._listeners.get(topic, ()), listener)
            self._heard, then, self._when_heard = True, self._when_heard, []
        for one in then:
            one()
        return listener

    def when_heard(self, then: Callable[[], None]) -> None:
        """Call ``then`` as somebody begins to listen, in whatever thread that is; at once where somebody has before."""
        with self._lock:
            if not self._heard:
                self._when_heard.append(then)
                return
        then()

    def forget(self, listener: LoopListener) -> None:
        """Stop waking a listener."""
        with self._lock:
            for topic, listeners in list(self._listeners.items()):
                left = tuple(other for other in listeners if other is not listener)
                if left:
                    self._listeners[topic] = left
                else:
                    del self._listeners[topic]


class LoopListener:
    """`Listener` of one event loop; one task waits on it at a time."""

    def __init__(self, wakeups: InProcessWakeups) -> None:
        self._wakeups = wakeups
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Let the present or the next wait return True. Safe from any thread."""
        if _running_loop() is self._loop:
            self._event.set()
            return
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop was closed before the listener: nobody waits any more
            self.close()

    async def wait(self, timeout: float | None) -> bool:
        """Wait until notified or for ``timeout`` seconds (None: for ever); True when notified."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            if not self._event.is_set():
                return False
        self._event.clear()
        return True

    def close(self) -> None:
        """Stop listening."""
        self._wakeups.forget(self)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
