"""The zone each job's times are shown in: the job's, else the platform's, else UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mainspring.errors import NotFoundError

if TYPE_CHECKING:
    from mainspring.cli.desk import Desk
    from mainspring.client.shapes import Job

#: Ids one filter names: it has to fit into an address.
_AT_ONCE = 80


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
        return job.timezone or self.default


async def read_zones(desk: Desk, job_ids: Iterable[str | None] = ()) -> JobZones:
    """Read the zones of these jobs and the platform's own."""
    # Where somebody asks: a process that runs and shows its work has zones, and never does.
    from mainspring.client import asks

    try:
        default = (await desk.ask(asks.get_platform())).timezone or "UTC"
    except NotFoundError:  # nobody has made it: it has no zone
        default = "UTC"
    zones: dict[str, str] = {}
    for ids in _groups(sorted({job_id for job_id in job_ids if job_id is not None})):
        where = f"id IN ({', '.join(ids)})"
        page = await desk.ask(asks.list_jobs(filter=where, fields="timezone", page_size=len(ids)))
        zones |= {job.id: job.timezone or default for job in page}
    return JobZones(default, zones)


def _groups(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
