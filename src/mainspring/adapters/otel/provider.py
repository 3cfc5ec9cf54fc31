"""Where spans go: to the provider an application has set up, else by OTLP over HTTP, as ``OTEL_*`` says."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from mainspring._version import __version__
from mainspring.adapters.otel.spans import OtelTracing, enter_remote
from mainspring.model.trace import TraceIds

#: Milliseconds the spans of a child process have to get out before it takes its next attempt.
FLUSH = 2_000


def tracing() -> OtelTracing:
    """Return what makes spans. An application's own provider is used and left to it."""
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        return OtelTracing(found)
    provider = _exporting()
    trace.set_tracer_provider(provider)
    return OtelTracing(provider, close=provider.shutdown, child=f"{__name__}:exporting_child")


def exporting_child(ids: TraceIds | None) -> None:
    """Go on with a trace in a child process, where a handler may make spans of its own; None: send what it made."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = _exporting()
        trace.set_tracer_provider(provider)
    if ids is None:
        provider.force_flush(FLUSH)
    else:
        enter_remote(ids)


def _exporting() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    resource = Resource.create()  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "mainspring", "service.version": __version__}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
