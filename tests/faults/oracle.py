"""The jobs of a trial, and an idea of our own of when each is due: arithmetic on a grid, nothing of the product's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Spec:
    """One job: due every ``every`` seconds, counted from `EPOCH`; ``fields`` are its other fields on the wire.

    A name that begins with ``one-`` says that its overlap policy lets one execution run at a time. ``cron`` says it as
    an expression with seconds, which for a divisor of 60 means the same instants.
    """

    name: str
    every: int = 1
    cron: bool = False
    payload: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)

    def wire(self) -> dict[str, Any]:
        """Return the job as `jobs create` takes it."""
        if self.cron:
            assert 60 % self.every == 0
            kind, schedule = "cron", {"cron": f"*/{self.every} * * * * *", "seconds": True}
        else:
            kind, schedule = "recurring", {"every_ms": self.every * 1000, "anchor_at": EPOCH.isoformat()}
        policies = {"handler": "work", "misfire": "fire_all", "max_catch_up": 10_000, "payload": self.payload}
        return {"name": self.name, "type": kind, "schedule": schedule, **policies, **self.fields}

    @property
    def misfire(self) -> str:
        return str(self.wire()["misfire"])

    def instants(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield every due instant after the first and up to the second instant."""
        step = timedelta(seconds=self.every)
        at = EPOCH + step * ((after - EPOCH) // step + 1)
        while at <= until:
            yield at
            at += step

    def is_due(self, at: datetime) -> bool:
        return (at - EPOCH) % timedelta(seconds=self.every) == timedelta(0)


#: One of each kind of policy, so that every trial meets them all.
USUAL = (
    Spec("all-1", 1, fields={"overlap": "allow_all"}),
    Spec("all-2", 2, cron=True, fields={"overlap": "allow_all"}),
    Spec("one-skip", 1, payload={"seconds": 0.4}, fields={"overlap": "skip"}),
    Spec("one-slow", 2, payload={"seconds": 3.0}, fields={"overlap": "skip"}),
    Spec("one-buffer", 3, payload={"seconds": 0.2}, fields={"overlap": "buffer_all"}),
    Spec("late-once", 1, fields={"overlap": "allow_all", "misfire": "fire_once", "misfire_grace_ms": 1500}),
    Spec("late-never", 1, cron=True, fields={"overlap": "allow_all", "misfire": "skip", "misfire_grace_ms": 1500}),
)
