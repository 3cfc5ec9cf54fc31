"""A registered function as code holds it: still callable, and able to enqueue itself. And a run one can wait for."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from mainspring.app.application import Application, refuse_loop
from mainspring.engine.registry import Handler
from mainspring.errors import ExecutionFailedError
from mainspring.model.execution import Execution, LogLine, Status
from mainspring.moves import cancel as cancelling
from mainspring.moves.enqueue import EnqueueRequest, encoded_size

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")

#: Seconds between two looks at an execution that another process works on.
POLL = 0.2


@dataclass(frozen=True)
class Options:
    """How one enqueue differs from its handler's defaults. None: as the handler says."""

    run_at: datetime | None = None
    priority: int | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    idempotency_key: str | None = None


class Handle(Generic[P, C, R]):
    """What the decorators return. Calling it calls the function; `enqueue` makes an execution of it.

    ``P`` are the function's parameters, ``C`` what calling it gives, ``R`` the result: the same but for a coroutine
    function, whose call gives a coroutine of ``R``.
    """

    def __init__(self, app: Application, handler: Handler, options: Options | None = None) -> None:
        self._app, self.handler, self._options = app, handler, options or Options()
        functools.update_wrapper(self, handler.fn)
        # Where a child process finds the function behind this name.
        self.__mainspring_function__ = handler.fn

    @property
    def name(self) -> str:
        """The handler's name."""
        return self.handler.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        """Call the function itself: here, now, with nothing recorded."""
        return cast(C, self.handler.fn(*args, **kwargs))

    def options(
        self,
        *,
        run_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        concurrency_limit: int | None = None,
        idempotency_key: str | None = None,
    ) -> Handle[P, C, R]:
        """Return the same handler with other options for its next enqueue: ``report.options(priority=9).enqueue()``."""
        chosen = Options(run_at, priority, queue, concurrency_key, concurrency_limit, idempotency_key)
        merged = {key: value for key, value in vars(chosen).items() if value is not None}
        return Handle(self._app, self.handler, replace(self._options, **merged))

    def request(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueRequest:
        """Return what a call would enqueue; its arguments are checked here.

        Raises `ValidationError` with the path of what is wrong, and `LimitExceededError` for more than 256 KiB of JSON.
        """
        h, o = self.handler, self._options
        payload = h.signature.bind(args, kwargs)
        if payload:
            encoded_size(payload)
        return EnqueueRequest(
            h.name,
            payload,
            platform_id=self._app.platform_id,
            handler_type=h.type,
            run_at=o.run_at,
            priority=h.priority if o.priority is None else o.priority,
            queue=o.queue or h.queue,
            concurrency_key=o.concurrency_key,
            concurrency_limit=o.concurrency_limit,
            timeout=h.timeout,
            retry=h.retry,
            isolation=h.isolation.value,
            idempotency_key=o.idempotency_key,
        )

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Make an execution with these arguments; durable when this returns. From sync code only."""
        refuse_loop("enqueue", "aenqueue")
        request = self.request(*args, **kwargs)
        return Run(self._app, self._app.enqueue(request))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Make an execution with these arguments; durable when this returns."""
        request = self.request(*args, **kwargs)
        return Run(self._app, await self._app.aenqueue(request))


class Decorator(Protocol):
    """Turns a function into a `Handle`: what `Mainspring.handler` and its like return. They can be stacked."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]]) -> Handle[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, fn: Callable[P, R]) -> Handle[P, R, R]: ...
    def __call__(self, fn: Callable[P, Any]) -> Handle[P, Any, Any]:
        """Register ``fn``, or the function a `Handle` already stands for."""


class Run(Generic[R]):
    """One execution made by code. Await it for its result."""

    def __init__(self, app: Application, execution: Execution) -> None:
        self._app, self.execution = app, execution

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.execution.id

    def refresh(self) -> Execution:
        """Read the execution again."""
        refuse_loop("refresh", "arefresh")
        return self._seen(self._app.open_blocking().read_blocking(lambda tx: tx.executions.get(self.id)))

    async def arefresh(self) -> Execution:
        """Read the execution again."""
        store = await self._app.open()
        return self._seen(await store.read(lambda tx: tx.executions.get(self.id)))

    def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait for the end and return what the handler returned, as JSON data.

        Raises `ExecutionFailedError` if it ended otherwise, and `TimeoutError` after ``timeout`` (seconds).
        """
        refuse_loop("result", "aresult")
        until = None if timeout is None else time.monotonic() + _seconds(timeout)  # noqa: TID251 - waits in real time
        while not self.refresh().status.terminal:
            if until is not None and time.monotonic() >= until:  # noqa: TID251 - as above
                raise TimeoutError(f"execution {self.id} is still {self.execution.status}")
            time.sleep(POLL)  # noqa: TID251 - a sync caller has nothing else to wait in
        return self._result()

    async def aresult(self, timeout: timedelta | float | None = None) -> R:
        """Wait for the end and return what the handler returned, as JSON data. See `result`."""
        listener = self._app.wakeups.listen("ended")
        try:
            async with asyncio.timeout(None if timeout is None else _seconds(timeout)):
                while not (await self.arefresh()).status.terminal:
                    await listener.wait(POLL)
        except TimeoutError:
            raise TimeoutError(f"execution {self.id} is still {self.execution.status}") from None
        finally:
            listener.close()
        return self._result()

    def __await__(self) -> Generator[Any, None, R]:
        """Await the result."""
        return self.aresult().__await__()

    def cancel(self, reason: str = "cancelled") -> Execution:
        """Cancel it: at once if it has not started, else the handler is told."""
        refuse_loop("cancel", "acancel")
        store = self._app.open_blocking()
        return self._seen(store.write_blocking(lambda tx: cancelling.cancel(tx, self.id, reason=reason)))

    async def acancel(self, reason: str = "cancelled") -> Execution:
        """Cancel it: at once if it has not started, else the handler is told."""
        store = await self._app.open()
        return self._seen(await store.write(lambda tx: cancelling.cancel(tx, self.id, reason=reason)))

    def logs(self, after: int = 0) -> list[LogLine]:
        """Return its log lines with a number above ``after``."""
        refuse_loop("logs", "alogs")
        return self._app.open_blocking().read_blocking(lambda tx: tx.logs.read(self.id, after=after))

    async def alogs(self, after: int = 0) -> list[LogLine]:
        """Return its log lines with a number above ``after``."""
        store = await self._app.open()
        return await store.read(lambda tx: tx.logs.read(self.id, after=after))

    def _seen(self, execution: Execution | None) -> Execution:
        if execution is None:
            raise ExecutionFailedError(self.id, status="gone", error="it is past its retention")
        self.execution = execution
        return execution

    def _result(self) -> R:
        if self.execution.status is Status.SUCCESS:
            return cast(R, self.execution.result)
        error = self.execution.error or {}
        what = f"{error.get('type')}: {error.get('message')}" if error else None
        raise ExecutionFailedError(self.id, status=self.execution.status.value, error=what)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.execution.handler}: {self.execution.status}>"


def _seconds(timeout: timedelta | float) -> float:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
