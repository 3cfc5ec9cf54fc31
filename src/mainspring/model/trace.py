"""Which trace what runs here belongs to: two ids in a context variable, and the W3C header that carries them.

This alone carries a trace from a request through the record to a handler and on, also where nothing records spans.

Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.{0,400})?")


class TraceIds(NamedTuple):
    """A trace, and the span in it that what follows belongs under."""

    trace_id: str
    span_id: str

    @property
    def header(self) -> str:
        """The ``traceparent`` header.

        >>> TraceIds("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7").header
        '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
        """
        return f"00-{self.trace_id}-{self.span_id}-01"


_here: ContextVar[TraceIds | None] = ContextVar("mainspring_trace", default=None)


def here() -> TraceIds | None:
    """Return the trace that runs in this task or thread, if any."""
    return _here.get()


def enter(ids: TraceIds | None) -> None:
    """Run what follows in this task or thread under a trace; None for none."""
    _here.set(ids)


def read_header(text: str | None) -> TraceIds | None:
    """Return what a ``traceparent`` header says; None for one that is missing or no such header.

    >>> read_header("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").span_id
    '00f067aa0ba902b7'
    >>> read_header("00-x-y-01") is read_header(None) is None
    True
    """
    found = _HEADER.fullmatch(text.strip()) if text else None
    return None if found is None else TraceIds(found[1], found[2])


def headers() -> Mapping[str, str]:
    """Return the header for a call that goes out from here; none outside of a trace."""
    ids = here()
    return {} if ids is None else {"traceparent": ids.header}
