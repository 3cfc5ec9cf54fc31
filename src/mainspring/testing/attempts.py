"""One attempt of one handler, with a context built for it: no record, no clock, nothing else runs.

Arguments and result take the way they take in production: checked, to JSON and back. So a handler that only works when
called with objects fails here, and not first in the field.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from mainspring.app.handle import Handle
from mainspring.engine.context import Context, _current
from mainspring.engine.executor import Words
from mainspring.engine.inject import inject
from mainspring.engine.outcomes import describe, outcome_of_error, outcome_of_result
from mainspring.engine.registry import Handler
from mainspring.errors import ValidationError
from mainspring.model.execution import Cause, Execution, Status
from mainspring.model.outcome import Failed, Outcome, Snoozed, Succeeded

#: When a performed attempt happens, unless the test says.
WHEN = datetime(2026, 3, 2, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Performed:
    """What one attempt came to, and what it said."""

    outcome: Outcome
    logs: tuple[str, ...]
    progress: Mapping[str, Any] | None
    usage: Mapping[str, Any] | None
    context: Context

    @property
    def succeeded(self) -> bool:
        """Whether the handler returned."""
        return isinstance(self.outcome, Succeeded)

    @property
    def result(self) -> Any:
        """What the handler returned, as JSON data; raises `AssertionError` with its error if it did not return."""
        if isinstance(self.outcome, Succeeded):
            return self.outcome.result
        raise AssertionError(f"the attempt ended otherwise: {self.outcome}")

    @property
    def error(self) -> Mapping[str, Any] | None:
        """Type, message and traceback of what it raised; None if it did not fail."""
        return self.outcome.error if isinstance(self.outcome, Failed) else None

    @property
    def retryable(self) -> bool:
        """Whether it failed in a way that another attempt may mend."""
        return isinstance(self.outcome, Failed) and self.outcome.retryable

    @property
    def snoozed(self) -> bool:
        """Whether it asked to be run again later without using an attempt."""
        return isinstance(self.outcome, Snoozed)


async def aperform(
    handle: Handle[Any, Any, Any],
    /,
    *,
    attempt: int = 1,
    last_error: Mapping[str, Any] | None = None,
    scheduled_at: datetime | None = None,
    event: Mapping[str, Any] | None = None,
    cancelled: bool = False,
    **args: Any,
) -> Performed:
    """Run one attempt of a handler and return what it came to. See `perform`, its form for tests without a loop.

    Args:
        handle: The handler.
        attempt: Which try this is; above 1 the context carries ``last_error``.
        last_error: How the try before ended: ``type``, ``message``, ``traceback``.
        scheduled_at: The nominal instant of the run.
        event: The event that caused it, for a handler that takes an `Event`: ``id``, ``type``, ``data``.
        cancelled: What ``context.cancelled`` says.
        args: The handler's arguments; raises `ValidationError` for those it does not take.
    """
    handler = handle.handler
    payload = orjson.loads(orjson.dumps(handler.signature.bind((), args)))
    execution = _execution(handler, payload, attempt, last_error, scheduled_at, event)
    words = Words()
    context = Context(execution, words, lambda: cancelled)
    outcome = await _attempt(handler, execution, context)
    lines = tuple(message for _, message, _ in words.take_lines())
    return Performed(outcome, lines, words.take_progress(), words.used, context)


def perform(handle: Handle[Any, Any, Any], /, **options: Any) -> Performed:
    """Run one attempt of a handler from a test without an event loop; takes what `aperform` takes.

    >>> from mainspring import Context, Mainspring
    >>> ms = Mainspring()
    >>> @ms.handler("charge", retry=3)
    ... def charge(ctx: Context, amount: int) -> str:
    ...     if ctx.attempt < 3:
    ...         raise ConnectionError("the bank is closed")
    ...     return f"{amount} charged"
    >>> perform(charge, attempt=3, amount=5).result
    '5 charged'
    >>> perform(charge, attempt=1, amount=5).error["message"]
    'the bank is closed'
    """
    return asyncio.run(aperform(handle, **options))


async def _attempt(handler: Handler, execution: Execution, context: Context) -> Outcome:
    try:
        arguments = handler.signature.arguments(execution.payload)
        arguments.update(inject(handler.signature, context, execution))
    except ValidationError as error:
        return Failed(describe(error), retryable=False, invalid_payload=True)
    token = _current.set(context)
    try:
        value = handler.fn(**arguments)
        outcome = outcome_of_result(handler.signature, await value if inspect.isawaitable(value) else value)
    except Exception as error:
        return outcome_of_error(error)
    finally:
        _current.reset(token)
    if isinstance(outcome, Succeeded):
        return Succeeded(orjson.loads(orjson.dumps(outcome.result)))
    return outcome


def _execution(
    handler: Handler,
    payload: dict[str, Any],
    attempt: int,
    last_error: Mapping[str, Any] | None,
    scheduled_at: datetime | None,
    event: Mapping[str, Any] | None,
) -> Execution:
    if attempt < 1:
        raise ValueError(f"attempt is counted from 1, got {attempt}")
    return Execution(
        "01900000-0000-7000-8000-000000000001",
        "default",
        handler.name,
        Status.RUNNING,
        Cause.ENQUEUE if scheduled_at is None else Cause.SCHEDULE,
        WHEN,
        WHEN,
        payload=payload,
        event=event,
        scheduled_at=scheduled_at,
        timeout=handler.timeout,
        retry=handler.retry,
        started_at=scheduled_at or WHEN,
        deadline_at=(scheduled_at or WHEN) + handler.timeout,
        attempt=attempt,
        failures=attempt - 1,
        fence=attempt,
        error=last_error,
    )
