"""Health: one question to one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found: ``status`` is pass, warn or fail; ``observed`` is in ``unit``; ``output`` says why."""

    status: str = "pass"
    observed: float | None = None
    unit: str = ""
    output: str = ""


class HealthCheck(Protocol):
    """A configured check."""

    @property
    def name(self) -> str:
        """What the check is called, such as ``database`` or ``disk``."""

    @property
    def critical(self) -> bool:
        """Whether its failing is the failing of the whole."""

    @property
    def timeout(self) -> float:
        """Seconds after which no answer is an answer."""

    async def check(self) -> CheckResult:
        """Look, once. Raising is failing, and so is taking longer than the timeout."""
