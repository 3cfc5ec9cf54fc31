"""What a store promises of an enqueue in one round trip: it is what an enqueue is, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from mainspring.model.dispatch import Dispatch
from mainspring.model.execution import Actor, Execution, Status, Transition
from mainspring.model.node import Limit
from mainspring.moves.enqueue import EnqueueRequest, enqueue, enqueue_at_once
from mainspring.ports.store import ExecutionQuery, Store
from tests.contracts.store_rows import HOUR, PLATFORM, SECOND, fetch
from tests.waiting import auntil

_BY_THE_STORE = ("id", "idempotency_key", "created_at", "available_at", "queued_at")


def request(**values: Any) -> EnqueueRequest:
    return EnqueueRequest("kb:tidy", **{"platform_id": PLATFORM, **values})


async def at_once(store: Store, *requests: EnqueueRequest) -> list[Execution]:
    return await store.write(lambda tx: enqueue_at_once(tx, requests))


async def transitions(store: Store, execution: Execution) -> list[Transition]:
    return await store.read(lambda tx: tx.executions.transitions(execution.id))


async def both(store: Store, *requests: EnqueueRequest) -> tuple[list[Execution], list[Execution]]:
    """Enqueue in the ordinary way, and at once where that can be; return both."""
    ordinary = await store.write(lambda tx: enqueue(tx, requests))
    return ordinary, await store.write(lambda tx: enqueue_at_once(tx, requests) or enqueue(tx, requests))


async def told_of(announcer: Any, executions: Sequence[Execution]) -> list[Dispatch]:
    """Return what was announced of these, once all are: who waits for a commit goes on before others are told."""
    ids = {one.id for one in executions}

    def told() -> list[Dispatch]:
        return [dispatch for dispatch in announcer.heard if dispatch.execution_id in ids]

    await auntil("all of them are announced", lambda: len(told()) >= len(ids))
    return told()


class QueueingContract:
    """`Tx.queue_at_once`."""

    async def test_what_is_enqueued_at_once_is_what_is_enqueued(self, store: Store, announcer: Any) -> None:
        of_all = {"trace_id": "a" * 32, "span_id": "b" * 16, "timeout": HOUR, "isolation": "thread"}
        requests = [request(payload={"n": n, "text": "\u00e4"}, priority=n, **of_all) for n in (1, 9, 5)]
        for several in (requests[:1], requests):
            ordinary, at_once = await both(store, *several)
            for one, same in zip(at_once, ordinary, strict=True):
                assert one.changed(**{name: getattr(same, name) for name in _BY_THE_STORE}) == same
                assert await fetch(store, one) == one
                assert one.id == one.idempotency_key
                assert one.created_at == one.available_at == one.queued_at == at_once[0].created_at
                recorded = await transitions(store, one)
                assert recorded == [Transition(one.id, None, Status.QUEUED, Actor.API, 0, one.created_at)]
            by_priority = sorted(at_once, key=lambda one: -one.priority)
            heard = await told_of(announcer, at_once)
            assert [dispatch.execution_id for dispatch in heard] == [one.id for one in by_priority]
            assert heard[0] == Dispatch(
                heard[0].execution_id, PLATFORM, "default", by_priority[0].priority, heard[0].trace
            )

    async def test_ids_ascend_whichever_way_they_are_made(self, store: Store) -> None:
        made: list[str] = []
        for _ in range(8):
            ordinary, at_once = await both(store, request(), request())
            made += [one.id for one in [*ordinary, *at_once]]
        assert made == sorted(set(made))

    async def test_nothing_is_enqueued_at_once_where_the_platform_has_a_limit(
        self, store: Store, announcer: Any
    ) -> None:
        limit = Limit(PLATFORM, "queue", "default", max_running=1)
        await store.write(lambda tx: tx.platforms.put_limit(limit))
        assert await at_once(store, request()) == []
        assert await store.read(lambda tx: tx.executions.find(ExecutionQuery(platform_id=PLATFORM))) == []
        assert announcer.heard == []
        _, (second,) = await both(store, request())
        assert (second.status, second.blocked_by) == (Status.PENDING, "queue:default")
        assert await fetch(store, second) == second

    async def test_the_limits_of_other_platforms_are_none_of_its_business(self, store: Store) -> None:
        await store.write(lambda tx: tx.platforms.put_limit(Limit("other", "platform", "", max_running=0)))
        _, (made,) = await both(store, request())
        assert made.status is Status.QUEUED

    @pytest.mark.parametrize(
        "values",
        [{"idempotency_key": "k"}, {"concurrency_key": "k"}, {"run_at": True}, {"start_deadline": SECOND}],
        ids=lambda values: next(iter(values)),
    )
    async def test_what_has_to_be_looked_up_or_waited_for_is_not_enqueued_at_once(
        self, store: Store, now: datetime, values: dict[str, Any]
    ) -> None:
        values = {name: now + HOUR if value is True else value for name, value in values.items()}
        for several in ([request(**values)], [request(), request(**values)]):
            assert await at_once(store, *several) == []
        assert await store.read(lambda tx: tx.executions.find(ExecutionQuery(platform_id=PLATFORM))) == []

    async def test_of_two_platforms_and_of_nothing_none_is_enqueued_at_once(self, store: Store) -> None:
        for several in ([request(), request(platform_id="other")], []):
            assert await at_once(store, *several) == []
