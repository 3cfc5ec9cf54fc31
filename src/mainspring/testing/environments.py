"""A Mainspring of its own for one test: an empty record in memory, a clock in the test's hand, and questions to ask.

The environment swaps the application's parts for its own while it is open, and runs no loops: when the test moves the
clock it does, in order and each at its own instant, what dispatcher, worker and reaper would have done until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine, Iterable, Mapping
from datetime import date, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, TypeVar

from mainspring.adapters.memory.bus import InProcessBus
from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.app.application import Application
from mainspring.app.declared import register_code
from mainspring.app.handle import Handle, Run
from mainspring.app.wiring import SystemParts
from mainspring.control.scheduler import SchedulerService
from mainspring.errors import ValidationError
from mainspring.model.decision import Decision
from mainspring.model.durations import duration
from mainspring.model.execution import Execution
from mainspring.moves.events import Published
from mainspring.moves.jobs import existing
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.schedule import compile_schedule
from mainspring.testing.assertions import Assertions, Ledger, Runs
from mainspring.testing.clock import ManualClock
from mainspring.testing.engine import SteppedEngine, TestStore

#: Where the clock stands unless a test says otherwise: a Monday morning, far from any change of clocks.
DEFAULT_AT = "2026-03-02T09:00"

T = TypeVar("T")
AnyHandle = Handle[Any, Any, Any]
Target = AnyHandle | Run[Any] | str


class Session(Assertions):
    """What both forms of the environment share: everything that does not run anything."""

    def __init__(
        self,
        app: Application,
        *,
        at: datetime | str = DEFAULT_AT,
        tz: str | None = None,
        seed: int = 0,
        patience: float = 1.0,
        fail_fast: bool = False,
        calendars: Mapping[str, Iterable[date | str]] | None = None,
    ) -> None:
        self.app, self.tz, self._fail_fast = app, tz or app.settings.timezone or "UTC", fail_fast
        self.clock = ManualClock(self.instant(at))
        random, wakeups = Random(seed), InProcessWakeups()
        self.store = TestStore(self.clock, random=random, wakeups=wakeups, record_transitions=True)
        parts = SystemParts(clock=self.clock, random=random, wakeups=wakeups, bus=InProcessBus(), store=self.store)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(app.using(parts))
        try:
            _finish(app.open())
            self.store.write_blocking(lambda tx: self._register(tx, tz, calendars or {}))
        except BaseException:
            self._stack.close()
            raise
        self._engine = SteppedEngine(app, self.store, self.clock, random=random, patience=patience)

    def _register(self, tx: Tx, tz: str | None, calendars: Mapping[str, Iterable[date | str]]) -> None:
        if tz is not None:
            tx.platforms.put_timezone(self.app.platform_id, tz)
        for name, days in calendars.items():
            dates = {date.fromisoformat(day) if isinstance(day, str) else day: "" for day in days}
            tx.platforms.put_calendar(self.app.platform_id, name, dates, source="test")
        register_code(self.app, tx)

    def _close(self) -> None:
        self._engine.close()
        self._stack.close()

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The present instant, in UTC."""
        return self.clock.now()

    def instant(self, at: datetime | str) -> datetime:
        """Return an instant from an aware datetime, or from text; what has no offset is a wall time of this zone.

        Text may give the time alone (``"14:30"``): then it is the next such wall time.
        """
        if isinstance(at, str) and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", at):
            hour, minute, *second = map(int, at.split(":"))
            cron = f"{second[0] if second else 0} {minute} {hour} * * *"
            found = compile_schedule({"cron": cron, "seconds": True}, timezone=self.tz).next(self.now)
            assert found is not None
            return found.at
        value = datetime.fromisoformat(at) if isinstance(at, str) else at
        if value.tzinfo is not None:
            return value
        once = compile_schedule({"run_at": value.isoformat()}, timezone=self.tz)
        found = once.next(datetime.fromisoformat("0002-01-01T00:00+00:00"))
        if found is None:
            raise ValidationError(f"{at} is no time of {self.tz}", field="at")
        return found.at

    def _later(self, by: timedelta | str | float) -> datetime:
        return self.now + duration(by, "advance")

    def _target(self, at: datetime | str) -> datetime:
        target = self.instant(at)
        if target < self.now:
            raise ValueError(
                f"the clock only goes forward: it is {self.now.isoformat()}, asked for {target.isoformat()}"
            )
        return target

    async def _run_until(self, target: datetime) -> None:
        await self._engine.run_until(target)
        if self._fail_fast and self._engine.failed:
            first = self._engine.failed[0]
            raise AssertionError(f"{first.job_name or first.handler} failed: {(first.error or {}).get('traceback')}")

    # -- asking --------------------------------------------------------------------------------------------------------

    def runs(self, of: Target | None = None) -> Runs:
        """Return executions, oldest first: all, those of a handler, or those of a job or handler by name."""
        found = self.store.read_blocking(lambda tx: tx.executions.find(ExecutionQuery(limit=1_000_000)))
        return Runs(e for e in reversed(found) if _is_of(e, of))

    def run(self, of: Run[Any] | str) -> Execution:
        """Return one execution as it stands now, by its `Run` or its id."""
        wanted = of.id if isinstance(of, Run) else of
        found = self.store.read_blocking(lambda tx: tx.executions.get(wanted))
        if found is None:
            raise AssertionError(f"there is no execution {wanted}")
        return found

    def decisions(self, job: AnyHandle | str) -> Ledger:
        """Return a job's ledger, oldest first."""

        def work(tx: Tx) -> list[Decision]:
            found = existing(tx, self.app.platform_id, _name(job))
            return tx.decisions.find(found.id, limit=1_000_000)

        return Ledger(reversed(self.store.read_blocking(work)))

    def logs(self, of: Run[Any] | Execution | str) -> list[str]:
        """Return the messages an execution has logged."""
        wanted = of if isinstance(of, str) else of.id
        return [line.message for line in self.store.read_blocking(lambda tx: tx.logs.read(wanted, limit=100_000))]

    @property
    def scheduler(self) -> SchedulerService:
        """The service that pauses, resumes, triggers and cancels, on this environment's record; to be awaited."""
        return self.app.scheduler(actor="test")

    def coming(self, job: AnyHandle | str, count: int) -> list[datetime]:
        """Return the next instants of a job after now, jitter left out, without running anything."""

        def work(tx: Tx) -> list[datetime]:
            found = existing(tx, self.app.platform_id, _name(job))
            schedule = self.app.schedules.of(tx, found)
            instants: list[datetime] = []
            for occurrence in schedule.iterate(self.now):
                if len(instants) == count:
                    break
                if occurrence.excluded_by is None:
                    instants.append(occurrence.at)
            return instants

        return self.store.read_blocking(work)

    # -- faults --------------------------------------------------------------------------------------------------------

    def kill_worker(self) -> None:
        """Let the worker die as by kill -9, in the middle of what it runs; another one is there at once.

        What it ran is run again once its lease is over (15 s by default). Coroutines are cancelled, so that the test
        ends cleanly: their clean-up runs, which a killed process would not do; nothing they report counts.
        """
        self._engine.kill_worker()

    def lose_lease(self, of: Target | None = None) -> int:
        """Take what runs (all, or some) back from its worker, which goes on unaware; return how many that were.

        It is queued again at once; what the first attempt reports later changes nothing.
        """
        ids = None if of is None else {e.id for e in self.runs(of)}
        return self._engine.lose_leases(ids)

    def db_down(self, for_: timedelta | str | float) -> None:
        """Let the database be away for a while of the test's time: every call raises `StoreUnavailableError`."""
        self._engine.take_down(self._later(for_))


