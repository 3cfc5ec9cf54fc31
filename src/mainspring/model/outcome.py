"""How an attempt ended, as a value. What follows from it is decided in ``schedule.settle``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mainspring.model.durations import duration


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned ``result``, already plain JSON data."""

    result: Any = None
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or asked to fail. ``retry_after`` overrides the policy's delay; not retryable ends it.

    ``error`` has the keys ``type``, ``message`` and ``traceback`` (text).
    """

    error: Mapping[str, Any]
    retryable: bool = True
    retry_after: timedelta | None = None
    invalid_payload: bool = False


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The attempt took longer than its timeout."""

    error: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked to be run again after ``after``; no attempt is used."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The handler stopped because it was asked to."""

    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Released:
    """The worker gave it back while draining; no attempt is used."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt is gone without a word: its lease ran out, or its child process died. Not the handler's failure."""

    worker_id: str | None = None
    detail: str = "stopped renewing its lease"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The work was handed to something outside, known there as ``external_ref``; ``until`` is when to give up."""

    external_ref: str
    until: datetime


Outcome = Succeeded | Failed | TimedOut | Snoozed | Cancelled | Released | Lost | Waiting


class Signal(Exception):  # noqa: N818 - raised to say something, not because something is wrong
    """Base of what a handler raises to choose its outcome. Not an error."""


class Retry(Signal):
    """Raise in a handler: this attempt failed, try again after ``after`` (``"30s"``, seconds or a timedelta).

    Only if retries are left. Without ``after`` the retry policy's own delay counts.

    >>> Retry(after="30s").after
    datetime.timedelta(seconds=30)
    """

    def __init__(
        self, after: timedelta | str | float | None = None, reason: str = "the handler asked for a retry"
    ) -> None:
        self.after = duration(after, "Retry(after)") if after is not None else None
        self.reason = reason
        super().__init__(reason)


class Snooze(Signal):
    """Raise in a handler: not now, run me again after ``after`` (``"5m"``, seconds or a timedelta). Uses no attempt."""

    def __init__(self, after: timedelta | str | float) -> None:
        self.after = duration(after, "Snooze(after)")
        super().__init__(f"snoozed for {self.after}")


class Fail(Signal):
    """Raise in a handler: this failed and no retry will mend it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


_WORDS: Mapping[type, str] = {
    Succeeded: "success",
    Failed: "failed",
    TimedOut: "timed_out",
    Lost: "lost",
    Cancelled: "cancelled",
    Snoozed: "snoozed",
    Released: "released",
    Waiting: "waiting",
}


def word_of(outcome: Outcome) -> str:
    """Return how an attempt ended in one word, as logs and spans say it.

    >>> word_of(Succeeded()), word_of(Cancelled())
    ('success', 'cancelled')
    """
    return _WORDS[type(outcome)]
