"""Plain successes are recorded together, and nobody can tell it from recording each by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.outcome import Failed, Outcome, Succeeded
from mainspring.moves.end import Ended, apply_steps, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.schedule.settle import settle
from tests.unit.moves.conftest import Bench

ERROR = {"type": "ValueError", "message": "no", "traceback": ""}


def one_by_one(tx: Any, ended: list[Ended], actor: Actor) -> set[str]:
    """What `settle_attempts` says it does, without a way of its own for anything."""
    return apply_steps(tx, [(e, settle(e, how, now=tx.now, draw=draw)) for e, how, draw in ended], actor)


def world() -> tuple[Bench, list[Execution]]:
    bench = Bench()
    asyncio.run(bench.store.open())
    bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h", {"n": n}, priority=n % 10) for n in range(5)]))
    return bench, bench.claim()


def record(bench: Bench, claimed: list[Execution]) -> tuple[Any, ...]:
    return (
        [bench.get(e.id) for e in claimed],
        bench.do(lambda tx: tx.outbox.unpublished(100)),
        bench.do(lambda tx: tx.executions.transitions()),
        bench.do(lambda tx: tx.executions.attempts_of([e.id for e in claimed])),
    )


OUTCOMES: list[tuple[Outcome, ...]] = [
    tuple(Succeeded(n) for n in range(5)),
    (Succeeded(), Succeeded({"n": 1}), Succeeded([]), Succeeded("x"), Succeeded(True)),
    (Succeeded(1), Succeeded(1), Succeeded(1, usage={"tokens": 7}), Succeeded(1), Failed(ERROR)),
    (Failed(ERROR),) * 5,
]


@pytest.mark.parametrize("outcomes", OUTCOMES)
def test_what_is_recorded_together_is_recorded_as_one_by_one(outcomes: tuple[Outcome, ...]) -> None:
    found = []
    for way in (settle_attempts, one_by_one):
        bench, claimed = world()
        ended = [Ended(e, how, 0.5) for e, how in zip(claimed, outcomes, strict=True)]
        assert bench.do(lambda tx: way(tx, ended, Actor.WORKER)) == {e.id for e in claimed}  # noqa: B023 - run at once
        executions, events, transitions, attempts = record(bench, claimed)
        # Which of an id's neighbours comes first is no part of what is promised across executions.
        told = sorted(((e.subject, e.type, e.at, e.data, e.extensions) for e in events), key=str)
        found.append((executions, told, sorted(transitions, key=str), attempts))
    assert found[0] == found[1]


def test_a_stale_fence_keeps_its_success_out_of_all_of_the_record() -> None:
    bench, claimed = world()
    stale = claimed[2].changed(fence=claimed[2].fence - 1)
    ended = [Ended(stale if e is claimed[2] else e, Succeeded(1)) for e in claimed]
    accepted = bench.do(lambda tx: settle_attempts(tx, ended, Actor.WORKER))
    assert accepted == {e.id for e in claimed} - {stale.id}
    assert bench.get(stale.id) == claimed[2]
    assert stale.id not in {event.subject for event in bench.do(lambda tx: tx.outbox.unpublished(100))}


def test_of_two_reports_of_one_execution_the_one_with_the_fence_counts() -> None:
    bench, claimed = world()
    mine, stale = claimed[0], claimed[0].changed(fence=claimed[0].fence - 1)
    ended = [Ended(stale, Succeeded("late")), Ended(mine, Succeeded("mine"))]
    assert bench.do(lambda tx: settle_attempts(tx, ended, Actor.WORKER)) == {mine.id}
    assert (bench.get(mine.id).status, bench.get(mine.id).result) == (Status.SUCCESS, "mine")
