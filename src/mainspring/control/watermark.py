"""Up to when everything is decided: what anybody can poll to notice that the scheduler itself has died.

An alarm inside a scheduler falls silent with it. This is the other way round: whoever runs anything at all asks for
the watermark, and raises the alarm when it does not rise, or does not come.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mainspring.model.wire import instant, milliseconds
from mainspring.moves.hold import held
from mainspring.ports.store import Tx


@dataclass(frozen=True, slots=True)
class Watermark:
    """Every instant due before ``decided_up_to`` has a decision, of the jobs there were at ``now``.

    Instants of paused jobs are left out: they are decided when the job is resumed. ``held``: the fleet decides nothing
    until a person releases it.
    """

    decided_up_to: datetime
    now: datetime
    held: bool = False

    @property
    def lag(self) -> timedelta:
        """How far it is behind: nothing where nothing due waits."""
        return self.now - self.decided_up_to

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "decided_up_to": instant(self.decided_up_to),
            "now": instant(self.now),
            "lag_ms": milliseconds(self.lag),
            "held": self.held,
        }


def read_watermark(tx: Tx, platform_id: str | None = None) -> Watermark:
    """Return the watermark of a platform, or of all of them."""
    oldest = tx.jobs.undecided_at(platform_id)
    return Watermark(tx.now if oldest is None else min(oldest, tx.now), tx.now, held(tx) is not None)
