"""OpenTelemetry: spans over its SDK, exported as the ``OTEL_*`` variables say."""

from mainspring.adapters.otel.provider import tracing
from mainspring.adapters.otel.spans import OtelTracing

__all__ = ["OtelTracing", "tracing"]
