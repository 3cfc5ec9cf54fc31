"""What comes next, in one statement: each part reads the first entry of an index of what is live."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from mainspring.adapters.sql.events import OLDEST_UNPUBLISHED
from mainspring.adapters.sql.jobs import NEXT_DUE, NEXT_RESUMED
from mainspring.adapters.sql.running import ENDS, first_end
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.waiting import NEXT_AVAILABLE, NEXT_START_EXPIRED, SOME_BLOCKED
from mainspring.adapters.sql.webhooks import NEXT_DELIVERY
from mainspring.ports.store import Outlook

_OUTLOOK = sa.select(
    NEXT_DUE.scalar_subquery(),
    NEXT_AVAILABLE.scalar_subquery(),
    NEXT_DELIVERY.scalar_subquery(),
    SOME_BLOCKED,
    OLDEST_UNPUBLISHED.scalar_subquery().is_not(None),
)
_OVER = ENDS.add_columns(NEXT_START_EXPIRED.scalar_subquery(), NEXT_RESUMED.scalar_subquery())


class SqlOutlook(SqlTable):
    """Asks for the outlook."""

    def ask(self) -> Outlook:
        """Return it."""
        ((due_at, available_at, delivery_at, blocked, unpublished),) = self._all(_OUTLOOK)
        return Outlook(due_at, available_at, delivery_at, bool(blocked), bool(unpublished))

    def over_at(self, grace: timedelta) -> datetime | None:
        """Return when something next ends by the clock alone."""
        ((*ends, start, resumed),) = self._all(_OVER)
        return min((at for at in (first_end(ends, grace), start, resumed) if at is not None), default=None)
