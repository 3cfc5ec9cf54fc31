"""Work that waits for what it goes along with: a claim for whatever will be queued, until something is.

Nobody hands it to a thread: it is taken by whoever wakes its topic.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Container
from typing import Generic, TypeVar

from mainspring.adapters.sql.line import Call
from mainspring.ports.store import Work

T = TypeVar("T")


class Companions:
    """Calls that wait for a topic. Safe from any thread: taking one out is one step of the interpreter."""

    def __init__(self) -> None:
        self._topics: dict[Call, str] = {}

    def __bool__(self) -> bool:
        return bool(self._topics)

    def add(self, topic: str, work: Work[T], done: Callable[[T], None] | None = None) -> Waiting[T]:
        """Let work wait, for the present event loop and context."""
        call = Call(work, asyncio.get_running_loop())
        call.topic = topic
        if done is not None:
            # Else it would run, and what it begins with it, in the context of the thread that tells the loop: in none.
            here = contextvars.copy_context()
            call.done = lambda result: here.run(done, result)
        self._topics[call] = topic
        return Waiting(call, self)

    def take(self, topics: Container[str]) -> list[Call]:
        """Return what waits for one of these topics; it waits no longer."""
        wanted = [call for call, topic in list(self._topics.items()) if topic in topics]
        return [call for call in wanted if self.drop(call)]

    def drop(self, call: Call) -> bool:
        """Let a call wait no longer; False where somebody has taken it."""
        return self._topics.pop(call, None) is not None


class Waiting(Generic[T]):
    """`Companion` of a store."""

    def __init__(self, call: Call, companions: Companions) -> None:
        self._call, self._companions = call, companions

    def withdraw(self) -> bool:
        """Wait no longer; False where somebody has taken it."""
        return self._companions.drop(self._call)

    def then(self, step: Callable[[], None]) -> None:
        """Take a step, in the event loop, once it is over; never, where it is withdrawn."""
        self._call.future.add_done_callback(lambda _: step())

    async def result(self) -> T:
        """Return what it returned, once that has committed."""
        result: T = await self._call.future  # type: ignore[misc]  # an asyncio future, since it was given a loop
        return result
