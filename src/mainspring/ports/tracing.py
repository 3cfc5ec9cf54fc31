"""Spans: made where work is enqueued, dispatched and attempted, by whatever records traces."""

from __future__ import annotations

import contextvars
from typing import Protocol

from mainspring.model.execution import Execution
from mainspring.model.outcome import Outcome
from mainspring.model.trace import TraceIds


class Produced(Protocol):
    """The span of work being made. Nothing is recorded of one that is never ended."""

    @property
    def ids(self) -> TraceIds | None:
        """What is stored with the execution; None where this trace is not recorded."""

    def end(self, execution: Execution | None = None, error: BaseException | None = None) -> None:
        """Record it, with what was made or what went wrong."""


class Consumed(Protocol):
    """The span of an attempt."""

    @property
    def ids(self) -> TraceIds:
        """What the handler is told, and what its calls carry."""

    @property
    def context(self) -> contextvars.Context:
        """The context the attempt is to run in."""

    def end(self, outcome: Outcome) -> None:
        """Record it with how it ended."""


class Tracing(Protocol):
    """Makes spans. Each method is a few microseconds of this process's own; nothing waits for who keeps them."""

    @property
    def child(self) -> str:
        """Names, as ``module:function``, what a child process goes on with a trace by."""

    def enqueue(self, what: str, platform_id: str) -> Produced:
        """Begin the span of an enqueue of a handler or a trigger of a job, below what runs here."""

    def dispatch(self, execution: Execution) -> Produced:
        """Begin the span of a due instant's execution, the root of a new trace."""

    def process(self, execution: Execution) -> Consumed:
        """Begin the span of an attempt: below what made the execution if that is a minute ago at most, else linked."""

    def close(self) -> None:
        """Send what was recorded, in bounded time."""
