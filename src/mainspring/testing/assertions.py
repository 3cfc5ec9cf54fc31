"""What a test may claim about an environment; each failure says what was found instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from mainspring.app.handle import Handle
from mainspring.model.decision import Decision, Verdict
from mainspring.model.durations import duration
from mainspring.model.execution import Execution, Status

AnyHandle = Handle[Any, Any, Any]


class Runs(list[Execution]):
    """Executions, oldest first, with what tests ask most."""

    @property
    def statuses(self) -> list[str]:
        """Where each stands."""
        return [e.status.value for e in self]

    @property
    def results(self) -> list[Any]:
        """What those that succeeded returned, as JSON data."""
        return [e.result for e in self if e.status is Status.SUCCESS]

    @property
    def attempts(self) -> list[int]:
        """How many attempts each took."""
        return [e.attempt for e in self]

    @property
    def errors(self) -> list[str]:
        """What went wrong with those that did not succeed: type and message."""
        return [f"{e.error.get('type')}: {e.error.get('message')}" for e in self if e.error is not None]


class Ledger(list[Decision]):
    """Decisions, oldest first."""

    @property
    def verdicts(self) -> list[str]:
        """The decisions alone."""
        return [d.decision.value for d in self]

    def at(self, instant: datetime) -> Verdict | None:
        """Return what was decided about an instant, also within a range; None when nothing was."""
        for d in self:
            if d.scheduled_at <= instant <= (d.until_at or d.scheduled_at):
                return d.decision
        return None


class _Asked(Protocol):
    """What the assertions need of an environment."""

    tz: str

    @property
    def now(self) -> datetime: ...
    def instant(self, at: datetime | str) -> datetime: ...
    def runs(self, of: AnyHandle | str | None = None) -> Runs: ...
    def coming(self, job: AnyHandle | str, count: int) -> list[datetime]: ...


class Assertions:
    """Assertions on executions and ledger."""

    def assert_enqueued(
        self: _Asked, handle: AnyHandle | str, /, *, within: timedelta | str | float | None = None, **args: Any
    ) -> Execution:
        """Claim that an execution waits to start, with at least these arguments; return the newest such.

        Args:
            handle: The handler, or the name of a handler or job.
            within: Only those that become due within this time from now.
            args: Arguments as they are stored: plain JSON data.
        """
        found = _waiting(self, handle, within, args)
        assert found, f"nothing waits for {_name(handle)} with {args}; there is: {_told(self, self.runs(handle))}"
        return found[-1]

    def refute_enqueued(
        self: _Asked, handle: AnyHandle | str, /, *, within: timedelta | str | float | None = None, **args: Any
    ) -> None:
        """Claim that no execution waits to start with these arguments."""
        found = _waiting(self, handle, within, args)
        assert not found, f"{_name(handle)} waits to start: {_told(self, found)}"

    def assert_ran(
        self: _Asked,
        handle: AnyHandle | str,
        /,
        *,
        times: int | None = None,
        at: Sequence[datetime | str] | None = None,
        status: str = "success",
    ) -> Runs:
        """Claim that executions ended as ``status``: at least one, or so many, or those of exactly these instants.

        ``at`` are the nominal instants for scheduled work, the instant of the first start for all other.
        """
        ran = Runs(e for e in self.runs(handle) if e.status.value == status)
        told = f"{_name(handle)} ended as {status} {len(ran)} times; there is: {_told(self, self.runs(handle))}"
        assert ran if times is None and at is None else times is None or len(ran) == times, told
        if at is not None:
            wanted = sorted(self.instant(instant) for instant in at)
            found = sorted(e.scheduled_at or e.started_at or e.created_at for e in ran)
            assert found == wanted, f"{_name(handle)} ran at {_times(self, found)}, expected {_times(self, wanted)}"
        return ran

    def refute_ran(self: _Asked, handle: AnyHandle | str, /) -> None:
        """Claim that no attempt was made."""
        ran = [e for e in self.runs(handle) if e.fence > 0]
        assert not ran, f"{_name(handle)} ran: {_told(self, ran)}"

    def assert_fires(self: _Asked, job: AnyHandle | str, instants: Sequence[datetime | str], /) -> None:
        """Claim what the next instants of a job are, from now on; nothing is run."""
        wanted = [self.instant(at) for at in instants]
        found = self.coming(job, len(wanted))
        assert found == wanted, f"{_name(job)} fires at {_times(self, found)}, expected {_times(self, wanted)}"


def _waiting(
    env: _Asked, handle: AnyHandle | str, within: timedelta | str | float | None, args: Mapping[str, Any]
) -> list[Execution]:
    until = None if within is None else env.now + duration(within, "within")
    waits: Callable[[Execution], bool] = lambda e: (  # noqa: E731 - a filter with a name
        e.status in (Status.PENDING, Status.QUEUED)
        and (until is None or e.available_at <= until)
        and all(name in e.payload and e.payload[name] == value for name, value in args.items())
    )
    return [e for e in env.runs(handle) if waits(e)]


def _name(handle: AnyHandle | str) -> str:
    return handle if isinstance(handle, str) else handle.name


def _times(env: _Asked, instants: Sequence[datetime]) -> list[str]:
    return [at.astimezone(ZoneInfo(env.tz)).isoformat(timespec="seconds") for at in instants]


def _told(env: _Asked, executions: Sequence[Execution]) -> str:
    if not executions:
        return "none"
    lines = [
        f"{e.status} {dict(e.payload)} for {_times(env, [e.scheduled_at or e.available_at])[0]}" for e in executions
    ]
    return "; ".join(lines[-10:])
