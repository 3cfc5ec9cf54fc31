"""What a handler is told about its attempt, and what it may say: log, progress, usage."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol

from mainspring.model.execution import Execution
from mainspring.model.redact import redacted, without, without_credentials

#: A log message is cut here; longer ones belong in a result or a file.
MESSAGE_LIMIT = 8_192


class Sink(Protocol):
    """Where a context's words go: the worker's buffers, or a child's pipe to it. Safe from any thread."""

    def log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Take one log line."""

    def progress(self, progress: Mapping[str, Any]) -> None:
        """Take the newest progress; older ones that were not stored yet are forgotten."""

    def usage(self, usage: Mapping[str, Any]) -> None:
        """Take the total usage so far."""


class Log:
    """The attempt's log: stored in batches with the execution, and streamed to whoever follows it."""

    __slots__ = ("_hidden", "_sink")

    def __init__(self, sink: Sink, hidden: list[str] | None = None) -> None:
        self._sink, self._hidden = sink, [] if hidden is None else hidden

    def debug(self, message: str, **fields: Any) -> None:
        """Log at level debug; ``fields`` must be plain JSON data."""
        self._log("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Log at level info."""
        self._log("info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Log at level warning."""
        self._log("warning", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Log at level error."""
        self._log("error", message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """Log at level error with the traceback of the exception being handled."""
        fields = {**fields, "traceback": traceback.format_exc()[-MESSAGE_LIMIT:]}
        self._log("error", message, fields)

    def _log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        # Here, in the handler's own process: what is a secret never gets any further.
        told = without_credentials(str(message)[:MESSAGE_LIMIT])
        fields = redacted(fields) if fields else fields
        if self._hidden:
            told, fields = without(told, self._hidden), without(fields, self._hidden)
        self._sink.log(level, told, fields)


class Context:
    """One attempt, as its handler sees it. Ask for it by annotating a parameter: ``def job(ctx: Context)``.

    ``scheduled_at`` is the nominal instant (None for an enqueue), to be used instead of "now" for windows of data.
    ``idempotency_key`` is the same for all attempts: pass it to whatever must not do the work twice. ``deadline`` is
    when the attempt is over. ``chain_depth`` counts the executions that led here, one after the other, by chains and
    events. All methods are plain calls that never block, in sync and async handlers alike.
    """

    def __init__(self, execution: Execution, sink: Sink, is_cancelled: Callable[[], bool]) -> None:
        self.execution_id = execution.id
        self.platform_id = execution.platform_id
        self.job_id, self.job_name = execution.job_id, execution.job_name
        self.handler = execution.handler
        self.cause = execution.cause
        self.scheduled_at = execution.scheduled_at
        self.attempt, self.max_attempts = execution.attempt, execution.retry.max_retries + 1
        self.fence = execution.fence
        self.idempotency_key = execution.idempotency_key or execution.id
        self.trace_id, self.span_id = execution.trace_id, execution.span_id
        self.chain_depth = execution.chain_depth
        self.deadline: datetime | None = execution.deadline_at
        self.last_error: Mapping[str, Any] | None = execution.error
        self._hidden: list[str] = []
        self.log = Log(sink, self._hidden)
        self._sink, self._is_cancelled = sink, is_cancelled
        self._usage: dict[str, Any] = {}

    def hide(self, text: str) -> None:
        """Keep a text, such as a token, out of what this attempt logs from now on and of the error it ends with."""
        if text and text not in self._hidden:
            self._hidden.append(text)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The texts that are to be hidden."""
        return tuple(self._hidden)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt should stop: cancelled, timed out, or its worker is stopping. Check it in long loops."""
        return self._is_cancelled()

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say how far the work is; the newest is stored about twice a second."""
        self._sink.progress({"current": current, "total": total, "message": str(message)[:500]})

    def heartbeat(self, message: str = "") -> None:
        """Say that the handler is alive. The lease needs no help: this only shows that the handler itself moves on."""
        self._sink.progress({"message": str(message)[:500], "heartbeat": True})

    def usage(self, **amounts: float) -> None:
        """Add to what the execution used, such as ``input_tokens`` or ``cost_usd``; amounts of one name add up."""
        for name, amount in amounts.items():
            self._usage[name] = self._usage.get(name, 0) + amount
        self._sink.usage(dict(self._usage))


#: The attempt that runs in this task or thread, if any.
_current: ContextVar[Context | None] = ContextVar("mainspring_context", default=None)


def current() -> Context:
    """Return the context of the attempt this code runs in; raises `LookupError` outside of one."""
    context = _current.get()
    if context is None:
        raise LookupError("no Mainspring attempt runs here: call this from within a handler")
    return context


def hidden_here(text: str) -> str:
    """Return a text without what the attempt running here hides."""
    context = _current.get()
    return text if context is None or not context.hidden else str(without(text, context.hidden))


def next_depth() -> int:
    """Return the chain depth of what code running here leads to: one more than its attempt's, 0 outside of one."""
    context = _current.get()
    return 0 if context is None else context.chain_depth + 1
