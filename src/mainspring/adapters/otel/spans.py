"""`Tracing` by OpenTelemetry. Names, kinds and attributes follow its messaging conventions, which are still developing.

Never on a span: payloads, results, error texts.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from mainspring._version import __version__
from mainspring.model import trace as ours
from mainspring.model.execution import Execution
from mainspring.model.outcome import Outcome, word_of
from mainspring.model.trace import TraceIds

#: How old what made an execution may be for its attempts to be part of the same trace.
SAME_TRACE = timedelta(seconds=60)

_ERRORS = ("failed", "timed_out", "lost")


class OtelTracing:
    """`Tracing` with the spans of a tracer provider. ``close`` sends what it holds, if it is ours to close."""

    def __init__(
        self,
        provider: trace.TracerProvider,
        *,
        close: Callable[[], None] | None = None,
        child: str = f"{__name__}:following_child",
    ) -> None:
        self._tracer: Tracer = trace.get_tracer("mainspring", __version__, provider)
        self._close, self.child = close, child

    def enqueue(self, what: str, platform_id: str) -> _Produced:
        above = contexts.get_current()
        ids = ours.here()
        if ids is not None and not trace.get_current_span().get_span_context().is_valid:
            # A caller elsewhere: what its request carried.
            above = trace.set_span_in_context(NonRecordingSpan(_remote(ids)))
        attributes = {**_messaging("enqueue", "send"), "mainspring.what": what, "mainspring.platform": platform_id}
        return _Produced(self._tracer.start_span("enqueue", above, SpanKind.PRODUCER, attributes))

    def dispatch(self, execution: Execution) -> _Produced:
        attributes = {**_messaging("dispatch", "send", execution.queue), **_about(execution)}
        root, name = contexts.Context(), f"dispatch {execution.queue}"
        return _Produced(self._tracer.start_span(name, root, SpanKind.PRODUCER, attributes))

    def process(self, execution: Execution) -> _Consumed:
        above, links = contexts.Context(), []
        if execution.trace_id is not None and execution.span_id is not None:
            made = _remote(TraceIds(execution.trace_id, execution.span_id))
            links.append(Link(made))
            started = execution.started_at
            if started is not None and started - execution.created_at <= SAME_TRACE:
                above = trace.set_span_in_context(NonRecordingSpan(made), above)
        attributes = {**_messaging("process", "process", execution.queue), **_about(execution)}
        attributes["mainspring.attempt.number"] = execution.attempt
        attributes["mainspring.attempt.max"] = execution.retry.max_retries + 1
        if execution.started_at is not None and execution.attempt == 1:
            delay = (execution.started_at - execution.available_at).total_seconds()
            attributes["mainspring.start_delay_s"] = max(0.0, delay)
        name = f"process {execution.queue}"
        return _Consumed(self._tracer.start_span(name, above, SpanKind.CONSUMER, attributes, links))

    def close(self) -> None:
        if self._close is not None:
            self._close()


class _Produced:
    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def ids(self) -> TraceIds | None:
        # Not of a trace that is sampled out: whoever goes on with it would take it for one that is not.
        return _ids(self._span) if self._span.get_span_context().trace_flags.sampled else None

    def end(self, execution: Execution | None = None, error: BaseException | None = None) -> None:
        if execution is not None:
            self._span.update_name(f"enqueue {execution.queue}")
            self._span.set_attributes({"messaging.destination.name": execution.queue, **_about(execution)})
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _Consumed:
    def __init__(self, span: Span) -> None:
        self._span = span
        self.ids = _ids(span)
        self.context = contextvars.copy_context()
        self.context.run(self._enter)

    def _enter(self) -> None:
        contexts.attach(trace.set_span_in_context(self._span))
        ours.enter(self.ids)

    def end(self, outcome: Outcome) -> None:
        word = word_of(outcome)
        self._span.set_attribute("mainspring.outcome", word)
        if word in _ERRORS:
            kind = (getattr(outcome, "error", None) or {}).get("type") or word
            self._span.set_attribute("error.type", str(kind)[:200])
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def following_child(ids: TraceIds | None) -> None:
    """Go on with a trace in a child process whose spans are the application's own affair."""
    if ids is not None:
        enter_remote(ids)


def enter_remote(ids: TraceIds) -> None:
    """Run what follows below a span of another process."""
    contexts.attach(trace.set_span_in_context(NonRecordingSpan(_remote(ids))))


def _ids(span: Span) -> TraceIds:
    found = span.get_span_context()
    return TraceIds(trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id))


def _remote(ids: TraceIds) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=True, trace_flags=sampled)


def _messaging(operation: str, kind: str, queue: str | None = None) -> dict[str, Any]:
    found = {
        "messaging.system": "mainspring",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
    }
    return found if queue is None else {**found, "messaging.destination.name": queue}


def _about(execution: Execution) -> dict[str, Any]:
    found: dict[str, Any] = {
        "messaging.message.id": execution.id,
        "mainspring.platform": execution.platform_id,
        "mainspring.handler.name": execution.handler,
        "mainspring.handler.kind": execution.handler_type,
        "mainspring.cause.type": execution.cause.value,
    }
    if execution.job_name is not None:
        found["mainspring.job.name"] = execution.job_name
    if execution.job_revision is not None:
        found["mainspring.job.revision"] = execution.job_revision
    if execution.scheduled_at is not None:
        found["mainspring.occurrence.due_at"] = execution.scheduled_at.isoformat()
    return found
