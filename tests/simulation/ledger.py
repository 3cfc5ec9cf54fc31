"""What can be judged only at the end: decisions against an enumeration of our own, results against the starts seen.

The enumeration asks the schedule for every instant one after the other, which the engine never does; from what the
engine keeps it takes only when a job was created, changed, paused, resumed and retired.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mainspring.model.cloudevents import to_cloudevent
from mainspring.model.decision import Decision, Verdict
from mainspring.model.execution import Cause, Execution, Failure, Status
from mainspring.model.job import JobDefinition, JobStatus
from mainspring.model.policy import Misfire
from mainspring.model.webhook import DeliveryState
from mainspring.schedule import CompiledSchedule, compile_schedule, event_matches
from tests.simulation.auditor import FINAL, JobChange

if TYPE_CHECKING:
    from tests.simulation.workload import Client
    from tests.simulation.world import World

_RUN = (Verdict.DISPATCHED, Verdict.BUFFERED)


def audit(world: World, client: Client) -> None:
    """Judge a run that has come to rest."""
    for job_id, changes in world.auditor.changes.items():
        _Job(world, job_id, changes).audit()
    _events(world)
    _executions(world)
    _starts(world)
    _outbox(world)
    _chains(world)
    _webhooks(world)
    _stats(world)
    _logs(world)
    _client(world, client)


def compiled(change: JobChange) -> CompiledSchedule:
    d = change.definition
    assert d.schedule is not None
    return compile_schedule(d.schedule, timezone=d.timezone or "UTC", created_at=change.created_at)


@dataclass(frozen=True)
class _Instant:
    at: datetime
    fire_at: datetime
    change: JobChange
    required: bool


class _Job:
    """The ledger of one job."""

    def __init__(self, world: World, job_id: str, changes: list[JobChange]) -> None:
        self._world, self._id, self._changes = world, job_id, changes
        self._decisions: list[Decision] = sorted(
            world.tables.decisions._decisions.get(job_id, {}).values(),
            key=lambda d: (d.scheduled_at, d.key),
        )
        self._by_revision = {change.revision: change for change in reversed(changes)}

    def _bad(self, law: str, what: str) -> None:
        self._world.problem(f"{law}: job {self._changes[0].definition.name}: {what}")

    def audit(self) -> None:
        self._executions_match()
        self._event_limits()
        if not self._changes[0].definition.type.timed:
            return
        covered: Counter[datetime] = Counter()
        instants = {i.at: i for i in self._instants()}
        for decision in self._decisions:
            for at in self._covers(decision):
                covered[at] += 1
            self._timely(decision)
        for at, instant in instants.items():
            if instant.required and covered[at] == 0:
                self._bad("I2", f"no decision for {at}, due at {instant.fire_at}")
        for at, times in covered.items():
            if times > 1:
                self._bad("I1", f"{times} decisions for {at}")
        self._coalesced()
        self._misfires()

    def _instants(self) -> Iterator[_Instant]:
        """Enumerate every instant that had to be decided, or may have been."""
        frontier = self._changes[0].at
        last: JobChange | None = None
        for change, following in zip(self._changes, [*self._changes[1:], None], strict=True):
            until = following.at if following is not None else self._world.now
            if last is not None and (_timing(last.definition) != _timing(change.definition) or _ended(last)):
                frontier = max(frontier, change.at)
            last = change
            if _ended(change) or not change.definition.type.timed:
                continue
            schedule = compiled(change)
            moved = following is not None and _timing(following.definition) != _timing(change.definition)
            paused = change.status is JobStatus.PAUSED
            complete = following is not None and following.why == "completed" and schedule.max_executions is not None
            at = frontier
            while (found := schedule.next(at)) is not None:
                fire_at = schedule.fire_at(found.at, key=self._id)
                if (found.at if paused else fire_at) > until:
                    break
                at = found.at
                if paused:
                    # Decided when the pause ends; an edit or the archive ends it for these instants too.
                    required = moved or (following is not None and following.status is JobStatus.ARCHIVED)
                else:
                    required = following is not None and not complete
                yield _Instant(found.at, fire_at, change, required)
            if not paused or moved:
                frontier = at

    def _covers(self, decision: Decision) -> Iterator[datetime]:
        change = self._by_revision[decision.revision]
        schedule = compiled(change)
        if schedule.at(decision.scheduled_at) is None:
            self._bad("I2", f"decided {decision.scheduled_at}, which revision {decision.revision} never names")
        if decision.scheduled_at <= self._changes[0].at - timedelta(microseconds=1):
            self._bad("I2", f"decided {decision.scheduled_at}, before the job was made at {self._changes[0].at}")
        count = 0
        at: datetime | None = decision.scheduled_at
        while at is not None and at <= (decision.until_at or decision.scheduled_at):
            count += 1
            yield at
            following = schedule.next(at)
            at = following.at if following is not None else None
        if decision.count is not None and decision.count != count:
            self._bad("I2", f"a range from {decision.scheduled_at} says {decision.count} instants, there are {count}")

    def _timely(self, decision: Decision) -> None:
        schedule = compiled(self._by_revision[decision.revision])
        fire_at = schedule.fire_at(decision.scheduled_at, key=self._id)
        if decision.decision is not Verdict.SKIPPED_PAUSED and decision.decided_at < fire_at:
            self._bad("G19", f"{decision.scheduled_at} was decided at {decision.decided_at}, before {fire_at}")

    def _executions_match(self) -> None:
        """I4, I6: a decision to run and its execution exist together, once."""
        rows = self._world.auditor.rows
        made = {e.id: e for e in rows.values() if e.job_id == self._id and e.cause in (Cause.SCHEDULE, Cause.EVENT)}
        named: Counter[str] = Counter()
        for d in self._decisions:
            if d.decision in _RUN:
                execution = rows.get(d.execution_id or "")
                named[d.execution_id or ""] += 1
                if execution is None or (execution.job_id, execution.scheduled_at) != (self._id, d.scheduled_at):
                    self._bad("I4", f"{d.scheduled_at} is {d.decision} but its execution {d.execution_id} is not there")
            elif d.execution_id is not None:
                self._bad("I4", f"{d.scheduled_at} is {d.decision} and names execution {d.execution_id}")
            elif d.decision is Verdict.SKIPPED_OVERLAP:
                blocking = rows.get(str(d.reason.get("blocking")))
                if blocking is None or (blocking.finished_at or d.decided_at) < d.decided_at:
                    self._bad("G14", f"{d.scheduled_at} was skipped for {d.reason.get('blocking')}, which had ended")
        for execution_id in made:
            if named[execution_id] != 1:
                self._bad("I4", f"execution {execution_id} has {named[execution_id]} decisions")

    def _event_limits(self) -> None:
        """Debounced, throttled and limited events: each exact, whoever decided them and whatever crashed."""
        definition = self._changes[0].definition
        if definition.type != "event" or definition.schedule is None:
            return
        wire, by_key = definition.schedule, {d.key: d for d in self._decisions}
        ran = [d.scheduled_at for d in self._decisions if d.decision in _RUN]
        if throttle := wire.get("throttle"):
            per = timedelta(milliseconds=throttle["per_ms"])
            for first, last in zip(ran, ran[throttle["limit"] :], strict=False):
                if last - first < per:
                    self._bad("G13", f"the throttle let {first} and {last} through")
        if len(ran) > wire.get("max_executions", len(ran)):
            self._bad("G13", f"ran {len(ran)} times, {wire['max_executions']} allowed")
        for d in self._decisions:
            quiet = d.scheduled_at + timedelta(milliseconds=wire.get("debounce_ms", 0))
            if d.decision in _RUN and d.decided_at < quiet:
                self._bad("G13", f"event {d.key} ran at {d.decided_at}, before it had been quiet at {quiet}")
            if d.decision is Verdict.COALESCED:
                into = by_key.get(str(d.reason.get("into")))
                if into is None or into.scheduled_at < d.scheduled_at or d.decided_at > quiet + timedelta(days=1):
                    self._bad("I5", f"event {d.key} is coalesced into {d.reason.get('into')}")

    def _coalesced(self) -> None:
        """I5: a coalesced instant points to a later one, which has a decision of its own."""
        exact = {d.scheduled_at: d for d in self._decisions}
        for d in self._decisions:
            if d.decision is not Verdict.COALESCED:
                continue
            into = exact.get(d.into_at) if d.into_at is not None else None
            if d.into_at is None or d.into_at <= d.scheduled_at or into is None:
                self._bad("I5", f"{d.scheduled_at} is coalesced into {d.into_at}, which is no later decision")

    def _misfires(self) -> None:
        """G13: what is later than its grace runs only as the policy says."""
        late: Counter[tuple[datetime, int]] = Counter()
        for d in self._decisions:
            definition = self._by_revision[d.revision].definition
            misfired = d.late > definition.misfire_grace
            if d.decision is Verdict.SKIPPED_MISFIRE and not misfired:
                self._bad("G13", f"{d.scheduled_at} was skipped as missed, {d.late} late")
            if misfired and d.decision in (*_RUN, Verdict.SKIPPED_OVERLAP, Verdict.DROPPED_BUFFER_FULL):
                late[d.decided_at, d.revision] += 1
                if definition.misfire is Misfire.SKIP:
                    self._bad("G13", f"{d.scheduled_at} is {d.decision}, {d.late} late, and misfire is skip")
        for (decided_at, revision), count in late.items():
            definition = self._by_revision[revision].definition
            most = 1 if definition.misfire is Misfire.FIRE_ONCE else definition.max_catch_up
            if count > most:
                self._bad("G13", f"{count} missed instants ran at {decided_at}, {most} allowed")


def _timing(definition: JobDefinition) -> tuple[object, ...]:
    return definition.type, definition.schedule, definition.timezone


def _ended(change: JobChange) -> bool:
    return change.status in (JobStatus.COMPLETED, JobStatus.ARCHIVED)


def _events(world: World) -> None:
    """Every accepted event has exactly one decision of every job that heard it, and of no other."""
    for job_id, decisions in world.tables.decisions._decisions.items():
        keys = Counter(d.key for d in decisions.values() if d.key)
        heard = {f"{source}#{name}" for (source, name), jobs in world.auditor.active_at_event.items() if job_id in jobs}
        if set(keys) != heard or any(count > 1 for count in keys.values()):
            world.problem(f"I1: job {job_id} heard {sorted(heard)} and decided {sorted(keys.elements())}")
    for (source, name), jobs in world.auditor.active_at_event.items():
        for job_id in jobs:
            if job_id not in world.tables.decisions._decisions:
                world.problem(f"I1: job {job_id} never decided event {source}#{name}")


def _executions(world: World) -> None:
    letters = world.tables.dead_letters._letters
    jobs = world.auditor.jobs
    for e in world.auditor.rows.values():
        seen = world.auditor.seen[e.id]
        if not e.status.terminal:
            world.problem(f"G3: {e.id} is still {e.status}")
        if len([event for event in world.auditor.order if event.subject == e.id and event.type in FINAL.values()]) != 1:
            world.problem(f"I17: {e.id} does not have exactly one final event")
        failures = e.failures + e.losses
        if len(seen.claims) < failures:
            world.problem(f"I12: {e.id} has {failures} ended attempts of {len(seen.claims)} claims")
        failed = e.status is Status.FAILED
        if failed != (e.failure is not None):
            world.problem(f"I12: {e.id} is {e.status} with failure {e.failure}")
        if e.failure is Failure.ERROR and not e.failures:
            world.problem(f"I12: {e.id} failed by error and counts none")
        if e.id in letters and not failed:
            world.problem(f"G15: {e.id} is {e.status} and has a dead letter")
        buried = e.job_id is None or jobs[e.job_id].definition.dead_letter
        if failed and e.job_id is None and e.id not in letters and buried:
            world.problem(f"G15: {e.id} failed without a dead letter")


def _starts(world: World) -> None:
    """G4, G5: each fence starts once, was claimed, and only the one that ended the execution left its mark."""
    starts = Counter((s.execution_id, s.fence) for s in world.starts)
    ended = {(s.execution_id, s.fence): s for s in world.starts}
    for (execution_id, fence), times in starts.items():
        seen = world.auditor.seen.get(execution_id)
        if times > 1:
            world.problem(f"G4: {execution_id} was started {times} times with fence {fence}")
        if seen is None or fence not in seen.claims:
            world.problem(f"G4: {execution_id} was started with fence {fence}, which nobody claimed")
    for e in world.auditor.rows.values():
        if e.status is not Status.SUCCESS:
            continue
        seen = world.auditor.seen[e.id]
        fence = seen.claims[-1]
        start = ended.get((e.id, fence))
        if e.result != f"{e.id}:{fence}":
            world.problem(f"G5: {e.id} ended with fence {fence} and result {e.result}")
        if start is None or start.ended != "success":
            world.problem(f"G5: {e.id} succeeded with fence {fence}, and its handler ended as {start and start.ended}")
        if e.progress is not None and int(e.progress["current"]) > fence:
            world.problem(f"G5: {e.id} has progress {e.progress} of a later fence than {fence}")


def _outbox(world: World) -> None:
    """G10: everything committed is published, and nothing else."""
    for event_id, event in world.auditor.outbox.items():
        if not world.published.get(event_id):
            world.problem(f"I23: {event.type} of {event.subject} was never published")
    for event_id in world.published:
        if event_id not in world.auditor.outbox:
            world.problem(f"G10: event {event_id} was published and never committed")
    first_published: defaultdict[str, list[str]] = defaultdict(list)
    for event_id in world.published:
        if event_id in world.auditor.outbox:
            first_published[str(world.auditor.outbox[event_id].subject)].append(event_id)
    happened: defaultdict[str, list[str]] = defaultdict(list)
    for event in world.auditor.order:
        happened[str(event.subject)].append(event.id)
    for subject, order in first_published.items():
        if order != happened[subject]:
            world.problem(f"G10: events of {subject} happened as {happened[subject]} and were published as {order}")
    _numbered(world)


def _numbered(world: World) -> None:
    """G10: the events of one execution are numbered from 1 without a gap, in the order in which they happened."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for event in world.auditor.order:
        if event.type.startswith("scheduler:execution."):
            numbers[str(event.subject)].append(int(to_cloudevent(event)["sequence"]))
    for execution_id, found in numbers.items():
        if found != list(range(1, len(found) + 1)):
            world.problem(f"G10: the events of {execution_id} are numbered {found}")


