"""Work that is made here becomes part of a trace: of the caller's, or of what runs here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mainspring.model.execution import Execution
from mainspring.model.trace import TraceIds, here
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.tracing import Tracing


@dataclass(slots=True)
class Span:
    """One piece of work being made: the ids to store with it."""

    ids: TraceIds | None
    execution: Execution | None = None

    def made(self, execution: Execution) -> Execution:
        """Note what was made, and return it."""
        self.execution = execution
        return execution


@contextmanager
def producing(tracing: Tracing | None, what: str, platform_id: str) -> Iterator[Span]:
    """Make work within a span, where spans are made; else within the trace that runs here, if any."""
    if tracing is None:
        yield Span(here())
        return
    begun = tracing.enqueue(what, platform_id)
    span = Span(begun.ids)
    try:
        yield span
    except BaseException as error:
        begun.end(error=error)
        raise
    begun.end(span.execution)


def carried(request: EnqueueRequest) -> EnqueueRequest:
    """Return a request with the trace that runs here, if one does; one that names its own trace keeps it."""
    return traced(request, here())


def traced(request: EnqueueRequest, ids: TraceIds | None) -> EnqueueRequest:
    """Return a request with the ids of a trace, which its execution keeps; one that names its own keeps that."""
    if ids is None or request.trace_id is not None:
        return request
    return replace(request, trace_id=ids.trace_id, span_id=ids.span_id)
