"""`jobs`: list, get, create, update, pause, resume, trigger, archive, stats, and the ledger."""

from mainspring.cli.jobs.changing import archive_job, pause_job, resume_job, update_job
from mainspring.cli.jobs.creating import create_job
from mainspring.cli.jobs.figures import show_stats
from mainspring.cli.jobs.reading import get_job, list_decisions, list_jobs
from mainspring.cli.jobs.triggering import trigger_job

__all__ = [
    "archive_job",
    "create_job",
    "get_job",
    "list_decisions",
    "list_jobs",
    "pause_job",
    "resume_job",
    "show_stats",
    "trigger_job",
    "update_job",
]
