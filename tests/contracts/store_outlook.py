"""What a store promises of its outlook: what each loop of a dispatcher would be told by questions of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mainspring.model.execution import Status
from mainspring.model.job import JobStatus
from mainspring.ports.store import Outlook, Store, Tx
from tests.contracts.store_rows import HOUR, MINUTE, SECOND, a_job, add, add_job, an_event, an_execution
from tests.contracts.store_webhooks import a_delivery, a_webhook, put


def ask(tx: Tx) -> Outlook:
    return tx.outlook()


class OutlookContract:
    """`Tx.outlook`."""

    async def test_where_nothing_comes_the_outlook_is_empty(self, store: Store, now: datetime) -> None:
        await add_job(store, a_job(now, "paused", next_run_at=now, status=JobStatus.PAUSED))
        await add(store, an_execution(now, Status.RUNNING), an_execution(now, Status.QUEUED))
        resting = a_webhook(now, enabled=False)
        await store.write(put(resting))
        await store.write(lambda tx: tx.webhooks.owe([a_delivery(resting, now)]))
        assert await store.read(ask) == Outlook(None, None, None, blocked=False, unpublished=False)

    async def test_it_tells_the_first_of_each_kind(self, store: Store, now: datetime) -> None:
        for name, at in (("late", now + HOUR), ("soon", now + MINUTE)):
            await add_job(store, a_job(now, name, next_run_at=at))
        times = (now + HOUR, now + SECOND)
        await add(store, *(an_execution(now, Status.RETRYING, available_at=at) for at in times))
        await add(store, an_execution(now, available_at=now, blocked_by="platform"))
        webhook = a_webhook(now)
        await store.write(put(webhook))
        await store.write(lambda tx: tx.webhooks.owe([a_delivery(webhook, now, available_at=now + MINUTE)]))
        await store.write(lambda tx: tx.outbox.add([an_event(now)]))
        found = await store.read(ask)
        assert found == Outlook(now + MINUTE, now + SECOND, now + MINUTE, blocked=True, unpublished=True)

    async def test_asked_alone_it_is_told_with_the_clock_and_nothing_else_follows(
        self, store: Store, now: datetime
    ) -> None:
        await add_job(store, a_job(now, "soon", next_run_at=now + MINUTE))

        def alone(tx: Tx) -> tuple[Outlook, datetime]:
            tx.end_with_next()
            return tx.outlook(), tx.now

        for _ in range(4):  # the third time it is known in the words of the database
            found, at = await store.read(alone)
            assert found.due_at == now + MINUTE
            assert at >= now

    async def test_what_is_over_first_is_an_attempt_a_time_to_start_in_or_a_pause(
        self, store: Store, now: datetime
    ) -> None:
        grace = 30 * SECOND

        def over(tx: Tx) -> tuple[datetime | None, datetime]:
            tx.end_with_next()
            return tx.over_at(grace), tx.now

        await add_job(store, a_job(now, "for good", status=JobStatus.PAUSED))
        await add_job(store, a_job(now, "active", next_run_at=now))
        await add(store, an_execution(now, Status.QUEUED), an_execution(now, Status.FAILED, start_deadline_at=now))
        for _ in range(4):
            assert (await store.read(over))[0] is None
        paused = a_job(now, "for a while", status=JobStatus.PAUSED)
        await add_job(store, replace(paused, paused_until=now + 3 * HOUR))
        assert (await store.read(over))[0] == now + 3 * HOUR
        for execution, over_at in (
            (an_execution(now, Status.WAITING, deadline_at=now + 2 * HOUR), now + 2 * HOUR + grace),
            (an_execution(now, Status.QUEUED, start_deadline_at=now + 2 * HOUR), now + 2 * HOUR),
            (an_execution(now, Status.WAITING, deadline_at=now + HOUR), now + HOUR + grace),
            (an_execution(now, Status.RUNNING, lease_until=now - SECOND), now - SECOND),
            (an_execution(now, Status.RETRYING, start_deadline_at=now - MINUTE), now - MINUTE),
        ):
            await add(store, execution)
            found, at = await store.read(over)
            assert found == over_at
            assert at >= now
