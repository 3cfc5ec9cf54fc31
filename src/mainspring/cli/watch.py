"""Watches a node: its events, its starts, its progress and its next runs, as lines and as how it stands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from mainspring._version import __version__
from mainspring.cli.job_zones import JobZones
from mainspring.cli.live import Standing, Throttle, Under, Upcoming, View
from mainspring.cli.narrate import Line, ended, happened, named, progress_told, started
from mainspring.cli.output import short
from mainspring.cli.times import away, span, stamp
from mainspring.cli.urls import masked, sqlite_path
from mainspring.control.counted import BOUND
from mainspring.errors import MainspringError
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Execution, Status
from mainspring.model.job import Job, JobStatus
from mainspring.model.outcome import Outcome, Succeeded
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.schedule.zones import tzdb_version

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.app.node import Node
    from mainspring.app.wiring import Roles
    from mainspring.engine.executor import Attempt


logger = logging.getLogger("mainspring")

#: Seconds between two looks at the database: for what moves on a terminal, and for lines of progress elsewhere.
LOOK, LOOK_PLAIN = 1.0, 5.0
#: Seconds between two looks at the jobs where no list of them is shown: of them only their zones are told.
LOOK_JOBS = 60.0
#: The most jobs looked at, and the least between two lines of progress.
JOBS, PROGRESS = 500, timedelta(seconds=5)
#: What is left untold first when much happens.
ROUTINE = frozenset({EventType.EXECUTION_SUCCESS})


class Watch:
    """Shows one process; `begin` before the node starts, `run` while it does, `end` at the end."""

    def __init__(
        self, command: str, where: str | None, app: Mainspring, roles: Roles, view: View, stop: asyncio.Event
    ) -> None:
        self._command, self._where, self._app, self._roles = command, where, app, roles
        self._view, self._stop = view, stop
        self._standing = Standing()
        self._throttle = Throttle()
        # Whether lines are shown in this second.
        self._flows = asyncio.Event()
        self._zones = JobZones(app.settings.timezone or "UTC")
        self._zone_of: dict[str, str] = {job["name"]: job["timezone"] for job in app.jobs if job.get("timezone")}
        self._said: dict[str, tuple[Any, Any]] = {}
        self._began: dict[str, float] = {}
        self._early: list[Line] | None = []
        self._hinted = False
        self._jobs_at = 0.0

    def begin(self, node: Node) -> None:
        """Listen, so that nothing is missed from the first moment on."""
        self._loop = asyncio.get_running_loop()
        self._throttle.on_first = self._flow
        node.on_attempt = self._on_attempt
        if self._roles.dispatcher:
            # Not by the bus: on a fleet it tells of what all the others publish as well.
            node.on_published = self._on_published
        else:
            node.on_end = self._on_end  # the events that tell of ends are relayed by another process

    async def run(self, node: Node) -> None:
        """Show the head once the node runs, then keep how it stands up to date."""
        while not node.is_engine:  # noqa: ASYNC110 - a state, which sets no event
            await asyncio.sleep(0.02)
        await self._look(node)
        self._view.reserve(self._zones_and_names())
        self._view.head(self._head())
        self._view.start()
        early, self._early = self._early or [], None
        for line in early:
            self._view.line(line)
        stopping = asyncio.create_task(self._tell_stopping(node))
        try:
            looked = self._loop.time()
            while True:
                await self._next_second(looked + LOOK_PLAIN)
                held = self._throttle.refill()
                if held:
                    self._note(f"... and {held} lines more within this second")
                if self._view.live or self._loop.time() >= looked + LOOK_PLAIN:
                    await self._look(node)
                    looked = self._loop.time()
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    async def _next_second(self, until: float) -> None:
        """Wait for the end of the second; until then at most for one in which lines are shown, where nothing ticks."""
        if not self._view.live:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._flows.wait(), until - self._loop.time())
            if not self._flows.is_set():
                return
        self._flows.clear()
        await asyncio.sleep(LOOK)

    def _flow(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed, and nobody watches any more
            self._loop.call_soon_threadsafe(self._flows.set)

    def end(self) -> None:
        """Leave the terminal, with one line about what has been."""
        self._view.stop()
        if self._early is None:
            self._note(f"stopped: {self._standing.counters.told()}")
        else:
            # It never came to run: what was said until then may tell why.
            for line in self._early:
                self._view.line(line)

    @property
    def zone(self) -> str:
        """The zone of what belongs to no job."""
        return self._zones.default

    def show(self, line: Line) -> None:
        """Show a line, unless there are too many."""
        if self._early is not None:
            self._early.append(line)
        elif self._throttle.lets(line):
            self._view.line(line)

    def tell(self, text: str) -> None:
        """Show a line about the process itself; after the head, if that is still to come."""
        self.show(Line(self._app.parts.clock.now(), self._zones.default, "mainspring", "note", text))

    # -- what happens --------------------------------------------------------------------------------------------

    def _on_published(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.platform_id == self._app.platform_id:
                self._on_event(event)

    def _on_event(self, event: Event) -> None:
        self._standing.counters.count(event)
        if event.type in ROUTINE and self._throttle.holds():
            return
        execution_id = str(event.data.get("execution_id"))
        buried = event.type == EventType.EXECUTION_FAILED and bool(event.data.get("dead_letter"))
        zone = self._zone(str(event.data.get("job") or ""))
        line = happened(event, zone, running=self._standing.counters.running, buried=buried)
        if line is not None:
            self.show(line)
        if buried:
            self._hint(execution_id)

    def _hint(self, execution_id: str) -> None:
        """Once, say what can be done about a dead letter."""
        if not self._hinted:
            self._hinted = True
            again = f"mainspring dead-letters redrive {execution_id} runs it again"
            self._note(f"mainspring explain {execution_id} says why; {again}")

    def _on_attempt(self, attempt: Attempt) -> None:
        execution = attempt.execution
        self._standing.counters.start(execution)
        if not self._roles.dispatcher:
            self._began[execution.id] = self._loop.time()
        attempt.words.on_line = partial(self._on_line, execution)
        if not self._throttle.holds():
            # The handler begins first. What it logs, and how it ends, is shown in turn, and so after this.
            self._loop.call_soon(self._show_start, execution)

    def _show_start(self, execution: Execution) -> None:
        if not self._throttle.holds():  # many may begin before the first of them is shown
            self.show(started(execution, self._zone(execution.job_name or "")))

    def _on_end(self, attempt: Attempt, outcome: Outcome) -> None:
        execution = attempt.execution
        began = self._began.pop(execution.id, None)
        if isinstance(outcome, Succeeded) and self._throttle.holds():
            self._standing.counters.end(execution.id, "finished")
            return
        seconds = 0.0 if began is None else self._loop.time() - began
        zone, now = self._zone(execution.job_name or ""), self._app.parts.clock.now()
        line = ended(execution, outcome, now, zone, timedelta(seconds=seconds))
        self._standing.counters.end(execution.id, line.what)
        self._loop.call_soon(self.show, line)

    def _on_line(
        self,
        execution: Execution,
        level: str,
        message: str,
        fields: Mapping[str, Any],
    ) -> None:
        """Show a line that a handler logs, from whatever thread it runs in."""
        if level == "debug":
            return
        more = "".join(f"  {key}={value}" for key, value in fields.items() if key != "traceback")
        now, zone = self._app.parts.clock.now(), self._zone(execution.job_name or "")
        text = f"{level.upper()} {message}{more}"[:1000]
        with contextlib.suppress(RuntimeError):  # the loop has closed, and nobody watches any more
            self._loop.call_soon_threadsafe(self.show, Line(now, zone, named(execution), "log", text))

    def _zone(self, job: str) -> str:
        return self._zone_of.get(job, self._zones.default)

    def _note(self, text: str) -> None:
        now = self._app.parts.clock.now()
        self._view.line(Line(now, self._zones.default, "mainspring", "note", text))

    async def _tell_stopping(self, node: Node) -> None:
        await self._stop.wait()
        running = len(node.worker.running) if node.worker is not None else 0
        grace = span(self._app.settings.drain_grace_ms / 1000)
        self._standing.note = "draining; Ctrl-C again releases what runs"
        more = f": {running} still running, for at most {grace}; Ctrl-C again releases them" if running else ""
        self._note(f"stopping{more}")

    # -- how it stands -------------------------------------------------------------------------------------------

    async def _look(self, node: Node) -> None:
        time, live = asyncio.get_running_loop().time(), self._view.live
        at_jobs = live or time >= self._jobs_at
        ours = None if node.worker is None else {attempt.execution.id for attempt in node.worker.running}
        if ours is not None:
            self._standing.counters.keep(ours)
        if not (at_jobs or ours is None or ours):
            return  # of what others run they tell

        def work(tx: Tx) -> tuple[Any, ...]:
            platform_id = self._app.platform_id
            if not at_jobs:
                tx.end_with_next()
            running = tx.executions.find(ExecutionQuery(platform_id=platform_id, statuses=(Status.RUNNING,), limit=50))
            return (
                tx.now,
                JobZones(tx.platforms.timezone(platform_id) or "UTC") if at_jobs else self._zones,
                tx.jobs.find(platform_id, status=JobStatus.ACTIVE, limit=JOBS) if at_jobs else None,
                running,
                tx.executions.counts(platform_id, BOUND + 1) if live else None,
            )

        try:
            now, zones, jobs, running, counts = await self._app.store.read(work)
        except MainspringError as error:
            logger.debug("the view could not look: %s", error)
            return
        self._zones = zones
        if ours is not None:
            running = [execution for execution in running if execution.id in ours]
        if jobs is not None:
            self._jobs_at = time + LOOK_JOBS
            self._know(jobs)
        self._standing.now, self._standing.live = now, counts or {}
        self._standing.under = [_under(execution) for execution in running if execution.progress]
        self._tell_progress(running)
        self._view.stand(self._standing)

    def _know(self, jobs: Sequence[Job]) -> None:
        zone = self._zones.default
        self._zone_of = {job.name: job.definition.timezone or zone for job in jobs}
        self._standing.upcoming = [
            Upcoming(job.name, job.next_run_at, self._zone_of[job.name]) for job in _by_next_run(jobs)
        ]

    def _tell_progress(self, running: Sequence[Execution]) -> None:
        """Tell progress as lines too, now and then: a log file has no lower part."""
        known = {execution.id for execution in running}
        self._said = {key: value for key, value in self._said.items() if key in known}
        for execution in running:
            if not execution.progress or self._standing.now is None:
                continue
            text = progress_told(execution.progress)
            last_at, last = self._said.get(execution.id, (execution.started_at or self._standing.now, ""))
            if text != last and self._standing.now - last_at >= PROGRESS:
                self._said[execution.id] = (self._standing.now, text)
                zone = self._zone(execution.job_name or "")
                self.show(Line(self._standing.now, zone, named(execution), "progress", f"progress {text}"))

    def _zones_and_names(self) -> tuple[Sequence[str], Sequence[str]]:
        return [self.zone, *self._zone_of.values()], ["mainspring", *self._zone_of]

    def _head(self) -> list[tuple[str, str]]:
        app, settings = self._app, self._app.settings
        lines = [
            ("bold", f"Mainspring {__version__} {self._command}"),
            ("bright_black", f"  database    {masked(settings.database_url)}{_hint(app)}"),
        ]
        if self._where is not None or app.jobs:
            has = f"{_many(len(app.registry.list_handlers()), 'handler')}, {_many(len(app.jobs), 'job')}"
            lines.append(("bright_black", f"  app         {self._where or '-'}: {has}"))
        else:
            role = "dev" if settings.on_sqlite else "worker"  # beside a fleet's dispatcher, not a second one
            none = f"none given; mainspring {role} module:app runs the handlers of your code"
            lines.append(("yellow", f"  app         {none}"))
        if self._roles.worker:
            lines.append(("bright_black", f"  queues      {settings.queues}"))
        lines.append(("bright_black", f"  zone data   {tzdb_version()}"))
        lines.append(("", ""))
        now = self._standing.now
        if self._standing.upcoming and now is not None:
            width = max(len(short(one.name, 32)) for one in self._standing.upcoming[:12])
            for one in self._standing.upcoming[:12]:
                when = f"{away(one.at, now)}, " if one.at > now else ""
                lines.append(("", f"  {short(one.name, 32):<{width}}  next {when}{stamp(one.at, one.zone)}"))
            more = len(self._standing.upcoming) - 12
            if more > 0:
                lines.append(("bright_black", f"  ... and {more} more: mainspring jobs list"))
            lines.append(("", ""))
        return lines


def _hint(app: Mainspring) -> str:
    """Tell how other commands find this database, where they would not by themselves."""
    if app.settings.origin.get("database_url") != "argument":
        return ""
    path = sqlite_path(app.settings.database_url)
    return f"   (other commands: --db {path or masked(app.settings.database_url)})"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _by_next_run(jobs: Sequence[Job]) -> list[Any]:
    return sorted((job for job in jobs if job.next_run_at is not None), key=lambda job: (job.next_run_at, job.name))


def _under(execution: Execution) -> Under:
    progress = execution.progress or {}
    current, total = progress.get("current"), progress.get("total")
    share = None
    if isinstance(current, int | float) and isinstance(total, int | float) and total > 0:
        share = min(max(current / total, 0.0), 1.0)
    return Under(
        named(execution), execution.started_at or execution.created_at, short(progress_told(progress), 60), share
    )
