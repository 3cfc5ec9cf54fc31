"""The table of legal moves, walked on the store: each is made where its condition holds, and nothing else ever is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from mainspring.model.execution import MOVES, Actor, Cause, Execution, Move, Moves, Status, Transition
from mainspring.model.policy import RetryPolicy
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import HOUR, MINUTE, add, an_execution, fetch, move, new_id

LEGAL = [(source, to, actor) for (source, to), actors in MOVES.items() if source for actor in sorted(actors)]
ILLEGAL = [
    (source, to, actor) for source in Status for to in Status for actor in Actor if (source, to, actor) not in LEGAL
]


class MoveContract:
    """`ExecutionTable.move`."""

    @pytest.mark.parametrize(("source", "to", "actor"), LEGAL)
    async def test_every_legal_move_is_made_and_recorded(
        self, store: Store, now: datetime, source: Status, to: Status, actor: Actor
    ) -> None:
        execution = an_execution(now, source, fence=3)
        await add(store, execution)
        legal = Move(execution.id, source, to, actor, fence=3, set={"fence": 4, "cancel_reason": "so"})
        moved, at = await store.write(lambda tx: (tx.executions.move([legal]), tx.now))
        assert moved == {execution.id}
        assert await fetch(store, execution) == replace(execution, status=to, fence=4, cancel_reason="so")
        recorded = await store.read(lambda tx: tx.executions.transitions(execution.id))
        assert recorded[-1] == Transition(execution.id, source, to, actor, 4, at)
        assert len(recorded) == 2

    def test_every_other_move_cannot_even_be_named(self) -> None:
        assert len(LEGAL) + len(ILLEGAL) == len(Status) ** 2 * len(Actor)
        for source, to, actor in ILLEGAL:
            with pytest.raises(ValueError, match=f"{actor} may not move"):
                Move("x", source, to, actor)
            with pytest.raises(ValueError, match=f"{actor} may not move"):
                Moves(source, to, actor, ["x"], [1])

    @pytest.mark.parametrize("status", Status)
    async def test_a_move_is_refused_where_the_execution_stands_elsewhere(
        self, store: Store, now: datetime, status: Status
    ) -> None:
        execution = an_execution(now, status)
        await add(store, execution)
        moves = [Move(execution.id, source, to, actor) for source, to, actor in LEGAL if source is not status]
        assert [await move(store, m) for m in moves] == [set()] * len(moves)
        assert await fetch(store, execution) == execution
        assert len(await store.read(lambda tx: tx.executions.transitions())) == 1

    @pytest.mark.parametrize("status", [status for status in Status if status.terminal])
    async def test_nothing_leads_out_of_a_terminal_state(self, status: Status) -> None:
        assert not [move for move in LEGAL if move[0] is status]

    async def test_a_move_is_refused_under_a_fence_that_is_not_the_current_one(
        self, store: Store, now: datetime
    ) -> None:
        execution = an_execution(now, Status.RUNNING, fence=3)
        await add(store, execution)
        for fence in (0, 2, 4):
            stale = Move(execution.id, Status.RUNNING, Status.SUCCESS, Actor.WORKER, fence=fence, set={"result": fence})
            assert await move(store, stale) == set()
        assert await fetch(store, execution) == execution

    async def test_a_fence_of_nought_is_a_fence(self, store: Store, now: datetime) -> None:
        fresh, claimed = an_execution(now, Status.QUEUED), an_execution(now, Status.QUEUED, fence=1)
        await add(store, fresh, claimed)
        moves = [Move(e.id, Status.QUEUED, Status.RUNNING, Actor.WORKER, fence=0) for e in (fresh, claimed)]
        assert await move(store, *moves) == {fresh.id}

    async def test_a_move_without_a_fence_asks_only_for_the_state(self, store: Store, now: datetime) -> None:
        execution = an_execution(now, Status.RUNNING, fence=3)
        await add(store, execution)
        assert await move(store, Move(execution.id, Status.RUNNING, Status.CANCELLED, Actor.API)) == {execution.id}

    async def test_a_batch_makes_the_moves_that_hold_and_no_other(self, store: Store, now: datetime) -> None:
        rows = [an_execution(now, Status.RUNNING, fence=n) for n in range(4)]
        await add(store, *rows)
        moves = [
            Move(rows[0].id, Status.RUNNING, Status.SUCCESS, Actor.WORKER, fence=0, set={"result": [1]}),
            Move(rows[1].id, Status.QUEUED, Status.RUNNING, Actor.WORKER, fence=1),
            Move(rows[2].id, Status.RUNNING, Status.FAILED, Actor.REAPER, fence=1, set={"losses": 3}),
            Move(rows[3].id, Status.RUNNING, Status.PENDING, Actor.WORKER, fence=3, set={"available_at": now + HOUR}),
            Move(new_id(now), Status.RUNNING, Status.SUCCESS, Actor.WORKER),
        ]
        assert await move(store, *moves) == {rows[0].id, rows[3].id}
        assert [await fetch(store, row) for row in rows] == [
            replace(rows[0], status=Status.SUCCESS, result=[1]),
            rows[1],
            rows[2],
            replace(rows[3], status=Status.PENDING, available_at=now + HOUR),
        ]

    @pytest.mark.parametrize("results", [(1, {"n": [2]}, "x\u0000"), (None, None, None), (1, True, 1.0)])
    async def test_moves_that_are_alike_are_made_as_one_by_one(
        self, store: Store, now: datetime, results: tuple[Any, ...]
    ) -> None:
        """Those whose fence or status is another are left alone; so does each of both, to the letter."""
        wide = [an_execution(now, Status.RUNNING, fence=n) for n in range(3)]
        single = [an_execution(now, Status.RUNNING, fence=n) for n in range(3)]
        stale, ended = an_execution(now, Status.RUNNING, fence=9), an_execution(now, Status.SUCCESS, fence=3)
        await add(store, *wide, *single, stale, ended)

        def alike(executions: list[Execution], *others: str) -> Moves:
            ids, fences = [*[e.id for e in executions], *others], [*[e.fence for e in executions], *[3 for _ in others]]
            own = {"result": [*results, *[0 for _ in others]]}
            shared = {"finished_at": now, "worker_id": None}
            return Moves(Status.RUNNING, Status.SUCCESS, Actor.WORKER, ids, fences, shared, own)

        both = alike(wide, stale.id, ended.id, new_id(now))
        assert await store.write(lambda tx: tx.executions.move_alike(both)) == {e.id for e in wide}
        assert await move(store, *alike(single).each()) == {e.id for e in single}
        recorded = await store.read(lambda tx: tx.executions.transitions())
        made = {e.id: [t for t in recorded if t.execution_id == e.id] for e in [*wide, *single]}
        for one, other in zip(wide, single, strict=True):
            assert await fetch(store, one) == replace(await fetch(store, other), id=one.id)
            assert [(t.source, t.to, t.actor, t.fence) for t in made[one.id]] == [
                (t.source, t.to, t.actor, t.fence) for t in made[other.id]
            ]
        assert [await fetch(store, e) for e in (stale, ended)] == [stale, ended]

    async def test_no_moves_that_are_alike_are_none(self, store: Store) -> None:
        none = Moves(Status.RUNNING, Status.SUCCESS, Actor.WORKER, [], [], {}, {"result": []})
        assert await store.write(lambda tx: tx.executions.move_alike(none)) == set()

    async def test_a_move_sets_fields_of_every_kind_and_sets_them_back_to_none(
        self, store: Store, now: datetime
    ) -> None:
        execution = an_execution(now, Status.RUNNING, progress={"done": 1}, deadline_at=now)
        await add(store, execution)
        values: dict[str, Any] = {
            "worker_id": None,
            "lease_until": None,
            "deadline_at": None,
            "progress": None,
            "available_at": now + MINUTE,
            "failures": 2,
            "buffered": True,
            "error": {"type": "E", "message": "no", "traceback": ""},
            "timeout": 7 * MINUTE,
            "retry": RetryPolicy(max_retries=9),
        }
        await move(store, Move(execution.id, Status.RUNNING, Status.RETRYING, Actor.WORKER, set=values))
        assert await fetch(store, execution) == replace(execution, status=Status.RETRYING, **values)

    async def test_of_two_claims_of_the_same_execution_one_is_made(self, store: Store, now: datetime) -> None:
        execution = an_execution(now, Status.QUEUED)
        await add(store, execution)
        claims = [
            Move(
                execution.id,
                Status.QUEUED,
                Status.RUNNING,
                Actor.WORKER,
                fence=0,
                set={"fence": 1, "worker_id": worker},
            )
            for worker in ("w-1", "w-2")
        ]
        made = [await move(store, claim) for claim in claims]
        assert made == [{execution.id}, set()]
        assert (await fetch(store, execution)).worker_id == "w-1"

    @pytest.mark.parametrize("cause", Cause)
    async def test_making_an_execution_is_recorded_with_who_makes_that_kind(
        self, store: Store, now: datetime, cause: Cause
    ) -> None:
        by_dispatcher = cause in (Cause.SCHEDULE, Cause.EVENT, Cause.BACKFILL, Cause.CHAIN)
        actor = Actor.DISPATCHER if by_dispatcher else Actor.API
        execution = an_execution(now, Status.QUEUED, cause=cause)

        def work(tx: Tx) -> datetime:
            tx.executions.add([execution])
            return tx.now

        at = await store.write(work)
        made = Transition(execution.id, None, Status.QUEUED, actor, 0, at)
        assert await store.read(lambda tx: tx.executions.transitions(execution.id)) == [made]

    async def test_transitions_are_kept_in_order_of_all_and_of_one(self, store: Store, now: datetime) -> None:
        one, two = an_execution(now), an_execution(now)
        await add(store, one, two)
        for execution in (two, one):
            await move(store, Move(execution.id, Status.PENDING, Status.QUEUED, Actor.DISPATCHER))
        recorded = await store.read(lambda tx: tx.executions.transitions())
        assert [(t.execution_id, t.source, t.to) for t in recorded] == [
            (one.id, None, Status.PENDING),
            (two.id, None, Status.PENDING),
            (two.id, Status.PENDING, Status.QUEUED),
            (one.id, Status.PENDING, Status.QUEUED),
        ]
        assert await store.read(lambda tx: tx.executions.transitions(two.id)) == recorded[1:3]
        both = [two.id, one.id, new_id(now)]
        found = await store.read(lambda tx: tx.executions.transitions_of(both))
        assert found == sorted(recorded, key=lambda t: t.execution_id)
        assert await store.read(lambda tx: tx.executions.transitions_of([])) == []
