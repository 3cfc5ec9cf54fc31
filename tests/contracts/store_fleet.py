"""What a store promises of nodes and handlers, and of platforms: zones, limits, calendars, keys, notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

from mainspring.model.execution import Execution
from mainspring.model.node import DispatcherNode, HandlerRow, Limit, WorkerNode
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import HOUR, MINUTE, PLATFORM, SECOND, add, an_execution, new_id


class FleetContract:
    """`NodeTable` and `PlatformTable`."""

    # -- nodes -----------------------------------------------------------------------------------------------------

    async def test_a_worker_is_replaced_whole(self, store: Store, now: datetime) -> None:
        worker = WorkerNode("w-1", "host", 12, now, now, "1.0", {"default": 4, "mail": 1}, ("a", "b"))
        busy = replace(worker, seen_at=now + MINUTE, status="draining", running=3, poisoned=1, queues={"mail": 2})
        await put_worker(store, worker)
        assert await store.read(lambda tx: tx.nodes.workers()) == [worker]
        await put_worker(store, busy)
        assert await store.read(lambda tx: tx.nodes.workers()) == [busy]

    async def test_a_dispatcher_is_replaced_whole(self, store: Store, now: datetime) -> None:
        node = DispatcherNode("d-1", "host", 12, now, now, "1.0", "2026a")
        later = replace(node, seen_at=now + MINUTE, status="stopped", stats={"errors": 1, "last": {"at": None}})
        await put_dispatcher(store, node)
        assert await store.read(lambda tx: tx.nodes.dispatchers()) == [node]
        await put_dispatcher(store, later)
        assert await store.read(lambda tx: tx.nodes.dispatchers()) == [later]

    async def test_nodes_come_newest_first_and_only_those_seen_since_if_asked(
        self, store: Store, now: datetime
    ) -> None:
        workers = [worker(f"w-{n}", now - n * HOUR, seen_at=now - n * MINUTE) for n in range(3)]
        dispatchers = [dispatcher(f"d-{n}", now - n * HOUR, seen_at=now - n * MINUTE) for n in range(3)]
        for n in (1, 2, 0):
            await put_worker(store, workers[n])
            await put_dispatcher(store, dispatchers[n])
        assert await store.read(lambda tx: tx.nodes.workers()) == workers
        assert await store.read(lambda tx: tx.nodes.dispatchers()) == dispatchers
        since = now - MINUTE
        assert await store.read(lambda tx: tx.nodes.workers(seen_since=since)) == workers[:2]
        assert await store.read(lambda tx: tx.nodes.dispatchers(seen_since=since)) == dispatchers[:2]

    async def test_nodes_not_seen_since_are_forgotten(self, store: Store, now: datetime) -> None:
        for node in (worker("w-old", now, seen_at=now - SECOND), worker("w-new", now, seen_at=now)):
            await put_worker(store, node)
        for other in (dispatcher("d-old", now, seen_at=now - SECOND), dispatcher("d-new", now, seen_at=now)):
            await put_dispatcher(store, other)
        await store.write(lambda tx: tx.nodes.forget(now))
        assert [node.id for node in await store.read(lambda tx: tx.nodes.workers())] == ["w-new"]
        assert [node.id for node in await store.read(lambda tx: tx.nodes.dispatchers())] == ["d-new"]

    async def test_handlers_come_by_name_and_only_those_a_platform_may_use(self, store: Store, now: datetime) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        b = HandlerRow("b", "function", now, "does b", schema, {"timeout_ms": 1000})
        a = HandlerRow("a", "agent", now)
        mine = HandlerRow("c", "function", now, platform_id=PLATFORM)
        foreign = HandlerRow("d", "function", now, platform_id="other")
        await announce(store, foreign, b, mine, a)
        assert await store.read(lambda tx: tx.nodes.handlers(PLATFORM)) == [a, b, mine]
        assert await store.read(lambda tx: tx.nodes.handlers("other")) == [a, b, foreign]
        assert await store.read(lambda tx: tx.nodes.handlers()) == [a, b, mine, foreign]

    async def test_a_handler_of_one_platform_stands_beside_the_common_one_of_its_name(
        self, store: Store, now: datetime
    ) -> None:
        common, own = HandlerRow("a", "function", now), HandlerRow("a", "agent", now, platform_id=PLATFORM)
        await announce(store, common, own)
        found = await store.read(lambda tx: tx.nodes.handlers(PLATFORM))
        assert sorted(found, key=str) == sorted([common, own], key=str)
        assert await store.read(lambda tx: tx.nodes.handlers("other")) == [common]

    async def test_a_handler_announced_again_is_replaced(self, store: Store, now: datetime) -> None:
        old = HandlerRow("a", "function", now)
        new = replace(old, announced_at=now + HOUR, description="better", defaults={"queue": "mail"})
        for row in (old, new, new):
            await announce(store, row)
        assert await store.read(lambda tx: tx.nodes.handlers()) == [new]

    async def test_a_handler_announced_is_known_to_whoever_asked_before_in_the_same_transaction(
        self, store: Store, now: datetime
    ) -> None:
        row = HandlerRow("a", "function", now)

        def work(tx: Tx) -> list[list[HandlerRow]]:
            before = tx.nodes.handlers(PLATFORM)
            tx.nodes.announce([row])
            return [before, tx.nodes.handlers(PLATFORM)]

        assert await store.write(work) == [[], [row]]

    # -- platforms -------------------------------------------------------------------------------------------------

    async def test_a_platform_has_the_zone_last_set(self, store: Store) -> None:
        async def put(zone: str | None) -> str | None:
            await store.write(lambda tx: tx.platforms.put_timezone(PLATFORM, zone))
            return await store.read(lambda tx: tx.platforms.timezone(PLATFORM))

        zones = ["Europe/Berlin", "Asia/Tokyo", None]
        assert [await put(zone) for zone in zones] == zones
        assert await store.read(lambda tx: tx.platforms.timezone("other")) is None

    async def test_limits_are_kept_per_platform_scope_and_name(self, store: Store) -> None:
        limits = [
            Limit(PLATFORM, "key", "k1", max_running=1),
            Limit(PLATFORM, "platform", max_running=9, max_pending=8, max_jobs=7, min_interval_ms=1000),
            Limit(PLATFORM, "queue", "mail", rate=5, rate_per=0.5),
            Limit("other", "queue", "mail", max_running=2),
        ]
        for limit in limits:
            await put_limit(store, limit)
        found = await store.read(lambda tx: tx.platforms.limits())
        assert sorted(found, key=str) == sorted(limits, key=str)
        mine = await store.read(lambda tx: tx.platforms.limits(PLATFORM))
        assert sorted(mine, key=str) == sorted(limits[:3], key=str)

    async def test_a_limit_is_replaced_whole_and_removed_by_bounding_nothing(self, store: Store) -> None:
        first, second = Limit(PLATFORM, "queue", "mail", max_running=3), Limit(PLATFORM, "queue", "mail", rate=5)
        for limit in (first, second):
            await put_limit(store, limit)
        assert await store.read(lambda tx: tx.platforms.limits(PLATFORM)) == [second]
        await put_limit(store, Limit(PLATFORM, "queue", "mail"))
        assert await store.read(lambda tx: tx.platforms.limits(PLATFORM)) == []

    async def test_a_limit_of_nought_is_a_limit(self, store: Store) -> None:
        closed = Limit(PLATFORM, "queue", "mail", max_running=0)
        await put_limit(store, closed)
        assert await store.read(lambda tx: tx.platforms.limits(PLATFORM)) == [closed]

    async def test_a_calendar_is_replaced_whole(self, store: Store) -> None:

        async def put(platform: str, name: str, dates: dict[date, str]) -> None:
            await store.write(lambda tx: tx.platforms.put_calendar(platform, name, dates, source="test"))

        christmas, new_year = date(2026, 12, 25), date(2027, 1, 1)
        await put(PLATFORM, "holidays", {christmas: "Christmas", new_year: ""})
        await put(PLATFORM, "freeze", {christmas: "freeze"})
        await put("other", "holidays", {new_year: "New Year"})
        assert await store.read(lambda tx: tx.platforms.calendars(PLATFORM)) == {
            "holidays": frozenset({christmas, new_year}),
            "freeze": frozenset({christmas}),
        }
        await put(PLATFORM, "holidays", {new_year: "New Year"})
        assert await store.read(lambda tx: tx.platforms.calendars(PLATFORM)) == {
            "holidays": frozenset({new_year}),
            "freeze": frozenset({christmas}),
        }
        assert await store.read(lambda tx: tx.platforms.calendars("nobody")) == {}

    async def test_a_calendar_is_deleted_with_its_dates_and_no_other_is(self, store: Store) -> None:
        day = {date(2026, 12, 25): "Christmas"}

        def put(tx: Tx) -> None:
            for platform, name in ((PLATFORM, "holidays"), (PLATFORM, "freeze"), ("other", "holidays")):
                tx.platforms.put_calendar(platform, name, day, source="test")

        await store.write(put)
        assert await store.write(lambda tx: tx.platforms.delete_calendar(PLATFORM, "holidays"))
        assert not await store.write(lambda tx: tx.platforms.delete_calendar(PLATFORM, "holidays"))
        dates = frozenset(day)
        assert await store.read(lambda tx: tx.platforms.calendars(PLATFORM)) == {"freeze": dates}
        assert await store.read(lambda tx: tx.platforms.calendars("other")) == {"holidays": dates}
        await store.write(lambda tx: tx.platforms.put_calendar(PLATFORM, "holidays", {}, source="test"))
        assert (await store.read(lambda tx: tx.platforms.calendars(PLATFORM)))["holidays"] == frozenset()

    async def test_an_idempotency_key_is_stored_once_per_platform(self, store: Store, now: datetime) -> None:
        first, second = an_execution(now), an_execution(now)
        await add(store, first, second)

        async def put(platform: str, digest: str, e: Execution) -> bool:
            return await store.write(lambda tx: tx.platforms.put_idempotent(platform, "k", digest, e.id))

        assert await put(PLATFORM, "hash-1", first)
        assert not await put(PLATFORM, "hash-2", second)
        assert await put("other", "hash-2", second)
        assert await store.read(lambda tx: tx.platforms.idempotent(PLATFORM, "k")) == ("hash-1", first.id)
        assert await store.read(lambda tx: tx.platforms.idempotent(PLATFORM, "unknown")) is None

    async def test_idempotency_keys_are_deleted_by_age(
        self, store: Store, now: datetime, advance: Callable[[timedelta], datetime]
    ) -> None:
        execution = an_execution(now)
        await add(store, execution)

        async def put(key: str) -> bool:
            return await store.write(lambda tx: tx.platforms.put_idempotent(PLATFORM, key, "hash", execution.id))

        assert [await put(key) for key in ("a", "b", "c")] == [True, True, True]
        later = advance(HOUR)
        assert await put("young")
        assert await store.write(lambda tx: tx.platforms.delete_idempotent(now, 10)) == 0
        deleted = [await store.write(lambda tx: tx.platforms.delete_idempotent(later, 2)) for _ in range(3)]
        assert deleted == [2, 1, 0]
        assert await store.read(lambda tx: tx.platforms.idempotent(PLATFORM, "a")) is None
        assert await store.read(lambda tx: tx.platforms.idempotent(PLATFORM, "young")) == ("hash", execution.id)

    async def test_an_idempotency_key_outlives_its_execution(self, store: Store, now: datetime) -> None:
        """The key answers for as long as keys are kept, also where the execution is gone."""
        execution_id = new_id(now)
        await store.write(lambda tx: tx.platforms.put_idempotent(PLATFORM, "k", "hash", execution_id))
        assert await store.read(lambda tx: tx.platforms.idempotent(PLATFORM, "k")) == ("hash", execution_id)

    async def test_a_note_has_the_value_last_set(self, store: Store) -> None:
        assert await store.read(lambda tx: tx.platforms.note("tzdb")) is None
        await store.write(lambda tx: tx.platforms.put_note("tzdb", "2026a"))
        await store.write(lambda tx: tx.platforms.put_note("tzdb", "2026b"))
        assert await store.read(lambda tx: tx.platforms.note("tzdb")) == "2026b"


def worker(id: str, started_at: datetime, *, seen_at: datetime) -> WorkerNode:
    """Return a worker's row."""
    return WorkerNode(id, "host", 1, started_at, seen_at, "1.0", {"default": 1}, ("a",))


def dispatcher(id: str, started_at: datetime, *, seen_at: datetime) -> DispatcherNode:
    """Return a dispatcher's row."""
    return DispatcherNode(id, "host", 1, started_at, seen_at, "1.0", "2026a")


async def put_worker(store: Store, node: WorkerNode) -> None:
    """Store a worker's row."""
    await store.write(lambda tx: tx.nodes.put_worker(node))


async def put_dispatcher(store: Store, node: DispatcherNode) -> None:
    """Store a dispatcher's row."""
    await store.write(lambda tx: tx.nodes.put_dispatcher(node))


async def announce(store: Store, *handlers: HandlerRow) -> None:
    """Announce handlers in one batch."""
    await store.write(lambda tx: tx.nodes.announce(handlers))


async def put_limit(store: Store, limit: Limit) -> None:
    """Store a limit."""
    await store.write(lambda tx: tx.platforms.put_limit(limit))
