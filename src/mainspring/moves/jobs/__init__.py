"""Jobs: create, change, pause, resume, archive. The past never fires because of a change."""

from mainspring.moves.jobs.changing import archive_job, merge, put_job, recompute, update_job
from mainspring.moves.jobs.creating import create_job, create_jobs
from mainspring.moves.jobs.pausing import pause_job, resume_due, resume_job
from mainspring.moves.jobs.stored import Changed, at_revision, existing, scheduled

__all__ = [
    "Changed",
    "archive_job",
    "at_revision",
    "create_job",
    "create_jobs",
    "existing",
    "merge",
    "pause_job",
    "put_job",
    "recompute",
    "resume_due",
    "resume_job",
    "scheduled",
    "update_job",
]
