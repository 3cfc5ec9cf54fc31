"""`jobs`: list, get, create, update, pause, resume, trigger, archive and the rest; and the ledger."""

from mainspring.cli.jobs.changing import archive_job, pause_job, resume_job, revert_job, skip_next, update_job
from mainspring.cli.jobs.creating import create_job
from mainspring.cli.jobs.figures import show_stats
from mainspring.cli.jobs.reading import get_job, list_decisions, list_jobs, list_revisions, next_runs
from mainspring.cli.jobs.triggering import backfill_job, trigger_job

__all__ = [
    "archive_job",
    "backfill_job",
    "create_job",
    "get_job",
    "list_decisions",
    "list_jobs",
    "list_revisions",
    "next_runs",
    "pause_job",
    "resume_job",
    "revert_job",
    "show_stats",
    "skip_next",
    "trigger_job",
    "update_job",
]