def _chains(world: World) -> None:
    """Each end of an execution of a job that has one to follow started it, once, or says why it did not."""
    started = Counter(
        e.event["execution"]["id"] for e in world.auditor.rows.values() if e.cause is Cause.CHAIN and e.event
    )
    links = list(world.tables.chains._links.values())
    named = Counter(link.execution_id for link in links if link.chained_id is not None)
    if started != named:
        world.problem(f"chains: started {started - named or named - started}, which the links do not say")
    for link in links:
        if (link.chained_id is None) == (link.problem is None):
            world.problem(f"chains: {link} says neither what was started nor why nothing was")


def _webhooks(world: World) -> None:
    """G10, F36: each event is owed once to whoever wants it, arrives, and not before those about the same thing did."""
    table = world.tables.webhooks
    for hook in table._webhooks.values():
        wanted = [e for e in world.auditor.order if any(event_matches(pattern, e.type) for pattern in hook.events)]
        owed = Counter(d.event_id for d in table._of(hook.id))
        if owed != Counter(event.id for event in wanted):
            world.problem(f"G10: {hook.url} is owed {len(owed)} events, of {len(wanted)} it wants")
        arrived: dict[str, None] = dict.fromkeys(event_id for url, event_id in world.posted if url == hook.url)
        for delivery in table._of(hook.id):
            if delivery.state is DeliveryState.DELIVERED and delivery.event_id not in arrived:
                world.problem(f"G10: event {delivery.event_id} is said to have arrived at {hook.url}, and has not")
        subject_of = {event.id: str(event.subject) for event in wanted}
        came: defaultdict[str, list[str]] = defaultdict(list)
        for event_id in arrived:
            came[subject_of[event_id]].append(event_id)
        happened: defaultdict[str, list[str]] = defaultdict(list)
        for event in wanted:
            happened[str(event.subject)].append(event.id)
        for subject, order in came.items():
            if order != happened[subject][: len(order)]:
                world.problem(f"G10: {hook.url} got the events of {subject} as {order}, not as {happened[subject]}")


