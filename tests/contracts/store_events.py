"""What a store promises of events: out in order until published, in once for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mainspring.errors import ConflictError
from mainspring.model.chain import Chained
from mainspring.model.events import Event, PendingEvent
from mainspring.ports.store import Store
from tests.contracts.store_rows import HOUR, MINUTE, PLATFORM, SECOND, an_event, new_id


class EventContract:
    """`OutboxTable` and `InboxTable`."""

    # -- outbox ----------------------------------------------------------------------------------------------------

    async def test_an_event_comes_back_whole_and_unshared(self, store: Store, now: datetime) -> None:
        data = {"deep": {"n": [1]}, "text": "ü"}
        more = {"sequence": "00000001", "chaindepth": 2}
        event = Event(new_id(now), "order.paid", PLATFORM, now, "shop", "order-1", data, more)
        await store.write(lambda tx: tx.outbox.add([event]))
        data["deep"]["n"].append(2)  # type: ignore[index]
        (found,) = await store.write(lambda tx: tx.outbox.unpublished(10))
        whole = Event(event.id, "order.paid", PLATFORM, now, "shop", "order-1", {"deep": {"n": [1]}, "text": "ü"}, more)
        assert found == whole

    async def test_events_that_say_much_the_same_come_back_whole(self, store: Store, now: datetime) -> None:
        alike = {"handler": "kb:tidy", "attempt": 1, "deep": {"n": [1, None]}, "text": "ü'\\\""}
        data: list[dict[str, Any]] = [{"execution_id": new_id(now), "delay_ms": n, **alike} for n in range(4)]
        given = [replace(an_event(now), data=one) for one in data]
        await store.write(lambda tx: tx.outbox.add(given))
        found = await store.write(lambda tx: tx.outbox.unpublished(10))
        assert found == given
        assert [list(event.data) for event in found] == [list(event.data) for event in given]

    async def test_unpublished_events_come_in_the_order_they_were_added(self, store: Store, now: datetime) -> None:
        events = [an_event(now) for _ in range(4)]
        given = [events[2], events[0], events[3], events[1]]
        await store.write(lambda tx: tx.outbox.add(given[:2]))
        await store.write(lambda tx: tx.outbox.add(given[2:]))
        assert await store.write(lambda tx: tx.outbox.unpublished(10)) == given
        assert await store.write(lambda tx: tx.outbox.unpublished(3)) == given[:3]

    async def test_an_event_is_marked_published_once(self, store: Store, now: datetime) -> None:
        one, two, three = (an_event(now) for _ in range(3))
        await store.write(lambda tx: tx.outbox.add([one, two, three]))
        assert await store.write(lambda tx: tx.outbox.mark_published([two.id])) == {two.id}
        again = [one.id, two.id, new_id(now)]
        assert await store.write(lambda tx: tx.outbox.mark_published(again)) == {one.id}
        assert await store.write(lambda tx: tx.outbox.unpublished(10)) == [three]

    async def test_an_event_is_applied_once_and_by_then_not_when_it_is_published(
        self, store: Store, now: datetime
    ) -> None:
        one, two, three = (an_event(now) for _ in range(3))
        await store.write(lambda tx: tx.outbox.add([one, two, three]))
        assert await store.write(lambda tx: tx.outbox.mark_applied([two.id, new_id(now)])) == {two.id}
        assert await store.write(lambda tx: tx.outbox.mark_applied([two.id])) == set()
        assert await store.read(lambda tx: tx.outbox.unapplied(10)) == [one, three]
        assert await store.read(lambda tx: tx.outbox.unapplied(1)) == [one]
        assert await store.read(lambda tx: tx.outbox.unpublished(10)) == [one, two, three]
        assert await store.write(lambda tx: tx.outbox.mark_published([one.id, two.id])) == {one.id}
        assert await store.write(lambda tx: tx.outbox.mark_applied([one.id, two.id])) == set()
        assert await store.read(lambda tx: tx.outbox.unapplied(10)) == [three]

    async def test_the_oldest_unpublished_event_tells_how_far_behind_the_relay_is(
        self, store: Store, now: datetime
    ) -> None:

        async def oldest() -> datetime | None:
            return await store.read(lambda tx: tx.outbox.oldest_unpublished_at())

        assert await oldest() is None
        events = [an_event(now - HOUR), an_event(now - MINUTE), an_event(now)]
        await store.write(lambda tx: tx.outbox.add(events))
        assert await oldest() == now - HOUR
        await store.write(lambda tx: tx.outbox.mark_published([events[0].id, events[2].id]))
        assert await oldest() == now - MINUTE

    async def test_only_published_events_are_deleted_and_at_most_the_limit(
        self, store: Store, by_row: None, now: datetime
    ) -> None:
        events = [an_event(now - HOUR) for _ in range(4)]
        await store.write(lambda tx: tx.outbox.add(events))
        await store.write(lambda tx: tx.outbox.mark_published([event.id for event in events[:3]]))
        assert await store.write(lambda tx: tx.outbox.delete_published(now - SECOND, 10)) == 0
        later = now + HOUR
        deleted = [await store.write(lambda tx: tx.outbox.delete_published(later, 2)) for _ in range(3)]
        assert deleted == [2, 1, 0]
        assert await store.write(lambda tx: tx.outbox.unpublished(10)) == [events[3]]

    async def test_events_are_deleted_by_when_they_were_published(
        self, store: Store, by_row: None, now: datetime, advance: Callable[[timedelta], datetime]
    ) -> None:
        first, second = an_event(now), an_event(now)
        await store.write(lambda tx: tx.outbox.add([first, second]))
        await store.write(lambda tx: tx.outbox.mark_published([second.id]))
        advance(HOUR)
        await store.write(lambda tx: tx.outbox.mark_published([first.id]))
        assert await store.write(lambda tx: tx.outbox.delete_published(now, 10)) == 0
        assert await store.write(lambda tx: tx.outbox.delete_published(now + HOUR, 10)) == 1
        assert await store.write(lambda tx: tx.outbox.delete_published(now + HOUR + SECOND, 10)) == 1

    # -- inbox -----------------------------------------------------------------------------------------------------

    async def test_an_event_is_accepted_once_per_platform_source_and_id(self, store: Store, now: datetime) -> None:
        event = an_event(now, id="e-1", source="shop", subject="order-1", data={"n": [1]}, extensions={"chaindepth": 1})

        async def accept(event: Event) -> bool:
            return await store.write(lambda tx: tx.inbox.accept(event))

        assert await accept(event)
        assert not await accept(an_event(now + HOUR, id="e-1", source="shop"))
        assert await accept(an_event(now, id="e-2", source="shop"))
        assert await accept(an_event(now, id="e-1", source="till"))
        assert await accept(an_event(now, id="e-1", source="shop", platform_id="other"))
        assert await store.read(lambda tx: tx.inbox.get(PLATFORM, "shop", "e-1")) == event
        assert await store.read(lambda tx: tx.inbox.get(PLATFORM, "shop", "e-3")) is None

    async def test_an_accepted_event_is_not_shared(self, store: Store, now: datetime) -> None:
        data = {"n": [1]}
        await store.write(lambda tx: tx.inbox.accept(an_event(now, id="e-1", source="shop", data=data)))
        data["n"].append(2)
        for _ in range(2):
            found = await store.read(lambda tx: tx.inbox.get(PLATFORM, "shop", "e-1"))
            assert found is not None
            assert found.data == {"n": [1]}
            found.data["n"].append(3)

    # -- what debounced jobs wait out ------------------------------------------------------------------------------

    async def test_a_job_waits_out_one_event_at_a_time(self, store: Store, now: datetime) -> None:
        one, two = new_id(now), new_id(now)
        first, other = (PendingEvent(job, PLATFORM, "shop", "e-1", now) for job in (one, two))
        await store.write(lambda tx: tx.inbox.put_pending([first, other]))
        newer = replace(first, event_id="e-2", at=now + SECOND)
        await store.write(lambda tx: tx.inbox.put_pending([newer]))
        assert await store.read(lambda tx: tx.inbox.pending([one, two, new_id(now)])) == {one: newer, two: other}
        await store.write(lambda tx: tx.inbox.settle_pending([one, new_id(now)]))
        assert await store.read(lambda tx: tx.inbox.pending([one, two])) == {two: other}
        assert await store.read(lambda tx: tx.inbox.pending([])) == {}

    # -- chains ----------------------------------------------------------------------------------------------------

    async def test_what_an_execution_started_is_told_by_job_and_once_each(self, store: Store, now: datetime) -> None:
        execution, chained = new_id(now), new_id(now)
        ran = Chained(execution, "b", PLATFORM, now, chained_id=chained)
        not_ran = Chained(execution, "a", PLATFORM, now, problem="no job 'a'")
        await store.write(lambda tx: tx.chains.add([ran, not_ran, replace(ran, execution_id=new_id(now))]))
        assert await store.read(lambda tx: tx.chains.of(execution)) == [not_ran, ran]
        assert await store.read(lambda tx: tx.chains.of(new_id(now))) == []
        with pytest.raises(ConflictError):
            await store.write(lambda tx: tx.chains.add([ran]))

    async def test_old_links_of_chains_are_deleted(self, store: Store, now: datetime) -> None:
        old, young = (Chained(new_id(now), "a", PLATFORM, at, problem="x") for at in (now - HOUR, now))
        await store.write(lambda tx: tx.chains.add([old, young]))
        deleted = [await store.write(lambda tx: tx.chains.delete(now - MINUTE, 10)) for _ in range(2)]
        assert deleted == [1, 0]
        assert await store.read(lambda tx: tx.chains.of(young.execution_id)) == [young]

    # -- leases ----------------------------------------------------------------------------------------------------

    async def test_a_lease_has_one_holder_until_it_runs_out_or_is_let_go(self, store: Store, now: datetime) -> None:
        async def lease(holder: str, until: datetime) -> bool:
            return await store.write(lambda tx: tx.platforms.lease("relay", holder, until))

        assert await lease("a", now + HOUR)
        assert not await lease("b", now + HOUR)
        assert await lease("a", now + 2 * HOUR)
        assert await lease("a", now - SECOND)
        assert await lease("b", now + HOUR)
        assert not await lease("a", now + HOUR)
        assert await store.write(lambda tx: tx.platforms.lease("other", "a", now + HOUR))
