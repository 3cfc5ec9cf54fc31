"""What one run of the benchmark has in common."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.servers import Servers


@dataclass(frozen=True)
class Run:
    """The servers, and how much is asked of everyone."""

    servers: Servers
    #: Part of the usual number of jobs.
    scale: float = 1.0
    #: Seconds that schedules are watched for.
    seconds: int = 60
    #: Ended executions in the database where history is measured.
    history: int = 1_000_000
    #: Schedules stored, one measurement each.
    stored: tuple[int, ...] = (10_000, 100_000)

    def jobs(self, usual: int, *, least: int = 200) -> int:
        """Return how many jobs to run where ``usual`` is the usual number."""
        return max(least, round(usual * self.scale))
