"""A process told by its log alone: a record for each attempt and event, and none of the live view's questions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mainspring._version import __version__
from mainspring.model.events import Event
from mainspring.model.log_events import about, log_fields
from mainspring.model.outcome import Outcome, word_of

if TYPE_CHECKING:
    from mainspring.app.node import Node
    from mainspring.engine.executor import Attempt

logger = logging.getLogger("mainspring")


class LogStream:
    """What happens in a node, as log records. It stands where the live view stands."""

    def __init__(self, command: str, roles: object) -> None:
        self._command, self._roles = command, str(roles)

    def begin(self, node: Node) -> None:
        """Listen, so that nothing is missed from the first moment on."""
        if logger.isEnabledFor(logging.INFO):
            node.on_attempt, node.on_end, node.on_published = _started, _ended, _published

    async def run(self, node: Node) -> None:
        """Tell that the node runs, once it does; then nothing is left to do."""
        while not node.is_engine:  # noqa: ASYNC110 - a state, which sets no event
            await asyncio.sleep(0.05)
        told = about("node.started", node=node.id, roles=self._roles, version=__version__)
        logger.info("%s started", self._command, extra=told)

    def end(self) -> None:
        """Tell that it has stopped."""
        logger.info("%s stopped", self._command, extra=about("node.stopped", roles=self._roles))

    def tell(self, text: str) -> None:
        """Tell something in words."""
        logger.info("%s", text)


def _started(attempt: Attempt) -> None:
    execution = attempt.execution
    fields = about("execution.started", **log_fields(execution))
    if execution.attempt == 1 and execution.started_at is not None:
        fields["mainspring"]["start_delay_s"] = round(
            (execution.started_at - execution.available_at).total_seconds(), 3
        )
    logger.info("attempt %d of %s starts", execution.attempt, execution.handler, extra=fields)


def _ended(attempt: Attempt, outcome: Outcome) -> None:
    execution, word = attempt.execution, word_of(outcome)
    fields = about("execution.ended", **log_fields(execution), outcome=word)
    logger.info("attempt %d of %s: %s", execution.attempt, execution.handler, word, extra=fields)


def _published(events: Sequence[Event]) -> None:
    for event in events:
        data = event.data
        named = {name: data[name] for name in ("job", "execution_id", "decision", "count", "failure") if name in data}
        told = about("event.published", type=str(event.type), id=event.id, platform=event.platform_id, **named)
        logger.info("%s", str(event.type), extra=told)
