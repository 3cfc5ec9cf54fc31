"""Would this event start that job? Asked of the very code that decides, without publishing anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model.events import Event
from mainspring.model.job import JobType
from mainspring.moves.events import check_event
from mainspring.moves.jobs import existing
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx


@dataclass(frozen=True, slots=True)
class Match:
    """Whether an event concerns a job. Where it does not, ``path`` leads to the first condition that fails.

    ``why`` is one sentence. A match says nothing of throttle, debounce and overlap: these decide when it comes.
    """

    job: str
    matches: bool
    why: str
    path: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def match_event(tx: Tx, schedules: Schedules, name: str, event: Event) -> Match:
    """Judge an event by the schedule of an event job of its platform; the job's status is not looked at.

    Raises:
        NotFoundError: If there is no such job.
        ValidationError: If it is no event job, or the event could not be published.
    """
    job = existing(tx, event.platform_id, name)
    if job.definition.type is not JobType.EVENT:
        raise ValidationError(f"job {job.name!r} is of type {job.definition.type} and waits for no events", field="job")
    check_event(event)
    objection = schedules.event(tx, job).objection(event)
    if objection is None:
        return Match(job.name, True, f"{event.type!r} matches patterns and filter")
    return Match(job.name, False, objection.why, objection.path)
