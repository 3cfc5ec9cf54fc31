"""The policies a job carries, as values: retry, overlap, misfire, isolation. What they lead to is in ``schedule``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Overlap(StrEnum):
    """What happens when an instant is due while an earlier execution of the job is active."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"
    ALLOW_ALL = "allow_all"


class Misfire(StrEnum):
    """What happens to instants first decided later than their grace."""

    SKIP = "skip"
    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"


class Isolation(StrEnum):
    """Where a handler runs. Only ``process`` can be killed; the others are fenced off and told."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


class RetryJitter(StrEnum):
    """``full``: a uniform draw between nothing and the delay. ``none``: exactly the delay."""

    FULL = "full"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart a failed attempt is repeated.

    ``max_retries`` counts the attempts after the first (0 to 1000), so four attempts at most for 3. The delay before
    retry ``n`` (from 1) is ``min(retry_delay * backoff_multiplier ** (n - 1), max_retry_delay)``, then jitter.
    """

    max_retries: int = 2
    retry_delay: timedelta = timedelta(seconds=1)
    backoff_multiplier: float = 2.0
    max_retry_delay: timedelta = timedelta(hours=1)
    jitter: RetryJitter = RetryJitter.FULL
