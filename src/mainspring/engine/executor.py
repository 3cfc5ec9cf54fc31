"""One attempt: run the handler, keep its timeout, tell it to stop, and end exactly once with an outcome.

What can be stopped differs, and is said plainly: a coroutine is cancelled and may swallow it; a thread is only told;
a child process is terminated, then killed. Whatever the handler does, the attempt ends after its timeout plus grace,
and what it does later is dropped: its fence is stale by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from mainspring.engine.alarms import Alarms
from mainspring.engine.children import Child, Children
from mainspring.engine.context import Context, _current
from mainspring.engine.inject import inject
from mainspring.engine.outcomes import describe, outcome_of_error, outcome_of_result
from mainspring.engine.registry import Handler
from mainspring.engine.threads import Threads
from mainspring.errors import ValidationError
from mainspring.model.execution import Execution
from mainspring.model.outcome import Cancelled, Failed, Lost, Outcome, Released, Succeeded, TimedOut
from mainspring.model.policy import Isolation
from mainspring.model.trace import TraceIds, enter
from mainspring.ports.tracing import Consumed

#: Log lines kept in memory per attempt until they are stored; beyond, the oldest are dropped and counted.
BUFFERED_LINES = 5_000


class Stop(StrEnum):
    """Why an attempt was told to stop."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    RELEASE = "release"


class Words:
    """What an attempt has said and nobody has stored yet. Safe from any thread: each step is one list operation."""

    __slots__ = ("_dropped", "_lines", "_progress", "on_line", "used")

    def __init__(self) -> None:
        self._lines: list[tuple[str, str, Mapping[str, Any]]] = []
        self._progress: Mapping[str, Any] | None = None
        self._dropped = 0
        self.used: Mapping[str, Any] | None = None
        #: Called with each line as it is said, in the handler's own thread: for whoever watches.
        self.on_line: Callable[[str, str, Mapping[str, Any]], None] | None = None

    def log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Keep a line."""
        if self.on_line is not None:
            self.on_line(level, message, fields)
        if len(self._lines) >= BUFFERED_LINES:
            self._dropped += 1
            return
        self._lines.append((level, message, fields))

    def progress(self, progress: Mapping[str, Any]) -> None:
        """Keep the newest progress."""
        self._progress = progress

    def usage(self, usage: Mapping[str, Any]) -> None:
        """Keep the newest total."""
        self.used = usage

    def take_lines(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Return the lines kept so far and forget them."""
        if not self._lines and not self._dropped:
            return []
        count = len(self._lines)
        taken, self._lines[:count] = self._lines[:count], []
        if self._dropped:
            taken.append(
                ("warning", f"{self._dropped} lines were dropped: logged faster than they could be stored", {})
            )
            self._dropped = 0
        return taken

    def give_back(
        self, lines: list[tuple[str, str, Mapping[str, Any]]], progress: Mapping[str, Any] | None = None
    ) -> None:
        """Put back what was taken and could not be stored; newer progress stays."""
        self._lines[:0] = lines
        if self._progress is None:
            self._progress = progress

    def take_progress(self) -> Mapping[str, Any] | None:
        """Return the newest progress not taken yet."""
        taken, self._progress = self._progress, None
        return taken


