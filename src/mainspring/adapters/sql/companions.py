"""Work that waits for what it goes along with: a claim for whatever will be queued, until something is.

Nobody hands it to a thread: it is taken by whoever wakes its topic.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Container
from typing import Generic, TypeVar

from mainspring.adapters.sql.line import Call
from mainspring.ports.store import Work

T = TypeVar("T")


class Companions:
    """Calls that wait for a topic, and those that were taken and are not over for who left them.

    Safe from any thread.
    """

    def __init__(self) -> None:
        self._topics: dict[Call, str] = {}
        self._taken: dict[Call, str] = {}
        # Of those taken: whose topic was woken once more.
        self._again: set[Call] = set()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._topics or self._taken)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._topics)

    def add(self, topic: str, work: Work[T], done: Callable[[T], None] | None = None) -> Waiting[T]:
        """Let work wait, for the present event loop and context."""
        call = Call(work, asyncio.get_running_loop())
        call.topic = topic
        if done is not None:
            # Else it would run, and what it begins with it, in the context of the thread that tells the loop: in none.
            here = contextvars.copy_context()
            call.done = lambda result: here.run(done, result)
        with self._lock:
            self._topics[call] = topic
        return Waiting(call, self)

    def take(self, topics: Container[str]) -> list[Call]:
        """Return what waits for one of these topics; it waits no longer."""
        with self._lock:
            self._again.update(call for call, topic in self._taken.items() if topic in topics)
            taken = [call for call, topic in self._topics.items() if topic in topics]
            for call in taken:
                self._taken[call] = self._topics.pop(call)
        return taken

    def drop(self, call: Call) -> bool:
        """Let a call wait no longer; False where somebody has taken it."""
        with self._lock:
            return self._topics.pop(call, None) is not None

    def over(self, call: Call) -> bool:
        """Have done with a call that was taken; tell whether its topic was woken again since then."""
        with self._lock:
            self._taken.pop(call, None)
            again = call in self._again
            self._again.discard(call)
        return again


class Waiting(Generic[T]):
    """`Companion` of a store."""

    def __init__(self, call: Call, companions: Companions) -> None:
        self._call, self._companions = call, companions
        self.woken_again = False

    def withdraw(self) -> bool:
        """Wait no longer; False where somebody has taken it."""
        return self._companions.drop(self._call)

    def then(self, step: Callable[[], None]) -> None:
        """Take a step, in the event loop, once it is over; never, where it is withdrawn."""
        self._call.future.add_done_callback(lambda _: step())

    async def result(self) -> T:
        """Return what it returned, once that has committed."""
        try:
            result: T = await self._call.future  # type: ignore[misc]  # an asyncio future, since it was given a loop
        finally:
            self.woken_again = self._companions.over(self._call)
        return result
