"""A derived history is the recorded one, as far as what is kept can tell."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial

import pytest

from mainspring.model.execution import Actor, Attempt, Status, Transition
from mainspring.model.outcome import Failed, Outcome, Released, Snoozed, Succeeded
from mainspring.model.policy import RetryPolicy
from mainspring.moves.cancel import cancel
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import Tx
from mainspring.schedule.history import derive_history
from tests.unit.moves.conftest import LEASE, Bench

ERROR = {"type": "ValueError", "message": "no", "traceback": ""}
RETRY = RetryPolicy(max_retries=2, retry_delay=timedelta(seconds=3))


def an_outcome(chance: random.Random) -> Outcome:
    outcomes: list[Outcome] = [Succeeded(1), Failed(ERROR), Snoozed(timedelta(seconds=5)), Released()]
    return chance.choice([*outcomes, Failed(ERROR, False)])


def recorded_of(tx: Tx, execution_id: str) -> list[Transition]:
    return tx.executions.transitions(execution_id)


def attempts_of(tx: Tx, execution_id: str) -> list[Attempt]:
    return tx.executions.attempts(execution_id)


async def walk(chance: random.Random) -> Bench:
    """Lead some executions through moves drawn by chance, one second apart."""
    bench = Bench()
    await bench.store.open()
    for _ in range(4):
        run_at = bench.clock.now() + timedelta(seconds=chance.choice([0, 20]))
        request = EnqueueRequest("h", run_at=run_at, retry=RETRY)
        bench.do(partial(enqueue, requests=[request]))
    for _ in range(chance.randint(1, 30)):
        bench.clock.advance(timedelta(seconds=1))
        running = bench.executions(Status.RUNNING)
        step = chance.choice(["promote", "claim", "settle", "settle", "lose", "cancel"])
        if step == "promote":
            bench.promote()
        elif step == "claim":
            bench.claim(limit=2)
        elif step == "settle" and running:
            bench.settle(chance.choice(running), an_outcome(chance))
        elif step == "lose":
            bench.clock.advance(LEASE)
            bench.reap()
        elif step == "cancel" and chance.random() < 0.2:
            found = [e for e in bench.executions() if not e.status.terminal and e.status is not Status.RUNNING]
            if found:
                bench.do(partial(cancel, execution_id=chance.choice(found).id, reason="enough"))
    return bench


@pytest.mark.parametrize("number", range(150))
async def test_a_derived_history_has_the_moves_that_were_made_with_their_makers_and_fences(seed, number):
    bench = await walk(random.Random(f"{seed} {number}"))
    for execution in bench.executions():
        recorded = bench.do(partial(recorded_of, execution_id=execution.id))
        attempts = bench.do(partial(attempts_of, execution_id=execution.id))
        derived = derive_history(execution, attempts)

        def told(moves):
            return [(m.source, m.to, m.actor, m.fence) for m in moves]

        assert told(derived)[1:] == told(recorded)[1:] or _unknowable(told(derived), told(recorded))
        assert [m.at for m in derived] == sorted(m.at for m in derived)
        for mine, theirs in zip(derived[::-1], recorded[::-1], strict=False):
            if mine.to is Status.RUNNING or mine.to.terminal:
                assert mine.at == theirs.at


def _unknowable(derived, recorded) -> bool:
    """Only the row's last queueing is dated: before an ended attempt, nothing tells a birth in `pending`."""
    born_pending = recorded[0][1] is Status.PENDING and recorded[1][1] is Status.QUEUED
    return born_pending and derived[0][:3] == (None, Status.QUEUED, Actor.API) and derived[1:] == recorded[2:]
