"""When: pure functions from instants to instants. Preview, dispatcher, simulation and tests all use these.

A schedule object (the wire shape) is compiled once and then asked for the next or the previous occurrence. Two
questions are kept apart throughout: which *wall times* a rule names (:mod:`~mainspring.schedule.cron_match`,
:mod:`~mainspring.schedule.recurring`, :mod:`~mainspring.schedule.rrule`), and which *instant* is a wall time
(:mod:`~mainspring.schedule.zones`, :mod:`~mainspring.schedule.wall_clock`).
"""

from mainspring.errors import ScheduleError
from mainspring.schedule.calendar import Calendar
from mainspring.schedule.compile import compile_schedule
from mainspring.schedule.compiled import CompiledSchedule
from mainspring.schedule.event import EventSchedule, event_matches, validate_event_schedule
from mainspring.schedule.occurrence import Occurrence
from mainspring.schedule.preview import Preview, preview
from mainspring.schedule.zones import tzdb_version

__all__ = [
    "Calendar",
    "CompiledSchedule",
    "EventSchedule",
    "Occurrence",
    "Preview",
    "ScheduleError",
    "compile_schedule",
    "event_matches",
    "preview",
    "tzdb_version",
    "validate_event_schedule",
]
