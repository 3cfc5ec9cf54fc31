"""The zone each job's times are shown in: the job's, else the platform's, else UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mainspring.model.job import Job
from mainspring.ports.store import Tx


@dataclass(frozen=True)
class JobZones:
    """Zones by job id; ``default`` for what belongs to no job."""

    default: str = "UTC"
    by_id: Mapping[str, str] = field(default_factory=dict)

    def of(self, job_id: str | None) -> str:
        """Return the zone of a job, or of what has none.

        >>> JobZones("Asia/Tokyo", {"a": "UTC"}).of("a"), JobZones("Asia/Tokyo").of(None)
        ('UTC', 'Asia/Tokyo')
        """
        return self.by_id.get(job_id or "", self.default)

    def of_job(self, job: Job) -> str:
        """Return the zone of a job at hand."""
        return job.definition.timezone or self.default


def read_zones(tx: Tx, platform_id: str, job_ids: Iterable[str | None] = ()) -> JobZones:
    """Read the zones of these jobs and the platform's own."""
    default = tx.platforms.timezone(platform_id) or "UTC"
    jobs = tx.jobs.by_id(sorted({job_id for job_id in job_ids if job_id is not None}))
    return JobZones(default, {job.id: job.definition.timezone or default for job in jobs.values()})
