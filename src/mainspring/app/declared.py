"""What code declares: checked where it stands, and registered in the record when something runs it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainspring.app.application import Application
from mainspring.control.payloads import announced, check_payload, with_defaults
from mainspring.engine.announcing import announce_handlers
from mainspring.errors import NothingToComeError, ValidationError
from mainspring.model.log_events import about
from mainspring.model.wire import definition_from_wire
from mainspring.moves.jobs import put_job
from mainspring.moves.order import hold_jobs_to_change
from mainspring.moves.schedules import check_shape
from mainspring.ports.store import Tx
from mainspring.schedule import compile_schedule

logger = logging.getLogger("mainspring")


def check_job(fields: Mapping[str, Any], timezone: str, now: datetime) -> None:
    """Raise `ValidationError` for a declared job that could never be stored, at the line that declares it.

    What only the database knows is checked when the job is registered: its calendars, its platform's zone.
    """
    definition = definition_from_wire(fields)
    check_shape(definition)
    schedule = definition.schedule
    if schedule is not None and definition.type.timed and not schedule.get("calendars"):
        compile_schedule(schedule, timezone=definition.timezone or timezone, created_at=now)


def register_code(app: Application, tx: Tx) -> None:
    """Announce the code's handlers and put its jobs; equal ones write nothing, whoever else does the same.

    A new job whose every instant has passed is left out with a warning: code keeps such jobs for long, and a fresh
    database must not keep the engine from starting. Raises `ValidationError`, naming the job.
    """
    if app.settings.timezone is not None:
        tx.platforms.put_timezone(app.platform_id, app.settings.timezone)
    announce_handlers(tx, app.registry)
    declared = sorted(app.jobs, key=lambda fields: str(fields["name"]))
    known = (tx.jobs.get(app.platform_id, str(fields["name"])) for fields in declared)
    # In the one order in which all transactions wait: what there is by id, and what is new by name.
    hold_jobs_to_change(tx, [job.id for job in known if job is not None])
    for fields in declared:
        try:
            _register(app, tx, fields)
        except NothingToComeError:
            logger.warning(
                "job %s is left out: its schedule has no instant in the future",
                fields["name"],
                extra=about("job.left_out", job=fields["name"]),
            )
        except ValidationError as error:
            raise ValidationError(str(error), field=f"job {fields['name']}") from error


def _register(app: Application, tx: Tx, fields: Mapping[str, Any]) -> None:
    row = announced(tx, app.platform_id, fields["handler"])
    check_payload(row, fields.get("payload") or {})
    exists = tx.jobs.get(app.platform_id, fields["name"]) is not None
    named = dict(fields) if exists else with_defaults(row, fields)
    for warning in put_job(tx, app.schedules, app.platform_id, named).warnings:
        logger.warning("job %s: %s", fields["name"], warning, extra=about("job.warning", job=fields["name"]))
