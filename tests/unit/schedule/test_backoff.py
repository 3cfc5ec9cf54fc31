"""The delay before a retry."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.model.policy import RetryJitter, RetryPolicy
from mainspring.schedule.backoff import backoff

EXACT = RetryPolicy(retry_delay=timedelta(seconds=1), max_retry_delay=timedelta(minutes=1), jitter=RetryJitter.NONE)


def test_the_delay_doubles_up_to_its_cap():
    delays = [backoff(n, EXACT, draw=0.9).total_seconds() for n in range(1, 9)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_multiplier_of_one_keeps_the_delay():
    policy = RetryPolicy(retry_delay=timedelta(seconds=3), backoff_multiplier=1, jitter=RetryJitter.NONE)
    assert {backoff(n, policy, draw=0.0) for n in range(1, 50)} == {timedelta(seconds=3)}


def test_no_delay_stays_no_delay_however_many_retries():
    policy = RetryPolicy(retry_delay=timedelta(0), backoff_multiplier=100.0, jitter=RetryJitter.NONE)
    assert backoff(1000, policy, draw=0.5) == timedelta(0)


def test_retries_are_counted_from_one():
    with pytest.raises(ValueError, match="counted from 1"):
        backoff(0, EXACT, draw=0.5)


@given(
    retry=st.integers(1, 5000),
    base=st.integers(0, 10**9),
    cap=st.integers(0, 10**10),
    multiplier=st.floats(1, 100),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_backoff_never_exceeds_its_cap(retry, base, cap, multiplier, draw):
    policy = RetryPolicy(1000, timedelta(milliseconds=base), multiplier, timedelta(milliseconds=cap))
    assert timedelta(0) <= backoff(retry, policy, draw=draw) <= timedelta(milliseconds=cap)


@given(retry=st.integers(1, 100), draw=st.floats(0, 1, exclude_max=True))
def test_full_jitter_is_the_draw_of_the_whole_delay(retry, draw):
    whole = backoff(retry, EXACT, draw=0.0)
    full = RetryPolicy(retry_delay=EXACT.retry_delay, max_retry_delay=EXACT.max_retry_delay)
    assert abs(backoff(retry, full, draw=draw) - whole * draw) <= timedelta(milliseconds=1)
