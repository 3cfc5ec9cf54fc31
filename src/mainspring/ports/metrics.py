"""Measurements: taken of the machine, and put away somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sample:
    """One number: ``name`` is such as ``machine.memory_percent``; the unit is the end of the name."""

    name: str
    value: float


class MachineProbe(Protocol):
    """Looks at the machine and at this process."""

    async def sample(self) -> Mapping[str, float]:
        """Return measurements by name. What this system cannot tell is left out."""


class MetricsSink(Protocol):
    """Keeps samples."""

    async def write(self, platform_id: str, samples: Sequence[Sample], *, at: datetime, key: str) -> None:
        """Store samples taken at ``at``. The same ``key`` again replaces them: trying again adds nothing."""
