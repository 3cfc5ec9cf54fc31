"""The judge: job specifications and the handlers' ledger against what the product exports. It trusts none of them.

Numbers are those of docs/operate/faults.md: G are guarantees, I invariants.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.faults.ledger import Line
from tests.faults.oracle import Spec

Row = Mapping[str, Any]

RUNS = ("dispatched", "buffered")
ENDED = ("success", "failed", "cancelled", "expired")
POISON_LIMIT = 3

#: Who may make which move, written down once more from the specification and not taken from the product.
LEGAL: Mapping[tuple[str | None, str], str] = {
    (None, "pending"): "dispatcher api",
    (None, "queued"): "dispatcher api",
    ("pending", "queued"): "dispatcher",
    ("retrying", "queued"): "dispatcher",
    ("queued", "running"): "worker",
    ("running", "success"): "worker",
    ("running", "failed"): "worker reaper",
    ("running", "retrying"): "worker reaper",
    ("running", "cancelled"): "worker reaper dispatcher api",
    ("running", "waiting"): "worker",
    ("running", "pending"): "worker",
    ("running", "queued"): "worker",
    ("waiting", "success"): "callback",
    ("waiting", "failed"): "callback reaper",
    ("waiting", "retrying"): "callback reaper",
    ("waiting", "cancelled"): "callback reaper dispatcher api",
    **{(source, "cancelled"): "api dispatcher" for source in ("pending", "queued", "retrying")},
    **{(source, "expired"): "api dispatcher" for source in ("pending", "queued", "retrying", "waiting")},
}


@dataclass
class Evidence:
    """What is judged. ``keys``: execution id by idempotency key, as acknowledged to customers."""

    specs: Sequence[Spec]
    jobs: Mapping[str, Row]
    decisions: Sequence[Row]
    executions: Sequence[Row]
    attempts: Sequence[Row]
    transitions: Sequence[Row]
    lines: Sequence[Line]
    keys: Mapping[str, str] = field(default_factory=dict)
    #: Whether the handlers' clocks can be compared with the database's.
    clocks_agree: bool = True


def judge(evidence: Evidence) -> list[str]:
    """Return everything that is wrong; empty: nothing is."""
    return [*_decisions(evidence), *_histories(evidence), *_executions(evidence), *_customers(evidence)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _by(rows: Iterable[Row], name: str) -> dict[Any, list[Row]]:
    found: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


# -- the ledger of decisions -------------------------------------------------------------------------------------------


def _decisions(e: Evidence) -> Iterable[str]:
    by_job, scheduled = _by(e.decisions, "job_id"), _by(e.executions, "job_id")
    for spec in e.specs:
        job = e.jobs[spec.name]
        decisions = sorted(by_job[job["id"]], key=lambda d: d["scheduled_at"])
        executions = [x for x in scheduled[job["id"]] if x["cause"] == "schedule"]
        for problem in [*_complete(spec, job, decisions), *_policies(spec, decisions), *_made(decisions, executions)]:
            yield f"job {spec.name}: {problem}"


def _complete(spec: Spec, job: Row, decisions: Sequence[Row]) -> Iterable[str]:
    """G1: every due instant the cursor has passed has one decision, and nothing else has any."""
    covered: Counter[datetime] = Counter()
    for decision in decisions:
        first, last = at(decision["scheduled_at"]), at(decision["until_at"] or decision["scheduled_at"])
        if not spec.is_due(first) or not spec.is_due(last):
            yield f"G1: decided {first} to {last}, which is not due"
        instants = list(spec.instants(first - timedelta(seconds=spec.every), last))
        covered.update(instants)
        if decision["count"] not in (None, len(instants)):
            yield f"G1: a range from {first} to {last} counts {decision['count']} instants, not {len(instants)}"
    wanted = set(spec.instants(at(job["created_at"]), at(job["cursor_at"])))
    yield from (f"G1: no decision for {instant}" for instant in sorted(wanted - set(covered)))
    yield from (f"I1: {times} decisions for {instant}" for instant, times in covered.items() if times > 1)
    yield from (f"G1: decided {instant} beyond the cursor" for instant in covered if instant > at(job["cursor_at"]))


def _policies(spec: Spec, decisions: Sequence[Row]) -> Iterable[str]:
    """G13: what was late is treated as the job says, and the decision says how late."""
    runs = {at(d["scheduled_at"]): d for d in decisions if d["decision"] in RUNS}
    grace = spec.fields.get("misfire_grace_ms", 60_000)
    for d in decisions:
        instant = at(d["scheduled_at"])
        late = (at(d["decided_at"]) - instant) / timedelta(milliseconds=1)
        if late < 0:
            yield f"G19: {instant} was decided {-late:.0f} ms before it was due"
        if d["until_at"] is None and abs(late - d["late_ms"]) > 1:
            yield f"G13: {instant} was decided {late:.0f} ms late and says {d['late_ms']}"
        if d["decision"] == "coalesced":
            into = at(d["into_at"]) if d["into_at"] else None
            if into is None or into <= instant or into not in runs:
                yield f"I5: {instant} was coalesced into {into}, which did not run"
        if spec.misfire == "skip" and d["decision"] in RUNS and d["late_ms"] > grace:
            yield f"G13: {instant} ran although it was {d['late_ms']} ms late and the job skips misfires"
        if spec.misfire == "fire_all" and d["decision"] in ("coalesced", "skipped_misfire"):
            yield f"G13: {instant} was {d['decision']} although the job fires every misfire"


def _made(decisions: Sequence[Row], executions: Sequence[Row]) -> Iterable[str]:
    """G2, I4: a decision to run has one execution, and an execution of the schedule one such decision."""
    decided = Counter((d["execution_id"], d["scheduled_at"]) for d in decisions if d["decision"] in RUNS)
    there = Counter((x["id"], x["scheduled_at"]) for x in executions)
    if decided != there:
        odd = list(((decided - there) + (there - decided)).elements())
        yield f"I4: decisions to run and executions differ in {odd[:3]} and {max(0, len(odd) - 3)} more"
    for d in decisions:
        if d["decision"] not in RUNS and d["execution_id"] is not None:
            yield f"I4: {d['scheduled_at']} is {d['decision']} and has an execution"


# -- histories ---------------------------------------------------------------------------------------------------------


def _histories(e: Evidence) -> Iterable[str]:
    moves_of = _by(e.transitions, "execution_id")
    for execution in e.executions:
        moves = moves_of.pop(execution["id"], [])
        for problem in _history(execution, moves):
            yield f"execution {execution['id']} ({execution['handler']}): {problem}"
    yield from (f"I15: a history without its execution: {execution_id}" for execution_id in moves_of)


def _history(execution: Row, moves: Sequence[Row]) -> Iterable[str]:
    if not moves or moves[0]["source"] is not None:
        yield "I15: its history does not begin"
        return
    if not all(move["recorded"] for move in moves):
        yield "I15: its history was not recorded"
    for move in moves:
        if move["actor"] not in LEGAL.get((move["source"], move["to"]), "").split():
            yield f"I15: {move['actor']} moved it from {move['source']} to {move['to']}"
    for before, after in pairwise(moves):
        if before["to"] != after["source"]:
            yield f"I15: a gap: it became {before['to']}, then left {after['source']}"
        if after["fence"] < before["fence"]:
            yield f"I19: its fence fell from {before['fence']} to {after['fence']}"
        if before["to"] in ENDED:
            yield f"I17: it had ended as {before['to']} and became {after['to']}"
        if after["to"] == "running" and after["fence"] != before["fence"] + 1:
            yield f"I19: claimed with fence {after['fence']} after {before['fence']}"
        # A worker that knows an attempt for lost, such as with its child process, raises the fence itself.
        held = (before["fence"], before["fence"] + 1)
        if after["actor"] == "worker" and after["source"] == "running" and after["fence"] not in held:
            yield f"I18: a worker ended it with fence {after['fence']}, claimed was {before['fence']}"
    if moves[-1]["to"] != execution["status"]:
        yield f"I16: it is {execution['status']}, its history says {moves[-1]['to']}"
    if moves[-1]["fence"] != execution["fence"]:
        yield f"I10: its fence is {execution['fence']}, its history says {moves[-1]['fence']}"


# -- executions against the handlers' ledger ---------------------------------------------------------------------------


def _executions(e: Evidence) -> Iterable[str]:
    starts, ends = defaultdict[str, list[Line]](list), defaultdict[str, list[Line]](list)
    for line in e.lines:
        (starts if line.what == "start" else ends)[line.id].append(line)
    claims: defaultdict[str, set[int]] = defaultdict(set)
    for move in e.transitions:
        if move["to"] == "running":
            claims[move["execution_id"]].add(move["fence"])
    attempts = _by(e.attempts, "execution_id")
    for execution in e.executions:
        own = execution["id"]
        problems = [
            *_budget(execution, attempts.get(own, []), starts[own]),
            *_effect(execution, starts[own], ends[own], claims[own]),
        ]
        yield from (f"execution {own} ({execution['handler']}): {problem}" for problem in problems)
    known = {execution["id"] for execution in e.executions}
    yield from (f"G9: {line.id} was started and is no execution" for line in e.lines if line.id not in known)
    if e.clocks_agree:
        yield from _one_at_a_time(e)


def _budget(x: Row, attempts: Sequence[Row], starts: Sequence[Line]) -> Iterable[str]:
    """G15: failures and losses each end; given back attempts count for nothing."""
    if x["failures"] > x["retry"]["max_retries"] + 1:
        yield f"I12: it failed {x['failures']} times, allowed are {x['retry']['max_retries'] + 1}"
    if x["losses"] > POISON_LIMIT:
        yield f"I12: it was lost {x['losses']} times"
    given_back = sum(a["outcome"] in ("released", "snoozed") for a in attempts)
    if len(starts) > x["losses"] + x["failures"] + given_back + 1:
        yield f"G5: {len(starts)} starts for {x['losses']} losses, {x['failures']} failures, {given_back} given back"
    if x["status"] not in ENDED:
        yield f"G3: it has not ended: {x['status']}, blocked by {x['blocked_by']}"


def _effect(x: Row, starts: Sequence[Line], ends: Sequence[Line], claims: set[int]) -> Iterable[str]:
    """G4, G5, G6: each start has a claim of its own, and what is recorded is what the last holder did."""
    for fence, times in Counter(line.fence for line in starts).items():
        if fence not in claims:
            yield f"G4: started under fence {fence}, which was never claimed"
        if times > 1:
            yield f"G4: started {times} times under fence {fence}"
    if len({line.key for line in starts}) > 1:
        yield "G6: its attempts were given different idempotency keys"
    if x["status"] == "success" and isinstance(x["result"], Mapping):
        holder = x["result"]["fence"]
        if holder != x["fence"]:
            yield f"G5: the result is that of fence {holder}, the holder's was {x['fence']}"
        if holder not in {line.fence for line in ends if line.what == "end"}:
            yield f"G3: recorded as a success of fence {holder}, which its handler did not finish"


def _one_at_a_time(e: Evidence) -> Iterable[str]:
    """G14: where one at a time may run, a second starts only after the first has ended or was fenced off."""
    left: dict[tuple[str, int], datetime] = {}
    for move in e.transitions:
        if move["source"] == "running":
            claimed = move["fence"] - (move["actor"] != "worker")
            left[move["execution_id"], claimed] = at(move["at"])
    starts = [line for line in e.lines if line.what == "start" and line.job and line.job.startswith("one-")]
    by_job: defaultdict[str | None, list[Line]] = defaultdict(list)
    for line in sorted(starts, key=lambda line: line.at):
        by_job[line.job].append(line)
    for job, lines in by_job.items():
        for before, after in pairwise(lines):
            gone = left.get((before.id, before.fence))
            if gone is None or gone.timestamp() > after.at + 0.005:
                yield f"G14: job {job}: {after.id} started at {after.at}, {before.id} ran until {gone}"


# -- customers ---------------------------------------------------------------------------------------------------------


def _customers(e: Evidence) -> Iterable[str]:
    """G7, G8: what was acknowledged is there, under the id that was told, and once."""
    by_key = _by([x for x in e.executions if x["cause"] == "enqueue"], "idempotency_key")
    for key, told in e.keys.items():
        ids = [x["id"] for x in by_key.get(key, [])]
        if ids != [told]:
            yield f"G7, G8: key {key} was acknowledged as {told}, there is {ids}"
    yield from (
        f"G8: key {key} made {len(found)} executions" for key, found in by_key.items() if key and len(found) > 1
    )
