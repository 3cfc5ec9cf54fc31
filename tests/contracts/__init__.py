"""One suite per port, run by every adapter that claims it."""

import pytest

# Only test modules have their asserts explained by default; the suites are imported by them.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "bus_contract",
            "store_contract",
            "store_decisions",
            "store_events",
            "store_executions",
            "store_fleet",
            "store_jobs",
            "store_moves",
            "store_queues",
            "store_records",
            "store_search",
            "store_transactions",
            "store_webhooks",
            "transport_contract",
        )
    )
)
