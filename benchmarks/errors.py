"""What goes wrong on purpose."""

from __future__ import annotations


class BenchmarkError(RuntimeError):
    """The benchmark cannot do what it was asked for; the message says what, and how to mend it."""


class PeerUnavailableError(BenchmarkError):
    """A peer cannot be measured on this machine. It is left out, with the reason."""


class PeerFailedError(BenchmarkError):
    """A peer's program failed while it was measured; the message carries the end of its log."""
