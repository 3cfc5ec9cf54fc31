"""What a worker tells others: which handlers it has, in the record, and which attempts failed, in the log."""

from __future__ import annotations

import logging

from mainspring.engine.registry import JobHandlerRegistry
from mainspring.model.execution import Execution
from mainspring.model.log_events import about, log_fields
from mainspring.model.node import HandlerRow
from mainspring.model.outcome import Failed, Lost, TimedOut
from mainspring.ports.store import Tx

#: One line for each attempt that failed: for those who run an engine without a view.
attempts = logging.getLogger("mainspring.attempts")


def announce_handlers(tx: Tx, registry: JobHandlerRegistry) -> None:
    """Write what handlers this process has, with their schemas and defaults."""
    tx.nodes.announce(
        [
            HandlerRow(h.name, h.type, tx.now, h.description, h.signature.schema, h.defaults, h.platform_id)
            for h in registry.list_handlers()
        ]
    )


def tell_failed(execution: Execution, outcome: Failed | TimedOut | Lost) -> None:
    """Say in one line which attempt failed, and why."""
    what = outcome.detail if isinstance(outcome, Lost) else "{type}: {message}".format_map(outcome.error)
    kind = "Lost" if isinstance(outcome, Lost) else outcome.error.get("type")
    attempts.warning(
        "%s: attempt %d of %d of execution %s failed: %s",
        execution.job_name or execution.handler,
        execution.attempt,
        execution.retry.max_retries + 1,
        execution.id,
        what[:500],
        extra=about("attempt.failed", **log_fields(execution), error_type=kind),
    )
