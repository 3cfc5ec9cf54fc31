"""Plain data: names, limits, durations and instants, and the refusal of what is not known."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from mainspring.errors import ValidationError
from mainspring.model.nearest import nearest

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")
HANDLER = re.compile(r"[a-zA-Z0-9_<][a-zA-Z0-9._:<>/@-]{0,254}")
HANDLER_TYPES = ("function", "agent", "workflow")
PAYLOAD_LIMIT = 256 * 1024
RESULT_LIMIT = 64 * 1024


_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(delta: timedelta) -> int:
    """Return a duration in whole milliseconds, rounded down.

    >>> milliseconds(timedelta(seconds=1.5))
    1500
    """
    return delta // _MILLISECOND


@lru_cache(4096)  # what happens together is told by the hundred
def instant(at: datetime | None) -> str | None:
    """Return an instant as RFC 3339 in UTC with microseconds, None for None.

    >>> instant(datetime(2026, 3, 1, 9, tzinfo=UTC))
    '2026-03-01T09:00:00.000000Z'
    """
    if at is None:
        return None
    # Not strftime: it leaves the zeros out of years before 1000. Instants of the record are in UTC already.
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"


def refuse_unknown(fields: Iterable[str], known: Collection[str], where: str = "") -> None:
    """Raise `ValidationError` for the first field that is not known, naming the nearest that is."""
    for name in fields:
        if name not in known:
            near = nearest(str(name), known)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known fields: {', '.join(known)}"
            raise ValidationError("unknown field", field=f"{where}{name}"[:100], fix=hint)
