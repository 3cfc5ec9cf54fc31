"""What takes more than one question: waiting for an end, and following a stream through broken connections."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from mainspring.client import asks
from mainspring.client.ask import Ask, nothing
from mainspring.client.exchange import Caller, Lost, Pause, Reply, Send, Steps, request_of, retry_after, streaming
from mainspring.client.problems import ServerUnreachableError, problem_of
from mainspring.client.shape import Shape
from mainspring.client.shapes import Data, Execution, LogLine, Operation
from mainspring.errors import ExecutionFailedError
from mainspring.model.admin import OperationStatus
from mainspring.model.execution import Status

T = TypeVar("T")
Now = Callable[[], float]

#: Seconds between two looks: at first, and at most.
FIRST_LOOK, LAST_LOOK = 0.05, 2.0
#: Seconds one question may wait at the server for an end.
LONG_LOOK = 20.0
#: Ids of events kept to tell a repeat by.
REMEMBERED = 5_000


class StreamEvent(Shape):
    """Something that happened. ``type`` is such as ``scheduler:execution.failed``, ``subject`` what it is about.

    The type ``gap`` says that more had happened than the server replays: read the lists once more.
    """

    id: str
    type: str
    at: datetime | None
    subject: str | None
    data: Data


# -- waiting -----------------------------------------------------------------------------------------------------


def wait(caller: Caller, now: Now, execution_id: str, *, timeout: float | None = None) -> Steps[Execution]:
    """Wait until an execution has ended, however, and return it.

    Args:
        caller: Who asks.
        now: The driver's clock, in seconds.
        execution_id: Which one.
        timeout: Longest wait in seconds; `TimeoutError` when it is over. The execution goes on.
    """
    longest = min(
        LONG_LOOK, caller.timeout * 0.7
    )  # the server answers as soon as it ends, well within a request's time

    def look(left: float | None) -> Ask[Execution]:
        seconds = longest if left is None else max(0.0, min(longest, left))
        return asks.wait_for_execution(execution_id, timeout_ms=round(seconds * 1000))

    return (yield from _until(now, caller, look, _has_ended, timeout, f"execution {execution_id}"))


def result(caller: Caller, now: Now, execution_id: str, *, timeout: float | None = None) -> Steps[Any]:
    """Wait for an execution's success and return its result; `ExecutionFailedError` where it ended otherwise."""
    execution = yield from wait(caller, now, execution_id, timeout=timeout)
    if execution.status is not Status.SUCCESS:
        error = execution.error or {}
        told = f"{error.get('type')}: {error.get('message')}" if error else None
        raise ExecutionFailedError(execution_id, status=str(execution.status), error=told)
    return execution.result


def wait_operation(caller: Caller, now: Now, operation_id: str, *, timeout: float | None = None) -> Steps[Operation]:
    """Wait until a bulk operation is over and return it; `TimeoutError` after ``timeout`` seconds."""
    ask = asks.get_operation(operation_id)
    return (yield from _until(now, caller, lambda _: ask, _is_over, timeout, f"operation {operation_id}"))


def _until(
    now: Now,
    caller: Caller,
    look: Callable[[float | None], Ask[T]],
    ended: Callable[[T], bool],
    timeout: float | None,
    what: str,
) -> Steps[T]:
    end = None if timeout is None else now() + timeout
    pause = FIRST_LOOK
    while True:
        found = yield from caller.ask(look(None if end is None else end - now()))
        if ended(found):
            return found
        left = pause if end is None else end - now()
        if left <= 0:
            raise TimeoutError(f"{what} has not ended within {timeout:g} s")
        yield Pause(min(pause, left))
        pause = min(pause * 1.5, LAST_LOOK)


def _has_ended(execution: Execution) -> bool:
    return isinstance(execution.status, Status) and execution.status.terminal


def _is_over(operation: Operation) -> bool:
    return operation.status not in (OperationStatus.RUNNING, OperationStatus.PAUSED)


# -- following ---------------------------------------------------------------------------------------------------


