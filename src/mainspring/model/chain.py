"""What the end of an execution started by ``on_success`` and ``on_failure``, or why it did not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Chained:
    """One link: ``execution_id`` ended, and ``job`` was to run. Either ``chained_id`` or ``problem`` is set."""

    execution_id: str
    job: str
    platform_id: str
    at: datetime
    chained_id: str | None = None
    problem: str | None = None