def _stats(world: World) -> None:
    """Rollups are what counting again gives."""
    rows: defaultdict[str, list[Execution]] = defaultdict(list)
    for e in world.auditor.rows.values():
        if e.job_id is not None:
            rows[e.job_id].append(e)
    kept = world.tables.jobs.stats(list(world.auditor.jobs))
    for job_id, job in world.auditor.jobs.items():
        of_job, stats = rows[job_id], kept.get(job_id)
        skipped = sum(
            int(d.count or 1) for d in world.tables.decisions._decisions.get(job_id, {}).values() if not d.decision.runs
        )
        found = (
            len(of_job), sum(e.status is Status.SUCCESS for e in of_job),
            sum(e.status is Status.FAILED for e in of_job), skipped,
        )  # fmt: skip
        told = (stats.total, stats.success, stats.failed, stats.skipped) if stats is not None else (0, 0, 0, 0)
        if found != told:
            world.problem(f"counters of {job.name}: {told}, counted again {found} (total, success, failed, skipped)")


def _logs(world: World) -> None:
    """G5: once a later attempt has spoken, an earlier one adds nothing."""
    for execution_id, lines in world.tables.logs._logs.items():
        fences = [line.fields["fence"] for line in lines if "fence" in line.fields]
        if fences != sorted(fences):
            world.problem(f"G5: the log of {execution_id} has lines of fences {fences}")
        if [line.line for line in lines] != list(range(1, len(lines) + 1)):
            world.problem(f"G5: the log of {execution_id} is not numbered without gaps")


def _client(world: World, client: Client) -> None:
    """G7, G8: what was acknowledged is there; a key stands for one execution."""
    for execution_id in client.acknowledged:
        if execution_id not in world.auditor.rows:
            world.problem(f"G7: {execution_id} was acknowledged and is not there")
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    for e in world.auditor.rows.values():
        if e.cause is Cause.ENQUEUE and e.idempotency_key in client.keys:
            by_key[e.idempotency_key].append(e.id)
    for key, answers in client.keys.items():
        if len(by_key[key]) > 1 or len(answers) > 1 or (answers and not by_key[key]):
            world.problem(f"I25: key {key} made {by_key[key]} and was answered {sorted(answers)}")
