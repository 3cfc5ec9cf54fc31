"""The options that say when: the same for `preview` and `jobs create`, turned into the wire shapes of SPEC §4."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from mainspring.cli.durations import calendar_step, elapsed_ms
from mainspring.errors import ScheduleError

WHEN = Group("When", sort_key=1)
_KINDS = ("cron", "every", "rrule", "at", "on", "manual")


@Parameter(name="*", group=WHEN)
@dataclass(frozen=True)
class ScheduleOptions:
    """One kind of schedule, with what goes with it."""

    every: str | None = None
    """A period: "10m", "1h30m", or ISO 8601 such as PT10M."""

    anchor: str | None = None
    """Where --every counts from: an instant, or a wall time in the zone."""

    calendar: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Count --every in calendar steps (days, weeks, months, years) instead of elapsed time."""

    rrule: str | None = None
    """A recurrence rule of RFC 5545."""

    dtstart: str | None = None
    """Where --rrule counts from: a wall time in the zone."""

    exdate: Annotated[list[str], Parameter(negative="", show_default=False)] = field(default_factory=list)
    """A wall time --rrule leaves out; may be repeated."""

    rdate: Annotated[list[str], Parameter(negative="", show_default=False)] = field(default_factory=list)
    """A wall time --rrule adds; may be repeated."""

    at: str | None = None
    """Once: an instant, or a wall time in the zone."""

    seconds: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """The cron expression has a leading field for seconds."""

    day_match: Literal["any", "all"] | None = None
    """How cron's two day fields combine."""

    dst_gap: Literal["next_valid", "skip"] | None = None
    """What becomes of wall times a clock change skips."""

    dst_fold: Literal["first", "second", "both"] | None = None
    """What becomes of wall times a clock change repeats."""

    start_at: str | None = None
    """No instant before this one."""

    end_at: str | None = None
    """No instant after this one."""

    def shape(self, cron: list[str], on: list[str] | None = None, *, manual: bool = False) -> dict[str, Any] | None:
        """Return the schedule in wire shape; None where nothing says when. Raises `ScheduleError`."""
        given = {
            "cron": cron,
            "every": self.every is not None,
            "rrule": self.rrule is not None,
            "at": self.at is not None,
            "on": on,
            "manual": manual,
        }
        kinds = [kind for kind in _KINDS if given[kind]]
        if not kinds or kinds == ["manual"]:
            self._refuse_strays({})
            return None
        if len(kinds) > 1:
            fix = "Keep one of them; make a second job for the other."
            raise ScheduleError("schedule", ", ".join(kinds), "more than one kind of schedule at once", fix)
        shape = self._kind(kinds[0], cron, on or [])
        for key in ("dst_gap", "dst_fold", "start_at", "end_at"):
            if getattr(self, key) is not None:
                shape[key] = getattr(self, key)
        return shape

    def _kind(self, kind: str, cron: list[str], on: list[str]) -> dict[str, Any]:
        shape: dict[str, Any]
        match kind:
            case "cron":
                shape = {"cron": cron[0] if len(cron) == 1 else cron}
                shape |= {"seconds": True} if self.seconds else {}
                shape |= {"day_match": self.day_match} if self.day_match else {}
            case "every":
                assert self.every is not None
                shape = {"every": calendar_step(self.every)} if self.calendar else {"every_ms": elapsed_ms(self.every)}
                shape |= {"anchor_at": self.anchor} if self.anchor is not None else {}
            case "rrule":
                shape = {"rrule": self.rrule}
                shape |= {"dtstart": self.dtstart} if self.dtstart is not None else {}
                shape |= {key: value for key, value in (("exdate", self.exdate), ("rdate", self.rdate)) if value}
            case "at":
                shape = {"run_at": self.at}
            case _:
                shape = {"events": on}
        self._refuse_strays(shape)
        return shape

    def _refuse_strays(self, shape: dict[str, Any]) -> None:
        """Refuse an option that would silently do nothing."""
        belongs = {
            "seconds": ("--seconds", "cron"),
            "day_match": ("--day-match", "cron"),
            "anchor": ("--anchor", "every", "every_ms"),
            "calendar": ("--calendar", "every"),
            "dtstart": ("--dtstart", "rrule"),
            "exdate": ("--exdate", "rrule"),
            "rdate": ("--rdate", "rrule"),
        }
        for name, (option, *keys) in belongs.items():
            if getattr(self, name) and not any(key in shape for key in keys):
                kind = {"every_ms": "every"}.get(keys[0], keys[0])
                fix = f"It goes with {'a cron expression' if kind == 'cron' else '--' + kind}."
                raise ScheduleError(name, option, f"{option} does not belong here", fix)
