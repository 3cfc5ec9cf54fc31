"""What a server has answered: plain counters by method, route and status, kept by the outermost layer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from mainspring.model import metrics as m
from mainspring.model.log_events import about
from mainspring.model.metrics import Figure, Timer

logger = logging.getLogger("mainspring.requests")

_PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class Requests:
    """Counts requests. A route is told by its template, so that no name or id becomes a label."""

    def __init__(self, streams: Callable[[], int]) -> None:
        self._streams = streams
        self._answered: Counter[tuple[str, str, str]] = Counter()
        self._timers: dict[str, Timer] = {}

    def count(self, scope: Any, status: int, seconds: float, *, streamed: bool) -> None:
        """Count one request that was answered."""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "none")
        self._answered[method, route, f"{status // 100}xx"] += 1
        _tell(scope, method, route, status, seconds)
        if not streamed:
            self._timers.setdefault(method, Timer(m.API_DURATION.buckets)).observe(seconds)

    def figures(self) -> Iterator[Figure]:
        """Return what was counted so far."""
        yield from (Figure(m.API_REQUESTS, labels, float(count)) for labels, count in list(self._answered.items()))
        yield from (timer.figure(m.API_DURATION, method) for method, timer in list(self._timers.items()))
        yield Figure(m.STREAMS, value=float(self._streams()))


def _tell(scope: Any, method: str, route: str, status: int, seconds: float) -> None:
    """Log a request that changes something, or that we could not answer; others at level debug, probes never."""
    level = logging.INFO if method != "GET" or status >= 500 else logging.DEBUG
    if route in _PROBES or not logger.isEnabledFor(level):
        return
    request_id = scope.get("state", {}).get("request_id")
    told = about(
        "request.answered",
        method=method,
        route=route,
        status=status,
        duration_s=round(seconds, 4),
        request_id=request_id,
    )
    logger.log(level, "%s %s: %d", method, route, status, extra=told)
