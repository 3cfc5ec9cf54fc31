"""Child processes for handlers with isolation ``process``: one attempt at a time each, so one death hurts one attempt.

Children are started fresh (never forked), kept for the next attempt, and replaced after a number of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from mainspring.engine.context import Sink
from mainspring.engine.registry import Handler
from mainspring.errors import ValidationError
from mainspring.model.execution import Execution
from mainspring.model.outcome import Failed, Lost, Outcome, Snoozed, Succeeded
from mainspring.model.wire import execution_to_wire

#: Attempts after which a child is replaced: bounds what a leaking handler can pile up.
ATTEMPTS = 200
#: Seconds between asking a child to terminate and killing it.
KILL_AFTER = 2.0
_LINE = 4 * 1024 * 1024


def target(handler: Handler) -> dict[str, Any]:
    """Return where a child finds a handler's function: module, qualified name, and the main script's path if needed.

    Raises `ValidationError` for a function that no other process can find.
    """
    fn = handler.fn
    module, qualname = fn.__module__, fn.__qualname__
    where = {"module": module, "qualname": qualname}
    if "<" in qualname:
        fix = "Define it at the top of a module"
        raise ValidationError("a local function cannot run in a process", field=f"handler {handler.name}", fix=fix)
    if module == "__main__":
        path = getattr(sys.modules["__main__"], "__file__", None)
        if path is None:
            fix = "Put it in a module"
            raise ValidationError("has no file to be found in", field=f"handler {handler.name}", fix=fix)
        where["path"] = path
    return where


def in_child() -> bool:
    """Tell whether this process is such a child: a script it loads must not start an engine of its own."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == "mainspring.engine.child"


class Child:
    """One child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.attempts = 0

    @classmethod
    async def start(cls, tracing: str | None = None) -> Child:
        """Start a child; it takes its module path from this process, and how to go on with traces."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mainspring.engine.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE,
            # Out of the terminal's reach: Ctrl-C is for the worker, which drains and tells its children itself.
            start_new_session=True,
        )
        child = cls(process)
        child._send({"path": sys.path, "tracing": tracing})
        return child

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def run(self, handler: Handler, execution: Execution, sink: Sink) -> Outcome:
        """Run one attempt; what the handler says goes to ``sink``. A child that dies gives `Lost`."""
        self.attempts += 1
        self._send({"target": target(handler), "execution": execution_to_wire(execution)})
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = orjson.loads(line)
            if "end" in message:
                return _outcome(message["end"])
            _pass_on(message, sink)
        code = await self._process.wait()
        return Lost(execution.worker_id, f"saw its child process {self._process.pid} die with exit code {code}")

    def ask_to_stop(self, execution_id: str) -> None:
        """Set the handler's ``cancelled``; it may look or not."""
        self._send({"cancel": execution_id})

    async def kill(self) -> None:
        """Terminate the process, and kill it if it does not go."""
        if not self.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), KILL_AFTER)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def close(self) -> None:
        """Let an idle child end by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), KILL_AFTER)
        await self.kill()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        if self.alive and not self._process.stdin.is_closing():
            self._process.stdin.write(orjson.dumps(message) + b"\n")


class Children:
    """Idle children, to be used again. ``tracing`` names the function by which a child goes on with a trace."""

    def __init__(self, tracing: str | None = None) -> None:
        self._tracing = tracing
        self._idle: list[Child] = []
        self.started = self.busy = 0

    @property
    def idle(self) -> int:
        """How many wait for an attempt."""
        return len(self._idle)

    async def take(self) -> Child:
        """Return an idle child, or start one."""
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                self.busy += 1
                return child
        child = await Child.start(self._tracing)
        self.started += 1
        self.busy += 1
        return child

    async def give_back(self, child: Child) -> None:
        """Keep a child for the next attempt, unless it is dead or used up."""
        self.busy -= 1
        if child.alive and child.attempts < ATTEMPTS:
            self._idle.append(child)
        else:
            await child.close()

    async def close(self) -> None:
        """End all idle children."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(child.close() for child in idle))


def _pass_on(message: Mapping[str, Any], sink: Sink) -> None:
    handlers: dict[str, Callable[[Any], None]] = {
        "log": lambda said: sink.log(*said),
        "progress": sink.progress,
        "usage": sink.usage,
    }
    for kind, said in message.items():
        handlers[kind](said)


def _outcome(end: Mapping[str, Any]) -> Outcome:
    if end["kind"] == "succeeded":
        return Succeeded(end["result"])
    if end["kind"] == "snoozed":
        return Snoozed(timedelta(seconds=end["after"]))
    after = end.get("retry_after")
    return Failed(
        end["error"],
        retryable=end["retryable"],
        retry_after=timedelta(seconds=after) if after is not None else None,
        invalid_payload=end.get("invalid_payload", False),
    )
