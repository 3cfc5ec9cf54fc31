"""The judge itself: it finds nothing wrong with a sound record, and each planted wrong by its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.faults.checker import Evidence, judge
from tests.faults.ledger import Line
from tests.faults.oracle import EPOCH, Spec

pytestmark = pytest.mark.short

SPEC = Spec("one-a", 1, fields={"overlap": "skip", "misfire": "skip"})
SECOND = timedelta(seconds=1)


def told(at: datetime) -> str:
    return at.isoformat()


def moves(number: int, due: datetime, *steps: tuple[str | None, str, str, int]) -> list[dict[str, Any]]:
    rows = []
    for place, (source, to, actor, fence) in enumerate(steps):
        at = told(due + timedelta(milliseconds=10 * place))
        row = {"execution_id": f"x{number}", "source": source, "to": to, "actor": actor, "fence": fence, "at": at}
        rows.append(row | {"recorded": True})
    return rows


def sound() -> Evidence:
    """Three instants: two that ran, the second at its second attempt, and one skipped; one enqueue beside."""
    dues = [EPOCH + n * SECOND for n in (1, 2, 3)]
    decisions = [
        {
            "job_id": "j",
            "scheduled_at": told(due),
            "until_at": None,
            "count": 1,
            "decision": "skipped_overlap" if n == 2 else "dispatched",
            "decided_at": told(due + timedelta(milliseconds=5)),
            "late_ms": 5,
            "into_at": None,
            "execution_id": None if n == 2 else f"x{n}",
        }
        for n, due in enumerate(dues)
    ]
    plain = [(None, "queued", "dispatcher", 0), ("queued", "running", "worker", 1), ("running", "success", "worker", 1)]
    retried = [
        *plain[:2],
        ("running", "retrying", "reaper", 2),
        ("retrying", "queued", "dispatcher", 2),
        ("queued", "running", "worker", 3),
        ("running", "success", "worker", 3),
    ]
    asked = [(None, "queued", "api", 0), *plain[1:]]
    executions = [an_execution(0, dues[0], 1), an_execution(1, dues[1], 3, losses=1), an_execution(2, None, 1)]
    lines = [
        a_line("start", 0, dues[0], 1, 15), a_line("end", 0, dues[0], 1, 18),
        a_line("start", 1, dues[1], 1, 15), a_line("start", 1, dues[1], 3, 45), a_line("end", 1, dues[1], 3, 48),
        a_line("start", 2, None, 1, 15), a_line("end", 2, None, 1, 18),
    ]  # fmt: skip
    return Evidence(
        specs=[SPEC],
        jobs={"one-a": {"id": "j", "created_at": told(EPOCH), "cursor_at": told(EPOCH + 3 * SECOND)}},
        decisions=decisions,
        executions=executions,
        attempts=[],
        transitions=[*moves(0, dues[0], *plain), *moves(1, dues[1], *retried), *moves(2, EPOCH, *asked)],
        lines=lines,
        keys={"key-2": "x2"},
    )


def an_execution(number: int, due: datetime | None, fence: int, losses: int = 0) -> dict[str, Any]:
    return {
        "id": f"x{number}",
        "job_id": "j" if due else None,
        "cause": "schedule" if due else "enqueue",
        "idempotency_key": None if due else f"key-{number}",
        "scheduled_at": told(due) if due else None,
        "handler": "work",
        "status": "success",
        "fence": fence,
        "failures": 0,
        "losses": losses,
        "retry": {"max_retries": 2},
        "blocked_by": None,
        "result": {"fence": fence},
    }


def a_line(what: str, number: int, due: datetime | None, fence: int, after_ms: int) -> Line:
    at = (due or EPOCH) + timedelta(milliseconds=after_ms)
    key = f"x{number}" if due else f"key-{number}"
    return Line(what, f"x{number}", 1, fence, key, "one-a" if due else None, due, at.timestamp(), 0.0, 1, 0)


def test_a_sound_record_is_found_sound() -> None:
    assert judge(sound()) == []


def _no_decision(e: Any) -> None:
    del e.decisions[2]


def _decided_twice(e: Any) -> None:
    e.decisions.append({**e.decisions[2]})


def _decided_what_is_not_due(e: Any) -> None:
    e.decisions[2]["scheduled_at"] = told(EPOCH + 2.5 * SECOND)


def _decided_before_due(e: Any) -> None:
    e.decisions[0]["decided_at"], e.decisions[0]["late_ms"] = told(EPOCH), -1000


def _ran_a_misfire(e: Any) -> None:
    e.decisions[0]["decided_at"], e.decisions[0]["late_ms"] = told(EPOCH + 100 * SECOND), 99_000


def _no_execution(e: Any) -> None:
    e.executions[0]["cause"] = "manual"


def _coalesced_into_nothing(e: Any) -> None:
    e.decisions[2]["decision"] = "coalesced"


def _gap(e: Any) -> None:
    del e.transitions[1]


def _illegal(e: Any) -> None:
    e.transitions[2]["actor"] = "api"


def _fence_falls(e: Any) -> None:
    e.transitions[-1]["fence"] = 0


def _two_ends(e: Any) -> None:
    e.transitions.append({**e.transitions[-1], "source": "success", "to": "failed"})


def _a_late_worker_ends_it(e: Any) -> None:
    e.transitions[8]["fence"] = 5


def _row_disagrees(e: Any) -> None:
    e.executions[0]["status"] = "failed"


def _result_of_another(e: Any) -> None:
    e.executions[1]["result"] = {"fence": 1}


def _never_finished(e: Any) -> None:
    e.lines = [line for line in e.lines if line.what == "start"]


def _started_twice(e: Any) -> None:
    e.lines.append(e.lines[0])


def _started_unclaimed(e: Any) -> None:
    e.lines[0] = a_line("start", 0, EPOCH + SECOND, 7, 15)


def _too_many_starts(e: Any) -> None:
    e.executions[1]["losses"] = 0


def _other_key(e: Any) -> None:
    e.lines[3] = replace(e.lines[3], key="another")


def _unknown_start(e: Any) -> None:
    e.lines.append(a_line("start", 9, EPOCH, 1, 15))


def _overlap(e: Any) -> None:
    e.transitions[2]["at"] = told(EPOCH + 9 * SECOND)


def _acknowledged_and_gone(e: Any) -> None:
    e.keys["key-9"] = "x9"


def _one_key_twice(e: Any) -> None:
    e.executions.append({**e.executions[2], "id": "x9"})


def _not_ended(e: Any) -> None:
    e.executions[0]["status"] = "queued"


def _too_many_failures(e: Any) -> None:
    e.executions[0]["failures"] = 4


@pytest.mark.parametrize(
    ("plant", "number"),
    [
        (_no_decision, "G1"),
        (_decided_twice, "I1"),
        (_decided_what_is_not_due, "G1"),
        (_decided_before_due, "G19"),
        (_ran_a_misfire, "G13"),
        (_no_execution, "I4"),
        (_coalesced_into_nothing, "I5"),
        (_gap, "I15"),
        (_illegal, "I15"),
        (_fence_falls, "I19"),
        (_two_ends, "I17"),
        (_a_late_worker_ends_it, "I18"),
        (_row_disagrees, "I16"),
        (_result_of_another, "G5"),
        (_never_finished, "G3"),
        (_started_twice, "G4"),
        (_started_unclaimed, "G4"),
        (_too_many_starts, "G5"),
        (_other_key, "G6"),
        (_unknown_start, "G9"),
        (_overlap, "G14"),
        (_acknowledged_and_gone, "G7"),
        (_one_key_twice, "G8"),
        (_not_ended, "G3"),
        (_too_many_failures, "I12"),
    ],
)
def test_each_wrong_is_found_by_its_number(plant: Callable[[Any], None], number: str) -> None:
    evidence = sound()
    evidence.keys, evidence.lines = dict(evidence.keys), list(evidence.lines)
    plant(evidence)
    found = judge(evidence)
    assert any(f"{number}:" in problem or f"{number}," in problem for problem in found), found
