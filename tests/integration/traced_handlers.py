"""Handlers of the tests of traces, at the top of a module, where a child process can find them."""

from __future__ import annotations

from typing import Any

from mainspring import Context
from mainspring.model.trace import here


def in_a_child(ctx: Context) -> dict[str, Any]:
    """Tell which trace the child believes to be in."""
    from opentelemetry import trace

    span = trace.get_current_span().get_span_context()
    ids = here()
    assert ids is not None
    return {
        "context": [ctx.trace_id, ctx.span_id],
        "here": [ids.trace_id, ids.span_id],
        "otel": [trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)],
    }