class Attempt:
    """One attempt of one execution in this process. ``on_end`` is called once, in the loop, with the outcome."""

    __slots__ = (
        "__weakref__",
        "_alarm",
        "_alarms",
        "_child",
        "_children",
        "_given_up",
        "_grace",
        "_on_end",
        "_task",
        "_threads",
        "execution",
        "handler",
        "isolation",
        "outcome",
        "stopping",
        "trace",
        "words",
    )

    def __init__(
        self,
        execution: Execution,
        handler: Handler,
        *,
        threads: Threads,
        children: Children,
        grace: float,
        on_end: Callable[[Attempt, Outcome], None],
        alarms: Alarms | None = None,
    ) -> None:
        self.execution, self.handler, self.words = execution, handler, Words()
        #: The span of this attempt, where traces are recorded; to be set before `start`.
        self.trace: Consumed | None = None
        self.isolation = _isolation(execution, handler)
        self.stopping: Stop | None = None
        self.outcome: Outcome | None = None
        self._threads, self._children, self._grace, self._on_end = threads, children, grace, on_end
        self._child: Child | None = None
        self._given_up = False
        self._alarms, self._alarm = alarms, 0
        self._task: asyncio.Task[None] | None = None

    @property
    def stuck(self) -> bool:
        """Whether the attempt has ended but its coroutine or thread still runs, because it would not stop."""
        # A child process is killed, so it stops in any case: its slot is busy a moment longer, not poisoned.
        if self.isolation is Isolation.PROCESS:
            return False
        return self._given_up and self._task is not None and not self._task.done()

    def start(self) -> None:
        """Start the handler in the running loop."""
        loop = asyncio.get_running_loop()
        if self._alarms is None:
            self._alarms = Alarms(loop)
        self._alarm = self._alarms.set(self.execution.timeout.total_seconds(), self, self._time_out)
        context = None if self.trace is None else self.trace.context
        self._task = loop.create_task(self._run(), context=context, name=f"{self.handler.name}:{self.execution.id}")

    def _time_out(self) -> None:
        self.stop(Stop.TIMEOUT)

    def stop(self, why: Stop) -> None:
        """Tell the handler to stop; after the grace the attempt ends without it. The first reason given counts."""
        if self.outcome is not None or self.stopping is not None:
            return
        self.stopping = why
        if self.isolation is Isolation.ASYNC and self._task is not None:
            self._task.cancel()
        elif self._child is not None:
            self._child.ask_to_stop(self.execution.id)
        # A child that is over its time is not asked twice: it is terminated at once.
        grace = 0.0 if self.isolation is Isolation.PROCESS and why is Stop.TIMEOUT else self._grace
        assert self._alarms is not None, "only what was started is stopped"
        self._alarms.drop(self._alarm, self)
        self._alarm = self._alarms.set(grace, self, self._give_up)

    def disown(self) -> None:
        """Let the loop close although this coroutine will not stop: `asyncio.run` would wait for it for ever.

        The loop's books are opened for this by the documented way for task implementations; the task itself ends with
        the process.
        """
        if self._task is not None and not self._task.done():
            asyncio._unregister_task(self._task)
            # Said already, and in better words, when its slot was counted as poisoned.
            self._task._log_destroy_pending = False  # type: ignore[attr-defined]

    async def wait_stopped(self) -> None:
        """Wait until the handler's task is done, for tests and for closing."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def abandon(self) -> None:
        """Cancel the handler and say nothing more, as if the process were gone: for tests."""
        self.outcome = self.outcome or Lost(self.execution.worker_id)
        self._drop_alarm()
        if self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                self._task.cancel()

    def _drop_alarm(self) -> None:
        if self._alarms is not None:
            self._alarms.drop(self._alarm, self)

    def _give_up(self) -> None:
        if self.isolation is Isolation.PROCESS and self._task is not None:
            self._task.cancel()  # its clean-up kills the child
        self._given_up = True
        self._end(self._stopped())

    async def _run(self) -> None:
        self._end(await self._outcome())
        # The task leads to the handler's context and that to this attempt: a ring, which only the collector finds.
        self._task = None

    async def _outcome(self) -> Outcome:
        shown = self._shown()
        context = Context(shown, self.words, lambda: self.stopping is not None)
        try:
            signature = self.handler.signature
            arguments = signature.arguments(self.execution.payload)
            if signature.injected:
                arguments.update(inject(signature, context, shown))
        except ValidationError as error:
            return Failed(describe(error), retryable=False, invalid_payload=True)
        try:
            if self.isolation is Isolation.ASYNC:
                _current.set(context)
                value = await self.handler.fn(**arguments)
                outcome = outcome_of_result(signature, value)
            elif self.isolation is Isolation.THREAD:
                outcome = await self._in_thread(arguments, context)
            else:
                outcome = await self._in_child(shown)
        except asyncio.CancelledError as error:
            # A handler may raise this of its own accord, say by awaiting a task that was cancelled: that is a failure,
            # or it would be released and claimed again for ever without using an attempt.
            task = asyncio.current_task()
            told = self.stopping is not None or (task is not None and task.cancelling() > 0)
            outcome = self._stopped() if told else outcome_of_error(error)
        except BaseException as error:
            outcome = outcome_of_error(error)
        return outcome

    async def _in_thread(self, arguments: dict[str, Any], context: Context) -> Outcome:
        _current.set(context)
        future = self._threads.submit(lambda: self.handler.fn(**arguments))
        # Shielded: cancelling this task would not stop the thread, only hide that it still runs.
        value = await asyncio.shield(future)
        if inspect.isawaitable(value):
            value = await value
        return outcome_of_result(self.handler.signature, value)

    def _shown(self) -> Execution:
        """The execution as its handler sees it: in its trace, with the ids of this attempt's span if there is one."""
        execution, span = self.execution, self.trace
        if span is not None:
            return execution.changed(trace_id=span.ids.trace_id, span_id=span.ids.span_id)
        if execution.trace_id is not None and execution.span_id is not None:
            enter(TraceIds(execution.trace_id, execution.span_id))
        return execution

    async def _in_child(self, shown: Execution) -> Outcome:
        child = await self._children.take()
        self._child = child
        try:
            if self.stopping is not None:
                return self._stopped()
            return await child.run(self.handler, shown, self.words)
        except asyncio.CancelledError:
            await asyncio.shield(child.kill())
            raise
        finally:
            self._child = None
            with contextlib.suppress(asyncio.CancelledError):
                await self._children.give_back(child)

    def _stopped(self) -> Outcome:
        match self.stopping:
            case Stop.TIMEOUT:
                seconds = self.execution.timeout.total_seconds()
                message = f"attempt {self.execution.attempt} took longer than its timeout of {seconds:g} s"
                return TimedOut({"type": "Timeout", "message": message, "traceback": ""})
            case Stop.CANCEL:
                return Cancelled()
        # Told to stop by the drain, or cancelled from outside with the whole program: give it back either way.
        return Released()

    def _end(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        self._drop_alarm()
        if self.stopping is Stop.TIMEOUT or (self.stopping is not None and isinstance(outcome, Failed | Lost)):
            # Told to stop: whatever it then raised is not its own failure. Past its timeout, nothing else counts.
            outcome = self._stopped()
        if isinstance(outcome, Succeeded) and self.words.used is not None:
            outcome = replace(outcome, usage=self.words.used)
        self.outcome = outcome
        self._on_end(self, outcome)


def _isolation(execution: Execution, handler: Handler) -> Isolation:
    """The job's isolation, else the handler's; a plain function never runs in the loop, where it would block it."""
    wanted = handler.isolation if execution.isolation is None else Isolation(execution.isolation)
    if wanted is Isolation.ASYNC and not handler.is_coroutine:
        return Isolation.THREAD
    return wanted
