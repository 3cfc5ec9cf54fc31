"""The shape of an answer to "why did it (not) run": a verdict, a sentence, the checks in order, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.schedule.zones import zone


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``result``: yes, no, blocked, info or unknown; ``detail`` is for people."""

    check: str
    result: str
    detail: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """``verdict``: ``ran``, ``running``, ``waiting``, ``will_run``, ``did_not_run`` or ``not_due``.

    ``unknown`` for an instant before the ledger's retention.
    """

    subject: str
    verdict: str
    summary: str
    checks: tuple[Check, ...]
    advice: tuple[str, ...] = ()
    at: datetime | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "subject": self.subject,
            "at": self.at.astimezone(UTC).isoformat() if self.at else None,
            "verdict": self.verdict,
            "summary": self.summary,
            "checks": [
                {"check": c.check, "result": c.result, "detail": c.detail, "evidence": dict(c.evidence)}
                for c in self.checks
            ],
            "advice": list(self.advice),
        }


def shown(at: datetime | None, timezone: str) -> str:
    """Return an instant as the clocks of a zone show it; an empty text for None.

    >>> shown(datetime(2026, 3, 2, 6, tzinfo=UTC), "Europe/Istanbul")
    '2026-03-02 09:00:00 +0300 Europe/Istanbul'
    """
    return "" if at is None else f"{at.astimezone(zone(timezone).info):%Y-%m-%d %H:%M:%S %z} {timezone}"


def span(delta: timedelta) -> str:
    """Return a duration as people say it, to two units.

    >>> span(timedelta(seconds=3725)), span(timedelta(milliseconds=40))
    ('1 h 2 min', '40 ms')
    """
    seconds = delta.total_seconds()
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{int(count)} {unit}")
    return " ".join(parts[:2])