class Environment(Session):
    """The environment for async tests; see `mainspring.testing.environment`."""

    async def advance(self, by: timedelta | str | float) -> None:
        """Move the clock on, ``"1m"`` or a timedelta, and do all that falls due on the way, each at its instant."""
        await self._run_until(self._later(by))

    async def advance_to(self, at: datetime | str) -> None:
        """Move the clock to an instant: aware, or a wall time of this environment's zone, ``"14:30"`` for the next."""
        await self._run_until(self._target(at))

    async def drain(self) -> None:
        """Do all that is due now, without moving the clock."""
        await self._run_until(self.now)

    async def publish(self, type: str, data: Mapping[str, Any] | None = None, *, id: str | None = None) -> Published:
        """Publish an event, and run what it starts."""
        published = await self.app.apublish(type, data, id=id)
        await self.drain()
        return published


class SyncEnvironment(Session):
    """The environment for tests without an event loop: the same methods, called plainly. It has a loop of its own."""

    def __init__(self, app: Application, **options: Any) -> None:
        super().__init__(app, **options)
        self._loop = asyncio.new_event_loop()

    def _close(self) -> None:
        super()._close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def advance(self, by: timedelta | str | float) -> None:
        """Move the clock on, ``"1m"`` or a timedelta, and do all that falls due on the way, each at its instant."""
        self._loop.run_until_complete(self._run_until(self._later(by)))

    def advance_to(self, at: datetime | str) -> None:
        """Move the clock to an instant: aware, or a wall time of this environment's zone, ``"14:30"`` for the next."""
        self._loop.run_until_complete(self._run_until(self._target(at)))

    def drain(self) -> None:
        """Do all that is due now, without moving the clock."""
        self._loop.run_until_complete(self._run_until(self.now))

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for something async, such as ``env.scheduler.pause_job(...)``."""
        return self._loop.run_until_complete(coroutine)

    def publish(self, type: str, data: Mapping[str, Any] | None = None, *, id: str | None = None) -> Published:
        """Publish an event, and run what it starts."""
        published = self.app.publish(type, data, id=id)
        self.drain()
        return published


class environment:  # noqa: N801 - it is called and entered, like a function
    """An isolated Mainspring for one test, on its own clock: ``async with environment(ms) as env``, or plain ``with``.

    Args:
        app: The application, unchanged, whatever its database URL: while this is open it uses an empty record in
            memory, with the handlers and jobs its code declares.
        at: Where the clock starts: an aware datetime, or text; a wall time of ``tz`` where it has no offset.
        tz: Zone of texts and of jobs that name none; by default the application's, else UTC.
        seed: Seed of ids and of retry jitter: the same test draws the same.
        patience: Real seconds to wait, once per attempt, for a handler that waits for something real (a file, a
            thread, an event the test sets later) before the clock goes on without it.
        fail_fast: Whether the first failed execution fails the test where the clock was moved.
        calendars: Named calendars that jobs include or exclude, each with its dates: ``{"holidays": ["2026-12-25"]}``.

    >>> from mainspring import Mainspring
    >>> ms = Mainspring()
    >>> @ms.cron("0 9 * * *", tz="Europe/Istanbul")
    ... def report(region: str = "tr") -> str:
    ...     return region
    >>> with environment(ms, at="2026-11-20T08:59", tz="Europe/Istanbul") as env:
    ...     env.advance("1m")
    ...     env.runs(report).results
    ['tr']
    """

    def __init__(
        self,
        app: Application,
        *,
        at: datetime | str = DEFAULT_AT,
        tz: str | None = None,
        seed: int = 0,
        patience: float = 1.0,
        fail_fast: bool = False,
        calendars: Mapping[str, Iterable[date | str]] | None = None,
    ) -> None:
        self._app = app
        self._options: dict[str, Any] = {
            "at": at,
            "tz": tz,
            "seed": seed,
            "patience": patience,
            "fail_fast": fail_fast,
            "calendars": calendars,
        }
        self._open: Session | None = None

    async def __aenter__(self) -> Environment:
        self._open = opened = Environment(self._app, **self._options)
        return opened

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        await asyncio.sleep(0)

    def __enter__(self) -> SyncEnvironment:
        self._open = opened = SyncEnvironment(self._app, **self._options)
        return opened

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the application its own parts back."""
        opened, self._open = self._open, None
        if opened is not None:
            opened._close()


def _finish(coroutine: Any) -> Any:
    """Run a coroutine that never waits, in whatever loop or none."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("a store in memory never waits")


def _name(job: AnyHandle | str) -> str:
    return job if isinstance(job, str) else job.name


def _is_of(execution: Execution, of: Target | None) -> bool:
    if of is None:
        return True
    if isinstance(of, Run):
        return execution.id == of.id
    return execution.handler == of.name if isinstance(of, Handle) else of in (execution.job_name, execution.handler)