class Following(Generic[T]):
    """One stream being followed: what to ask next, and what its lines mean. The driver opens, reads and waits."""

    def __init__(self, caller: Caller, path: str, values: dict[str, str], read: Callable[[Frame], T | None]) -> None:
        self.caller, self.last_id, self.ended = caller, None if "after" not in values else values.pop("after"), False
        topics = values.pop("topics", "")
        ask = Ask("stream", "GET", path, nothing, values, query={"topics": topics or None})
        self._send = request_of(ask, caller.platform, caller.key, accept="text/event-stream")
        self._read, self._frame = read, Frame()
        self._tries, self._connected_at = 0, self.last_id
        self._seen: OrderedDict[str, None] = OrderedDict()
        #: Whether the connection is to be given up for a new one, from the last event on.
        self.reconnect = False

    def request(self) -> Send:
        """Return the request that opens the stream where it was left off."""
        self._frame, self.reconnect, self._connected_at = Frame(), False, self.last_id
        return streaming(self._send, self.last_id)

    def take(self, line: str) -> list[T]:
        """Take a line; return what it completes: one thing, or nothing yet."""
        if line:
            self._frame.add(line)
            return []
        frame, self._frame = self._frame, Frame()
        if frame.empty:
            return []
        self._tries = 0
        found = self._handled(frame)
        return [] if found is None else [found]

    def broke(self, got: Reply | Lost | None) -> float:
        """Return the pause before the stream is opened again; raise where that is no use.

        Args:
            got: A refusal, a connection lost, or None where the stream just ended.
        """
        patience = self.caller.patience
        if isinstance(got, Reply) and got.status not in (429, 502, 503, 504):
            raise problem_of(got.status, got.content)
        if self.reconnect and got is None:
            return patience.pause(1, self.caller.random.random())
        self._tries += 1
        after = retry_after(got.headers) if isinstance(got, Reply) else None
        if self._tries <= patience.retries:
            return patience.pause(self._tries, self.caller.random.random(), after)
        if isinstance(got, Reply):
            raise problem_of(got.status, got.content)
        why = got.why if isinstance(got, Lost) else "the stream ended at once, again and again"
        raise ServerUnreachableError(self.caller.server, why, sent=False)

    def _handled(self, frame: Frame) -> T | None:
        if frame.event == "end":
            self.ended = frame.data.get("reason") == "ended"
            self.reconnect = not self.ended
            return None
        if frame.event == "gap" and frame.data.get("after") not in (None, self._connected_at):
            self.last_id, self.reconnect = frame.data["after"], True  # we were too slow: ask for what was dropped
            return None
        if frame.id:
            if frame.id in self._seen:
                return None
            self.last_id = frame.id
            self._seen[frame.id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return self._read(frame)


class Frame:
    """One event of a stream, as its lines come in."""

    def __init__(self) -> None:
        self.id, self.event, self._data = "", "message", ""

    def add(self, line: str) -> None:
        """Add one line; comments, which keep a quiet stream open, say nothing."""
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.id = value
        elif name == "event":
            self.event = value
        elif name == "data":
            self._data += f"\n{value}" if self._data else value

    @property
    def empty(self) -> bool:
        """Whether there was nothing but comments."""
        return not self._data

    @property
    def data(self) -> dict[str, Any]:
        """Its data."""
        found = json.loads(self._data)
        return found if isinstance(found, dict) else {"value": found}


def export_record(kind: str, *, job: str | None = None) -> Ask[dict[str, Any]]:
    """Yield the record whole, row by row: ``decisions``, ``executions``, ``attempts`` or ``transitions``.

    A connection that breaks ends it with an error: begin again, the rows are the same.
    """
    return Ask("export_record", "GET", "/export/{kind}", dict, {"kind": kind}, query={"job": job})


def follow_logs(caller: Caller, execution_id: str, *, after: int = 0) -> Following[LogLine]:
    """Follow an execution's log from behind line ``after`` to its end."""
    values = {"execution_id": execution_id, **({"after": str(after)} if after else {})}
    return Following(caller, "/executions/{execution_id}/logs:stream", values, _line)


def follow_events(caller: Caller, *, topics: str = "", last_id: str | None = None) -> Following[StreamEvent]:
    """Follow what happens on the platform, from now on or from behind ``last_id``, without end.

    ``topics`` narrows it: ``jobs``, ``executions``, ``occurrences``, ``workers``, ``budgets``, with commas between.
    """
    values = {"topics": topics, **({"after": last_id} if last_id else {})}
    return Following(caller, "/stream", values, _event)


def _line(frame: Frame) -> LogLine | None:
    return LogLine(frame.data) if frame.event == "line" else None


def _event(frame: Frame) -> StreamEvent | None:
    if frame.event == "hello":
        return None
    return StreamEvent({"id": frame.id, "type": frame.event, "data": frame.data, **(_whole(frame.data))})


def _whole(data: dict[str, Any]) -> dict[str, Any]:
    return data if "type" in data else {}
