"""What a store promises of events: out in order until published, in once for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from mainspring.model.events import Event
from mainspring.ports.store import Store
from tests.contracts.store_rows import HOUR, MINUTE, PLATFORM, SECOND, an_event, new_id


class EventContract:
    """`OutboxTable` and `InboxTable`."""

    # -- outbox ----------------------------------------------------------------------------------------------------

    async def test_an_event_comes_back_whole_and_unshared(self, store: Store, now: datetime) -> None:
        data = {"deep": {"n": [1]}, "text": "ü"}
        event = Event(new_id(now), "order.paid", PLATFORM, now, source="shop", subject="order-1", data=data)
        await store.write(lambda tx: tx.outbox.add([event]))
        data["deep"]["n"].append(2)  # type: ignore[index]
        (found,) = await store.write(lambda tx: tx.outbox.unpublished(10))
        whole = Event(event.id, "order.paid", PLATFORM, now, "shop", "order-1", {"deep": {"n": [1]}, "text": "ü"})
        assert found == whole

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

    async def test_only_published_events_are_deleted_and_at_most_the_limit(self, store: Store, now: datetime) -> None:
        events = [an_event(now - HOUR) for _ in range(4)]
        await store.write(lambda tx: tx.outbox.add(events))
        await store.write(lambda tx: tx.outbox.mark_published([event.id for event in events[:3]]))
        assert await store.write(lambda tx: tx.outbox.delete_published(now - SECOND, 10)) == 0
        later = now + HOUR
        deleted = [await store.write(lambda tx: tx.outbox.delete_published(later, 2)) for _ in range(3)]
        assert deleted == [2, 1, 0]
        assert await store.write(lambda tx: tx.outbox.unpublished(10)) == [events[3]]

    async def test_events_are_deleted_by_when_they_were_published(
        self, store: Store, now: datetime, advance: Callable[[timedelta], datetime]
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
        event = an_event(now, id="e-1", source="shop", subject="order-1", data={"n": [1]})

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
