"""What comes next for the loops of a dispatcher, asked at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Outlook:
    """The next instants by the store's clock, None for nothing; some may have passed.

    ``due_at``: of an active job. ``available_at``: of what waits for its time to be queued, held back by nothing.
    ``delivery_at``: of a delivery to an enabled webhook. And whether anything is held back by a limit or an overlap
    (``blocked``), and whether an event waits to be published (``unpublished``).
    """

    due_at: datetime | None
    available_at: datetime | None
    delivery_at: datetime | None
    blocked: bool
    unpublished: bool
