"""Findings about what else goes on in the database: transactions left open, and dead rows that cannot be removed.

Rows our hot tables have done with stay for as long as any transaction may still see them. So a session somebody forgot
makes every claim slower, hour by hour, and shows nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mainspring.control.doctor import LISTED, Finding, Grade
from mainspring.control.explanation import span
from mainspring.ports.activity import Activity, OpenTransaction


@dataclass(frozen=True, slots=True)
class ActivityBounds:
    """From where on it is a warning.

    None of our transactions gets near ``open``: the server ends our statements after 30 s, and after 10 s one of ours
    in which nothing is said. ``held`` counts transactions begun while dead rows could not be removed; ``dead`` how many
    times the rows that vacuuming waits for, ``kept`` the same while an old transaction keeps them; fewer than ``least``
    rows never matter.
    """

    open: timedelta = timedelta(minutes=1)
    idle: timedelta = timedelta(seconds=30)
    held: int = 1_000_000
    dead: int = 10
    kept: int = 1
    least: int = 1_000

    @classmethod
    def older_than(cls, bound: timedelta) -> ActivityBounds:
        """Return bounds that warn of transactions open for so long, and of those silent for half as long.

        >>> ActivityBounds.older_than(timedelta(minutes=1)) == ActivityBounds()
        True
        """
        return cls(open=bound, idle=bound / 2)


#: From where on it is a warning, where nobody says otherwise.
USUAL = ActivityBounds()


def judge_activity(found: Activity, bounds: ActivityBounds = USUAL) -> list[Finding]:
    """Return the findings, one on transactions and one on dead rows.

    >>> [finding.grade.value for finding in judge_activity(Activity())]
    ['ok', 'ok']
    """
    return [_transactions(found, bounds), _dead_rows(found, bounds)]


def _transactions(found: Activity, bounds: ActivityBounds) -> Finding:
    old = _old(found, bounds)
    evidence = {
        "older_than_s": bounds.open.total_seconds(),
        "idle_for_s": bounds.idle.total_seconds(),
        "transactions": [_evidence(one) for one in old[:LISTED]],
        "hidden": found.hidden,
    }
    if old:
        told = "; ".join(_told(one) for one in old[:LISTED])
        detail = f"open for long: {told}. What it may still see cannot be removed from our tables"
        fix = tuple(f"SELECT pg_terminate_backend({one.pid})" for one in old[:LISTED])
        return Finding("transactions", Grade.WARNING, detail, evidence, fix)
    if found.hidden:
        detail = f"{found.hidden} sessions of other users do not show what they do"
        fix = ("GRANT pg_monitor TO the user of Mainspring, to have their transactions looked at",)
        return Finding("transactions", Grade.NOTE, detail, evidence, fix)
    return Finding("transactions", Grade.OK, f"none is open for more than {span(bounds.open)}", evidence)


def _old(found: Activity, bounds: ActivityBounds) -> list[OpenTransaction]:
    return [t for t in found.transactions if t.age >= bounds.open or (t.idle is not None and t.idle >= bounds.idle)]


def _told(one: OpenTransaction) -> str:
    who = one.application or one.user or "somebody"
    idle = "" if one.idle is None else f", idle for {span(one.idle)}"
    return f"process {one.pid} of {who} since {span(one.age)}{idle}"


def _evidence(one: OpenTransaction) -> dict[str, object]:
    return {
        "pid": one.pid,
        "user": one.user,
        "application": one.application,
        "age_s": round(one.age.total_seconds(), 3),
        "idle_s": None if one.idle is None else round(one.idle.total_seconds(), 3),
    }


def _dead_rows(found: Activity, bounds: ActivityBounds) -> Finding:
    held = [one for one in found.holders if one.transactions >= bounds.held]
    times = bounds.kept if _old(found, bounds) else bounds.dead
    dead = [one for one in found.dead if one.dead >= max(times * one.due_at, bounds.least)]
    evidence = {
        "holders": [{"kind": h.kind, "name": h.name, "transactions": h.transactions} for h in found.holders[:LISTED]],
        "tables": {one.table: {"dead": one.dead, "due_at": one.due_at} for one in found.dead[:LISTED]},
        "autovacuum": found.vacuums,
    }
    reasons = [] if found.vacuums else ["autovacuum is off, so dead rows stay for ever"]
    reasons += [f"the {one.kind} {one.name} holds back {one.transactions} transactions" for one in held[:LISTED]]
    reasons += [f"{one.table} has {one.dead} dead rows, {_vacuumed(one.vacuumed)}" for one in dead[:LISTED]]
    if not reasons:
        return Finding("dead_rows", Grade.OK, "they are removed in time", evidence)
    fix = _fixes(found, held=bool(held), dead=[one.table for one in dead])
    return Finding("dead_rows", Grade.WARNING, "; ".join(reasons), evidence, fix)


def _vacuumed(ago: timedelta | None) -> str:
    return "never vacuumed" if ago is None else f"vacuumed {span(ago)} ago"


def _fixes(found: Activity, *, held: bool, dead: Sequence[str]) -> tuple[str, ...]:
    fixes = [] if found.vacuums else ["set autovacuum = on and track_counts = on"]
    if held or (dead and found.holders):
        fixes.append("end what holds rows back, then they are removed by themselves")
    fixes += [f"VACUUM {table}" for table in dead[:LISTED] if not held]
    return tuple(fixes)
