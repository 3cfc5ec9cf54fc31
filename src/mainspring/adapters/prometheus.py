"""Figures in the text formats of Prometheus, by its own client library; never its global registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from mainspring.model.metrics import Figure, Metric


class _Figures(Collector):
    """A collector of what it was given."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._by_metric: dict[Metric, list[Figure]] = defaultdict(list)
        for figure in figures:
            self._by_metric[figure.metric].append(figure)

    def collect(self) -> Iterator[Family]:
        for metric, figures in self._by_metric.items():
            yield _family(metric, figures)


def render(figures: Iterable[Figure], accept: str = "") -> tuple[bytes, str]:
    """Return figures as text with its content type: OpenMetrics for who accepts that, else Prometheus' own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _family(metric: Metric, figures: Sequence[Figure]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.full_name, metric.help, labels=metric.labels)
        for figure in figures:
            bounds = [*map(str, metric.buckets), "+Inf"]
            histogram.add_metric(figure.labels, list(zip(bounds, figure.buckets, strict=True)), figure.value)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.full_name, metric.help, labels=metric.labels)
    for figure in figures:
        family.add_metric(figure.labels, figure.value)
    return family
