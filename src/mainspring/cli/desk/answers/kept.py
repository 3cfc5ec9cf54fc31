"""How an answer is kept under the name of its ask, and what answers read of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mainspring.cli.desk.store import Answer
from mainspring.client.ask import Ask

#: The name of an operation -> its answer.
ANSWERS: dict[str, Answer] = {}


def answers(function: Answer) -> Answer:
    """Keep a function as the answer to the ask of its name."""
    ANSWERS[function.__name__] = function
    return function


def revision_of(ask: Ask[Any]) -> int | None:
    """Return the revision a change is for; None for any."""
    return int(ask.if_match[2:-1]) if ask.if_match and ask.if_match != "*" else None


def instant_of(value: Any) -> datetime | None:
    """Return an instant of a body, as it stands in UTC."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.astimezone(UTC) if isinstance(found, datetime) else None
