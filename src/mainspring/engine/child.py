"""What runs inside a child process: one attempt at a time, JSON lines on the pipes to its worker.

The function comes from the worker's registry: the worker says in which module it stands, never a stored row. What the
handler prints goes to the worker's standard error; standard output belongs to the protocol.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import runpy
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import orjson

from mainspring.engine.context import Context, _current
from mainspring.engine.inject import inject
from mainspring.engine.outcomes import describe, outcome_of_error, outcome_of_result
from mainspring.engine.registry import Signature
from mainspring.errors import MainspringError, ValidationError
from mainspring.model.outcome import Failed, Snoozed, Succeeded
from mainspring.model.trace import TraceIds, enter
from mainspring.model.wire import execution_from_wire

_MAIN = "__mainspring_child__"

#: Goes on with a trace in this process; None: with none, and what was recorded may be sent.
GoOn = Callable[[TraceIds | None], None]


class _Pipe:
    """The sink of a child's context: each word is one line to the worker."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def send(self, **message: Any) -> None:
        line = orjson.dumps(message, default=str) + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        self.send(log=[level, message, fields])

    def progress(self, progress: Mapping[str, Any]) -> None:
        self.send(progress=progress)

    def usage(self, usage: Mapping[str, Any]) -> None:
        self.send(usage=usage)


def load(target: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function a worker names by module and qualified name; ``path`` is the main script's."""
    if target["module"] == "__main__":
        module: Any = sys.modules.get(_MAIN)
        if module is None:
            names = runpy.run_path(target["path"], run_name=_MAIN)
            module = type(sys)(_MAIN)
            module.__dict__.update(names)
            sys.modules[_MAIN] = module
    else:
        module = importlib.import_module(target["module"])
    found: Any = module
    for part in target["qualname"].split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = getattr(found, "__mainspring_function__", found)
    return function


def _run(message: Mapping[str, Any], pipe: _Pipe, cancelled: set[str], go_on: GoOn | None) -> dict[str, Any]:
    execution = execution_from_wire(message["execution"])
    ids = None
    if execution.trace_id is not None and execution.span_id is not None:
        ids = TraceIds(execution.trace_id, execution.span_id)
    enter(ids)
    try:
        fn = load(message["target"])
        if go_on is not None:
            go_on(ids)  # after the module was loaded, which may set up traces of its own
        signature = Signature(execution.handler, fn)
        arguments = signature.arguments(execution.payload)
    except ValidationError as error:
        return {"kind": "failed", "error": describe(error), "retryable": False, "invalid_payload": True}
    except Exception as error:  # the module cannot be loaded here: say so instead of dying with it
        return {"kind": "failed", "error": describe(error), "retryable": True}
    context = Context(execution, pipe, lambda: execution.id in cancelled)
    arguments.update(inject(signature, context, execution))
    token = _current.set(context)
    try:
        value = fn(**arguments)
        outcome = outcome_of_result(signature, asyncio.run(value) if inspect.iscoroutine(value) else value)
    except BaseException as error:
        outcome = outcome_of_error(error)
    finally:
        _current.reset(token)
    match outcome:
        case Succeeded(result):
            return {"kind": "succeeded", "result": result}
        case Snoozed(after):
            return {"kind": "snoozed", "after": after.total_seconds()}
        case Failed(error=problem, retryable=retryable, retry_after=after):
            seconds = after.total_seconds() if after is not None else None
            return {"kind": "failed", "error": dict(problem), "retryable": retryable, "retry_after": seconds}
    raise MainspringError(f"a handler cannot end as {outcome}")


def main() -> None:
    """Serve attempts until the worker closes the pipe."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pipe = _Pipe(stream)
    # By execution: a cancel may overtake the attempt it is for, or come when that has just ended.
    cancelled: set[str] = set()
    inbox: list[Mapping[str, Any]] = []
    arrived = threading.Semaphore(0)

    def read() -> None:
        for line in sys.stdin.buffer:
            message = orjson.loads(line)
            if "cancel" in message:
                cancelled.add(message["cancel"])
                continue
            inbox.append(message)
            arrived.release()
        os._exit(0)  # the worker is gone: nothing this attempt does counts any more

    first = orjson.loads(sys.stdin.buffer.readline())
    sys.path[:] = first["path"]
    go_on = _named(first["tracing"]) if first.get("tracing") else None
    threading.Thread(target=read, daemon=True).start()
    while True:
        arrived.acquire()
        pipe.send(end=_run(inbox.pop(0), pipe, cancelled, go_on))
        if go_on is not None:
            go_on(None)  # told already, so that nobody waits for who keeps the spans


def _named(where: str) -> GoOn:
    module, _, name = where.partition(":")
    function: GoOn = getattr(importlib.import_module(module), name)
    return function


if __name__ == "__main__":
    main()
