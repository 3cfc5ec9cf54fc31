"""Lists: what a filter matches in a store is what it matches in memory, and pages neither lose nor repeat a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mainspring.model.access import ApiKey, Role
from mainspring.model.admin import Answer, AuditEntry, Operation, OperationStatus, Platform
from mainspring.model.execution import Cause, Failure, Status
from mainspring.model.filters import parse_filter
from mainspring.model.job import JobStatus, JobType
from mainspring.model.matches import matches
from mainspring.model.nouns import LISTINGS, Noun
from mainspring.ports.search import Order, Search, place, total_order
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import PLATFORM, a_job, add, add_job, an_execution, new_id

FILTERS = {
    Noun.JOBS: [
        'name = "nightly-0"',
        "name ~ NIGHT",
        "name ^= night",
        'name ~ "50%_"',
        "type = cron",
        "type IN (manual, cron) AND NOT (status = paused)",
        "status != active",
        "labels.team = growth",
        "NOT labels.team = growth",
        "labels:team",
        "labels:flag OR labels.team = null",
        "labels.team IN (growth, null)",
        "owner = null",
        "owner != ops",
        "queue = reports",
        "description ~ daily nightly",
        "next_run_at = null",
        "next_run_at > 2026-01-01T00:00:00Z",
        "created_at >= -24h AND (nightly OR tidy)",
        "revision >= 1 -name = nightly-1",
    ],
    Noun.EXECUTIONS: [
        "status IN (failed, cancelled)",
        "failure = error",
        "NOT failure = error",
        "payload.user.id = 42",
        "payload.deep.flag = true",
        "payload.user = x",
        'payload.text ~ "needle"',
        "payload.gone = null",
        "attempt > 0 AND priority <= 5",
        "worker_id = w-1",
        "finished_at < now",
        "job ^= tid",
    ],
}


class SearchContract:
    @pytest.fixture
    async def listed(self, store: Store) -> datetime:
        """Fill the store with rows that differ in everything a filter may look at; return its now."""
        now = await store.read(lambda tx: tx.now)
        jobs: list[dict[str, Any]] = [
            {
                "name": "nightly-0",
                "labels": {"team": "growth"},
                "owner": "ops",
                "next_run_at": now + timedelta(hours=1),
            },
            {
                "name": "nightly-1",
                "labels": {"team": "ops", "flag": "x"},
                "status": JobStatus.PAUSED,
                "queue": "reports",
            },
            {"name": "Nightly-2", "type": JobType.MANUAL, "description": "a daily NIGHTLY run", "owner": "ops"},
            {"name": "tidy-50", "description": "50%_ off", "next_run_at": now + timedelta(minutes=1)},
            {"name": "tidy-500", "next_run_at": now + timedelta(minutes=1)},
            {"name": "old", "status": JobStatus.ARCHIVED},
            {"name": "foreign", "platform_id": "other"},
        ]
        for values in jobs:
            await add_job(store, a_job(now, **values))
        await add(
            store,
            an_execution(now, Status.QUEUED, payload={"user": {"id": 42}, "deep": {"flag": True}}),
            an_execution(now, Status.FAILED, failure=Failure.ERROR, payload={"user": {"id": "42"}, "text": "a Needle"}),
            an_execution(now, Status.FAILED, failure=Failure.TIMEOUT, payload={"text": ["needle"]}),
            an_execution(now, Status.RUNNING, job_name="tidy", cause=Cause.MANUAL, payload={"gone": None}),
            an_execution(now, Status.CANCELLED, priority=9, payload={"deep": {"flag": "true"}}),
            an_execution(now, Status.CANCELLED, platform_id="other"),
        )
        return now

    @pytest.mark.parametrize(("noun", "text"), [(noun, text) for noun, texts in FILTERS.items() for text in texts])
    async def test_a_filter_matches_in_the_store_what_it_matches_in_memory(
        self, store: Store, listed: datetime, noun: Noun, text: str
    ) -> None:
        fields = LISTINGS[noun].fields
        where = parse_filter(text, fields, now=listed)
        search = Search(noun, PLATFORM, where, total_order(noun, ()), limit=100)
        every = await store.read(lambda tx: tx.search.find(replace(search, where=None)))
        expected = [row.id for row in every if matches(where, row, fields)]
        assert [row.id for row in await store.read(lambda tx: tx.search.find(search))] == expected
        assert await store.read(lambda tx: tx.search.count(search, 100)) == len(expected)

    async def test_a_list_shows_its_platform_alone_and_archived_jobs_only_when_asked(
        self, store: Store, listed: datetime
    ) -> None:
        search = Search(Noun.JOBS, PLATFORM, order=total_order(Noun.JOBS, (Order("name"),)), limit=100)
        found = await store.read(lambda tx: tx.search.find(search))
        assert [job.name for job in found] == ["Nightly-2", "nightly-0", "nightly-1", "tidy-50", "tidy-500"]
        whole = await store.read(lambda tx: tx.search.find(replace(search, archived=True, platform_id=None)))
        assert {"old", "foreign"} <= {job.name for job in whole}

    @pytest.mark.parametrize(
        "order",
        [
            (Order("name"),),
            (Order("name", descending=True),),
            (Order("next_run_at"),),
            (Order("next_run_at", descending=True),),
            (Order("next_run_at"), Order("name", descending=True)),
            (Order("created_at", descending=True),),
            (),
        ],
    )
    async def test_pages_of_any_order_neither_lose_nor_repeat_a_row(
        self, store: Store, listed: datetime, order: tuple[Order, ...]
    ) -> None:
        search = Search(Noun.JOBS, PLATFORM, order=total_order(Noun.JOBS, order), limit=100)
        whole = await store.read(lambda tx: tx.search.find(search))
        paged: list[Any] = []
        step = replace(search, limit=2)
        while page := await self._page(store, step):
            paged += page
            step = replace(step, after=place(step, page[-1]))
        assert [job.name for job in paged] == [job.name for job in whole]
        assert len(whole) == 5

    async def _page(self, store: Store, search: Search) -> list[Any]:
        return await store.read(lambda tx: tx.search.find(search))

    async def test_counting_stops_at_its_bound(self, store: Store, listed: datetime) -> None:
        assert await store.read(lambda tx: tx.search.count(Search(Noun.JOBS, PLATFORM), 2)) == 3


class AdminContract:
    async def test_a_key_is_kept_and_replaced(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)
        key = ApiKey(new_id(now), None, "deploys", Role.EDITOR, "d" * 64, now, "ada", scopes=("jobs:read",))
        assert not await store.read(lambda tx: tx.admin.any_key())
        await store.write(lambda tx: tx.admin.put_key(key))
        revoked = replace(key, revoked_at=now, platform_id="acme", old_digest="e" * 64, old_until=now)
        assert await store.read(lambda tx: tx.admin.key(key.id)) == key
        await store.write(lambda tx: tx.admin.put_key(revoked))
        assert await store.read(lambda tx: tx.admin.key(key.id)) == revoked
        assert await store.read(lambda tx: tx.admin.any_key())
        found = await store.read(lambda tx: tx.search.find(Search(Noun.KEYS, "acme", order=(Order("id"),))))
        assert found == [revoked]

    async def test_an_answer_is_reserved_once_and_completed(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)
        answer = Answer(PLATFORM, "ada", "k1", "f", now)
        assert await store.write(lambda tx: tx.admin.reserve_answer(answer))
        assert not await store.write(lambda tx: tx.admin.reserve_answer(answer))
        assert await store.write(lambda tx: tx.admin.reserve_answer(replace(answer, principal="bob")))
        done = replace(answer, status=201, body='{"id":"x"}', etag='"r1"')
        await store.write(lambda tx: tx.admin.put_answer(done))
        assert await store.read(lambda tx: tx.admin.answer(PLATFORM, "ada", "k1")) == done
        assert await store.write(lambda tx: tx.admin.delete_answers(now + timedelta(hours=1), 10)) == 2
        assert await store.read(lambda tx: tx.admin.answer(PLATFORM, "ada", "k1")) is None

    async def test_the_trail_is_listed_newest_first(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)
        entries = [
            AuditEntry(new_id(now), PLATFORM, now, "ada", "api", "job.pause", f"job-{n}", after={"reason": "x"})
            for n in range(3)
        ]

        def work(tx: Tx) -> None:
            for entry in entries:
                tx.admin.log(entry)

        await store.write(work)
        search = Search(Noun.AUDIT, PLATFORM, order=total_order(Noun.AUDIT, (Order("id", descending=True),)))
        assert await store.read(lambda tx: tx.search.find(search)) == entries[::-1]

    async def test_an_operation_is_due_while_it_runs_and_its_time_has_come(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)
        one = Operation(
            new_id(now), PLATFORM, "redrive", OperationStatus.RUNNING, "ada", now, now, now, params={"a": [1]}, total=3
        )
        later = replace(one, id=new_id(now), next_at=now + timedelta(hours=1))
        await store.write(lambda tx: tx.admin.put_operation(one))
        await store.write(lambda tx: tx.admin.put_operation(later))
        assert await store.write(lambda tx: tx.admin.due_operation()) == one
        paused = replace(one, status=OperationStatus.PAUSED, errors=({"id": "x"},), done=2)
        await store.write(lambda tx: tx.admin.put_operation(paused))
        assert await store.write(lambda tx: tx.admin.due_operation()) is None
        assert await store.read(lambda tx: tx.admin.operation(one.id)) == paused

    async def test_platforms_are_rows(self, store: Store) -> None:
        now = await store.read(lambda tx: tx.now)

        def work(tx: Tx) -> None:
            tx.admin.put_platform(Platform("acme", "Europe/Istanbul", "the shop", now))
            tx.admin.put_platform(Platform("beta", created_at=now))

        await store.write(work)
        assert await store.read(lambda tx: tx.admin.platform("acme")) == Platform(
            "acme", "Europe/Istanbul", "the shop", now
        )
        assert [p.id for p in await store.read(lambda tx: tx.admin.platforms(limit=1))] == ["acme"]
        assert [p.id for p in await store.read(lambda tx: tx.admin.platforms(after="acme"))] == ["beta"]
        assert await store.read(lambda tx: tx.platforms.timezone("acme")) == "Europe/Istanbul"
        await store.write(lambda tx: tx.platforms.put_timezone("acme", "UTC"))
        stored = await store.read(lambda tx: tx.admin.platform("acme"))
        assert stored is not None
        assert (stored.timezone, stored.description) == ("UTC", "the shop")
