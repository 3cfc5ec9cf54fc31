"""Threads and child processes that are neither: the call runs inline, at once, in the loop that asked for it.

For virtual time and for tests, where the timing of a real thread could not be repeated. A plain function therefore
takes no time at all, and one that never returns is never stopped. Payloads, results and errors take the same way as in
a worker. What a child process does besides (a memory of its own, being killed) needs the real thing.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from typing import Any

from mainspring.engine.children import Child, Children
from mainspring.engine.context import Context, Sink, _current
from mainspring.engine.inject import inject
from mainspring.engine.outcomes import describe, outcome_of_error, outcome_of_result
from mainspring.engine.registry import Handler
from mainspring.engine.threads import Threads
from mainspring.errors import ValidationError
from mainspring.model.execution import Execution
from mainspring.model.outcome import Failed, Outcome


class InlineThreads(Threads):
    """`Threads` without threads."""

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run ``call`` now, in a copy of the caller's context; the future is done when this returns."""
        future: asyncio.Future[Any] = self._loop.create_future()
        try:
            future.set_result(contextvars.copy_context().run(call))
        except StopIteration as error:
            future.set_exception(RuntimeError(f"the handler raised StopIteration: {error}"))
        except BaseException as error:  # handed to whoever awaits it
            future.set_exception(error)
        return future


class InlineChild(Child):
    """`Child` without a process."""

    def __init__(self, threads: Threads | None = None) -> None:
        self.attempts = 0
        self._threads = threads
        self._asked_to_stop = False

    @property
    def alive(self) -> bool:
        """Always: there is nothing that could die."""
        return True

    async def run(self, handler: Handler, execution: Execution, sink: Sink) -> Outcome:
        """Run one attempt as the child process would."""
        self.attempts += 1
        self._asked_to_stop = False
        context = Context(execution, sink, lambda: self._asked_to_stop)
        try:
            arguments = handler.signature.arguments(execution.payload)
            arguments.update(inject(handler.signature, context, execution))
        except ValidationError as error:
            return Failed(describe(error), retryable=False, invalid_payload=True)
        _current.set(context)
        try:
            if self._threads is not None and not inspect.iscoroutinefunction(handler.fn):
                value = await self._threads.submit(lambda: handler.fn(**arguments))
            else:
                value = handler.fn(**arguments)
            if inspect.isawaitable(value):
                value = await value
            return outcome_of_result(handler.signature, value)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return outcome_of_error(error)

    def ask_to_stop(self, execution_id: str) -> None:
        """Set the handler's ``cancelled``."""
        self._asked_to_stop = True

    async def kill(self) -> None:
        """Do nothing: the attempt's task is cancelled already."""

    async def close(self) -> None:
        """Do nothing."""


class InlineChildren(Children):
    """`Children` without processes. With ``threads``, plain functions run in one of these instead of inline."""

    def __init__(self, threads: Threads | None = None) -> None:
        super().__init__()
        self._threads = threads

    async def take(self) -> Child:
        """Return a child that runs attempts inline."""
        return InlineChild(self._threads)

    async def give_back(self, child: Child) -> None:
        """Forget it."""
