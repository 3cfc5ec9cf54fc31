"""How long to wait before the next attempt: arithmetic only, no clock, no random source.

The caller passes the draw in, so any delay in a log or a failing test can be computed again by hand.
"""

from __future__ import annotations

from datetime import timedelta

from mainspring.model.policy import RetryJitter, RetryPolicy


def backoff(retry: int, policy: RetryPolicy, *, draw: float) -> timedelta:
    """Return the delay before a retry: at most ``min(retry_delay * multiplier ** (retry - 1), max_retry_delay)``.

    Args:
        retry: Number of the retry that will follow, counted from 1.
        policy: The job's retry policy; with jitter ``none`` exactly that delay is returned.
        draw: A uniform random number in [0, 1).

    Raises:
        ValueError: If ``retry`` is below 1.

    Source: M. Brooker, "Exponential Backoff and Jitter" (2015), the full-jitter variant.

    >>> backoff(3, RetryPolicy(retry_delay=timedelta(seconds=2)), draw=0.5)
    datetime.timedelta(seconds=4)
    """
    if retry < 1:
        raise ValueError(f"retry is counted from 1, got {retry}")
    base, cap = policy.retry_delay.total_seconds(), policy.max_retry_delay.total_seconds()
    try:
        seconds = min(base * policy.backoff_multiplier ** (retry - 1), cap)
    except OverflowError:
        seconds = cap if base else 0.0
    if policy.jitter is RetryJitter.FULL:
        seconds *= draw
    # To the millisecond: what is stored is what was meant, not 1.9999999.
    return timedelta(milliseconds=round(seconds * 1000))
