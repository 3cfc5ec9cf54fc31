"""What the settings make of the adapters."""

from __future__ import annotations

import pytest

from mainspring.app.wiring import webhook_limits
from mainspring.settings import Settings


@pytest.mark.parametrize("timeout_ms", [1_000, 15_000, 300_000])
def test_a_receiver_may_be_silent_for_all_the_time_a_post_may_take(timeout_ms: int) -> None:
    """Ten seconds of silence once ended every post, whatever `webhook_timeout_ms` said."""
    limits = webhook_limits(Settings(webhook_timeout_ms=timeout_ms))
    assert (limits.silence, limits.total) == (timeout_ms / 1000, timeout_ms / 1000)
