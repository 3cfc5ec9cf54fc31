"""What a store promises of jobs: names, revisions, planning's view of them, rollups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from mainspring.errors import ConflictError
from mainspring.model.execution import Status
from mainspring.model.job import Job, JobCursor, JobDefinition, JobStats, JobStatus, JobType
from mainspring.model.policy import Isolation, Misfire, Overlap, RetryJitter, RetryPolicy
from mainspring.model.wire import definition_to_wire
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import HOUR, MINUTE, PLATFORM, SECOND, a_job, add_job, new_id


def upcoming(tx: Tx, **where: Any) -> list[Job]:
    return tx.jobs.upcoming(limit=2, **where)


class JobContract:
    """`JobTable`."""

    async def test_a_job_comes_back_whole(self, store: Store, now: datetime) -> None:
        job = every_field_set(now)
        await add_job(store, job)
        assert await get(store, job.id) == job
        assert await get(store, job.name) == job
        assert await store.read(lambda tx: tx.jobs.by_id([job.id])) == {job.id: job}

    async def test_a_job_with_nothing_set_comes_back_whole(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now, type=JobType.MANUAL))
        assert await get(store, job.id) == job

    async def test_a_stored_job_shares_nothing_with_what_was_given_or_returned(
        self, store: Store, now: datetime
    ) -> None:
        payload = {"regions": ["eu"], "deep": {"n": 1}}
        job = await add_job(store, a_job(now, payload=payload))
        payload["regions"].append("us")  # type: ignore[attr-defined]
        first = await get(store, job.id)
        assert first is not None
        assert first.definition.payload == {"regions": ["eu"], "deep": {"n": 1}}
        first.definition.payload["deep"]["n"] = 2
        second = await get(store, job.id)
        assert second is not None
        assert second.definition.payload == {"regions": ["eu"], "deep": {"n": 1}}

    async def test_a_name_is_taken_only_once_on_a_platform(self, store: Store, now: datetime) -> None:
        first = await add_job(store, a_job(now, "tidy"))
        with pytest.raises(ConflictError):
            await add_job(store, a_job(now, "tidy"))
        elsewhere = await add_job(store, a_job(now, "tidy", platform_id="other"))
        assert await get(store, "tidy") == first
        assert await get(store, "tidy", "other") == elsewhere

    async def test_several_jobs_are_added_at_once_or_none(self, store: Store, now: datetime) -> None:
        a, b, again = a_job(now, "a"), a_job(now, "b"), a_job(now, "a")
        await store.write(lambda tx: tx.jobs.add([a, b], actor="ada"))
        assert [await get(store, "a"), await get(store, "b")] == [a, b]
        assert [r[2] for r in await store.read(lambda tx: tx.jobs.revisions(b.id))] == ["ada"]
        with pytest.raises(ConflictError):
            await store.write(lambda tx: tx.jobs.add([a_job(now, "c"), again], actor="ada"))
        assert await get(store, "c") is None

    async def test_taken_are_names_of_jobs_not_archived_of_the_platform(self, store: Store, now: datetime) -> None:
        await add_job(store, a_job(now, "a"))
        await add_job(store, a_job(now, "b", status=JobStatus.ARCHIVED))
        await add_job(store, a_job(now, "c", platform_id="other"))
        assert await store.read(lambda tx: tx.jobs.taken(PLATFORM, ["a", "b", "c", "d"])) == {"a"}
        assert await store.read(lambda tx: tx.jobs.taken(PLATFORM, [])) == set()

    async def test_an_archived_job_frees_its_name(self, store: Store, now: datetime) -> None:
        old = await add_job(store, a_job(now, "tidy"))
        assert await save(store, replace(old, status=JobStatus.ARCHIVED), 1)
        new = await add_job(store, a_job(now, "tidy"))
        assert await get(store, "tidy") == new
        found = await get(store, old.id)
        assert found is not None
        assert found.status is JobStatus.ARCHIVED

    async def test_the_newest_archived_job_answers_to_a_name_nobody_else_has(self, store: Store, now: datetime) -> None:
        archived = [a_job(now, "tidy", status=JobStatus.ARCHIVED) for _ in range(3)]
        for job in archived:
            await add_job(store, job)
        assert await get(store, "tidy") == archived[-1]

    async def test_a_job_cannot_take_the_name_of_another_by_renaming_or_returning(
        self, store: Store, now: datetime
    ) -> None:
        await add_job(store, a_job(now, "tidy"))
        other = await add_job(store, a_job(now, "sweep"))
        archived = await add_job(store, a_job(now, "tidy", status=JobStatus.ARCHIVED))
        with pytest.raises(ConflictError):
            await save(store, replace(other, definition=replace(other.definition, name="tidy")), 1)
        with pytest.raises(ConflictError):
            await save(store, replace(archived, status=JobStatus.ACTIVE), 1)
        assert await get(store, other.id) == other

    async def test_a_renamed_job_answers_to_its_new_name_alone(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now, "tidy"))
        renamed = replace(job, definition=replace(job.definition, name="sweep"))
        assert await save(store, renamed, 1)
        assert await get(store, "tidy") is None
        assert await get(store, "sweep") == renamed

    async def test_a_job_of_another_platform_is_not_found(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        assert await get(store, job.id, "other") is None
        assert await get(store, job.name, "other") is None
        assert await get(store, "unknown") is None

    async def test_by_id_leaves_out_what_it_does_not_know(self, store: Store, now: datetime) -> None:
        here, there = await add_job(store, a_job(now)), await add_job(store, a_job(now, platform_id="other"))
        ids = [here.id, new_id(now), there.id]
        assert await store.read(lambda tx: tx.jobs.by_id(ids)) == {here.id: here, there.id: there}

    async def test_save_writes_only_over_the_expected_revision(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        second = replace(job, revision=2, definition=replace(job.definition, priority=9), updated_at=now + MINUTE)
        assert await save(store, second, 1)
        assert not await save(store, replace(job, revision=2), 1)
        assert not await save(store, a_job(now, "unknown"), 1)
        assert await get(store, job.id) == second

    async def test_a_higher_revision_is_kept_in_the_history_newest_first(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        second = replace(job, revision=2, definition=replace(job.definition, priority=9), updated_at=now + MINUTE)
        await store.write(lambda tx: tx.jobs.save(second, expected_revision=1, actor="bob"))
        assert await store.read(lambda tx: tx.jobs.revisions(job.id)) == [
            (2, now + MINUTE, "bob", definition_to_wire(second.definition)),
            (1, now, "ada", definition_to_wire(job.definition)),
        ]

    async def test_saving_the_same_revision_adds_no_history(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        assert await save(store, replace(job, status=JobStatus.PAUSED, status_reason="holiday"), 1)
        assert [row[0] for row in await store.read(lambda tx: tx.jobs.revisions(job.id))] == [1]
        assert await store.read(lambda tx: tx.jobs.revisions(new_id(now))) == []

    async def test_revisions_are_read_from_the_newest_so_many_at_a_time(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))

        def edit(tx: Tx) -> None:
            for revision in range(2, 6):
                tx.jobs.save(replace(job, revision=revision), expected_revision=revision - 1, actor="ada")

        await store.write(edit)

        async def numbers(**where: Any) -> list[int]:
            return [row[0] for row in await store.read(lambda tx: tx.jobs.revisions(job.id, **where))]

        assert await numbers() == [5, 4, 3, 2, 1]
        assert await numbers(limit=2) == [5, 4]
        assert await numbers(before=4, limit=2) == [3, 2]
        assert await numbers(before=1) == []

    async def test_find_lists_by_name_in_pages_and_hides_archived_ones(self, store: Store, now: datetime) -> None:
        for name in ("b", "a-2", "Zebra", "a.1", "c"):
            await add_job(store, a_job(now, name))
        await add_job(store, a_job(now, "aa", status=JobStatus.ARCHIVED))
        await add_job(store, a_job(now, "ab", platform_id="other"))
        # By code point, on every database: upper case first, "-" before ".".
        assert names(await store.read(lambda tx: tx.jobs.find(PLATFORM))) == ["Zebra", "a-2", "a.1", "b", "c"]
        assert names(await store.read(lambda tx: tx.jobs.find(PLATFORM, limit=2))) == ["Zebra", "a-2"]
        assert names(await store.read(lambda tx: tx.jobs.find(PLATFORM, after="a-2", limit=2))) == ["a.1", "b"]
        assert names(await store.read(lambda tx: tx.jobs.find(PLATFORM, after="c"))) == []

    async def test_find_filters_by_every_field_given(self, store: Store, now: datetime) -> None:
        await add_job(store, a_job(now, "one", type=JobType.EVENT, handler="h1"))
        await add_job(store, a_job(now, "two", status=JobStatus.PAUSED, handler="h1"))
        await add_job(store, a_job(now, "three", status=JobStatus.ARCHIVED))

        async def find(**query: Any) -> list[Job]:
            return await store.read(lambda tx: tx.jobs.find(PLATFORM, **query))

        assert names(await find(status=JobStatus.PAUSED)) == ["two"]
        assert names(await find(status=JobStatus.ARCHIVED)) == ["three"]
        assert names(await find(type=JobType.EVENT)) == ["one"]
        assert names(await find(handler="h1")) == ["one", "two"]
        assert names(await find(handler="h1", type=JobType.CRON)) == ["two"]

    async def test_name_contains_takes_every_character_as_itself_and_ignores_case(
        self, store: Store, now: datetime
    ) -> None:
        for name in ("a_b", "axb", "Report.daily"):
            await add_job(store, a_job(now, name))

        async def find(text: str) -> list[Job]:
            return await store.read(lambda tx: tx.jobs.find(PLATFORM, name_contains=text))

        assert names(await find("a_b")) == ["a_b"]
        assert names(await find("report")) == ["Report.daily"]
        assert names(await find("%")) == []

    async def test_due_are_active_jobs_whose_instant_has_come_oldest_first(self, store: Store, now: datetime) -> None:
        late, sharp = a_job(now, "late", next_run_at=now - HOUR), a_job(now, "sharp", next_run_at=now)
        others = [
            a_job(now, "soon", next_run_at=now + HOUR),
            a_job(now, "never"),
            a_job(now, "paused", next_run_at=now - HOUR, status=JobStatus.PAUSED),
            a_job(now, "done", next_run_at=now - HOUR, status=JobStatus.COMPLETED),
            a_job(now, "gone", next_run_at=now - HOUR, status=JobStatus.ARCHIVED),
        ]
        for job in (sharp, *others, late):
            await add_job(store, job)
        assert await store.write(lambda tx: tx.jobs.due(10)) == [late, sharp]
        assert await store.write(lambda tx: tx.jobs.due(1)) == [late]

    async def test_due_gives_jobs_that_are_known_as_they_are_stored_and_others_as_they_are(
        self, store: Store, now: datetime
    ) -> None:
        kept = await add_job(store, a_job(now, "kept", next_run_at=now - HOUR, cursor_wall=datetime(2026, 3, 1, 9)))
        edited = await add_job(store, a_job(now, "edited", next_run_at=now - MINUTE))
        moved = await add_job(store, a_job(now, "moved", next_run_at=now - SECOND))
        unknown = await add_job(store, a_job(now, "unknown", next_run_at=now))
        known = {job.id: job for job in (kept, edited, moved)}
        edited = replace(
            edited, revision=2, updated_at=now + SECOND, definition=replace(edited.definition, owner="ada")
        )
        cursor = JobCursor(moved.id, now, now, None, "2026a", made=1)
        assert await store.write(lambda tx: tx.jobs.save(edited, expected_revision=1, actor="ada"))
        await store.write(lambda tx: tx.jobs.advance([cursor]))
        found = await store.write(lambda tx: tx.jobs.due(10, known=known))
        assert found[:2] == [kept, edited]
        assert found[0] is kept
        assert sorted(found[2:], key=lambda job: job.name) == [moved.advanced(cursor), unknown]
        assert await store.write(lambda tx: tx.jobs.due(1, known=known)) == [kept]

    async def test_upcoming_are_active_jobs_due_after_now_page_by_page(self, store: Store, now: datetime) -> None:
        soon, later = a_job(now, "soon", next_run_at=now + MINUTE), a_job(now, "later", next_run_at=now + HOUR)
        same = sorted((a_job(now, name, next_run_at=now + HOUR) for name in ("a", "b")), key=lambda job: job.id)
        others = [
            a_job(now, "due", next_run_at=now),
            a_job(now, "far", next_run_at=now + HOUR + SECOND),
            a_job(now, "paused", next_run_at=now + MINUTE, status=JobStatus.PAUSED),
        ]
        for job in (later, soon, *others, *same):
            await add_job(store, job)
        expected = [soon, *sorted((later, *same), key=lambda job: job.id)]
        until, known = now + HOUR, {soon.id: soon}
        assert await store.read(lambda tx: tx.jobs.upcoming(until, 10)) == expected
        pages, after = [], None
        while page := await store.read(partial(upcoming, until=until, after=after, known=known)):
            pages.append(page)
            assert page[-1].next_run_at is not None
            after = page[-1].next_run_at, page[-1].id
        assert pages == [expected[:2], expected[2:]]
        assert pages[0][0] is soon

    async def test_next_due_is_the_earliest_instant_of_an_active_job(self, store: Store, now: datetime) -> None:
        assert await store.read(lambda tx: tx.jobs.next_due_at()) is None
        await add_job(store, a_job(now, "a", next_run_at=now + HOUR))
        await add_job(store, a_job(now, "b", next_run_at=now + MINUTE, platform_id="other"))
        await add_job(store, a_job(now, "c", next_run_at=now, status=JobStatus.PAUSED))
        await add_job(store, a_job(now, "d"))
        assert await store.read(lambda tx: tx.jobs.next_due_at()) == now + MINUTE

    async def test_undecided_is_the_earliest_instant_that_has_come_of_a_platform_or_of_all(
        self, store: Store, now: datetime
    ) -> None:
        await add_job(store, a_job(now, "to come", next_run_at=now + HOUR))
        await add_job(store, a_job(now, "paused", next_run_at=now - HOUR, status=JobStatus.PAUSED))
        assert await store.read(lambda tx: tx.jobs.undecided_at()) is None
        await add_job(store, a_job(now, "due", next_run_at=now - MINUTE))
        await add_job(store, a_job(now, "later", next_run_at=now - SECOND))
        await add_job(store, a_job(now, "elsewhere", next_run_at=now - HOUR, platform_id="other"))
        assert await store.read(lambda tx: tx.jobs.undecided_at()) == now - HOUR
        assert await store.read(lambda tx: tx.jobs.undecided_at(PLATFORM)) == now - MINUTE
        assert await store.read(lambda tx: tx.jobs.undecided_at("none")) is None

    async def test_advance_writes_the_cursor_and_what_became_of_the_job(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now, next_run_at=now, scheduled_count=3))
        other = await add_job(store, a_job(now, "other", next_run_at=now))
        wall = datetime(2026, 3, 2, 10, 1)
        on = JobCursor(job.id, now + MINUTE, now + HOUR, wall, "2026b", made=2)
        done = JobCursor(other.id, now, None, None, None, status=JobStatus.COMPLETED, status_reason="ran")
        await store.write(lambda tx: tx.jobs.advance([on, done]))
        assert await get(store, job.id) == replace(
            job,
            cursor_at=now + MINUTE,
            next_run_at=now + HOUR,
            cursor_wall=wall,
            tzdb_version="2026b",
            scheduled_count=5,
        )
        assert await get(store, other.id) == replace(
            other, next_run_at=None, status=JobStatus.COMPLETED, status_reason="ran"
        )

    async def test_a_cursor_never_moves_back(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now, cursor_at=now, next_run_at=now + HOUR))
        back = JobCursor(job.id, now - SECOND, now, None, "2026b", made=1)
        await store.write(lambda tx: tx.jobs.advance([back]))
        assert await get(store, job.id) == job

    async def test_of_jobs_that_move_alike_each_that_is_not_further_already_moves(
        self, store: Store, now: datetime
    ) -> None:
        names = ("a", "b", "c")
        a, b, further = [
            await add_job(store, a_job(now, name, cursor_at=at, next_run_at=now))
            for name, at in zip(names, (now - MINUTE, now, now + SECOND), strict=True)
        ]
        done = [
            JobCursor(job.id, now, None, None, "2026b", made=1, status=JobStatus.COMPLETED, status_reason="ran")
            for job in (a, b, further)
        ]
        other = await add_job(store, a_job(now, "other", next_run_at=now))
        await store.write(lambda tx: tx.jobs.advance(done))
        assert [await get(store, job.id) for job in (a, b)] == [a.advanced(done[0]), b.advanced(done[1])]
        assert [await get(store, job.id) for job in (further, other)] == [further, other]

    async def test_event_jobs_are_active_and_paused_ones_of_the_platform_by_name(
        self, store: Store, now: datetime
    ) -> None:
        schedule = {"events": ["order.*"]}
        b, a = (a_job(now, name, type=JobType.EVENT, schedule=schedule) for name in ("b", "a"))
        paused = a_job(now, "c", type=JobType.EVENT, schedule=schedule, status=JobStatus.PAUSED)
        foreign = a_job(now, "d", type=JobType.EVENT, schedule=schedule, platform_id="other")
        archived = a_job(now, "f", type=JobType.EVENT, schedule=schedule, status=JobStatus.ARCHIVED)
        for job in (b, a, paused, foreign, archived, a_job(now, "e")):
            await add_job(store, job)
        assert await store.read(lambda tx: tx.jobs.event_jobs(PLATFORM)) == [a, b, paused]

    async def test_jobs_are_found_by_the_calendars_their_schedules_name(self, store: Store, now: datetime) -> None:
        def using(name: str, calendars: Mapping[str, Any], **more: Any) -> Job:
            return a_job(now, name, schedule={"cron": "0 9 * * *", "calendars": calendars}, **more)

        b, a = using("b", {"exclude": ["tr", "freeze_1"]}), using("a", {"include": ["freeze_1"]})
        others = (
            using("c", {"exclude": ["freezeX1"]}),
            using("d", {"exclude": ["freeze_1"]}, platform_id="other"),
            using("e", {"exclude": ["freeze_1"]}, status=JobStatus.ARCHIVED),
            a_job(now, "f", labels={"calendar": "freeze_1"}),
            a_job(now, "freeze_1"),
        )
        for job in (b, a, *others):
            await add_job(store, job)
        assert await store.read(lambda tx: tx.jobs.with_calendar(PLATFORM, "freeze_1", 5)) == [a, b]
        assert await store.read(lambda tx: tx.jobs.with_calendar(PLATFORM, "freeze_1", 1)) == [a]
        assert await store.read(lambda tx: tx.jobs.with_calendar(PLATFORM, "holidays", 5)) == []

    async def test_jobs_are_locked_in_order_of_id_whatever_the_order_asked_for(
        self, store: Store, now: datetime
    ) -> None:
        jobs = [a_job(now, name) for name in ("a", "b", "c")]
        for job in jobs:
            await add_job(store, job)
        ids = [jobs[2].id, jobs[0].id, new_id(now), jobs[1].id]
        assert await store.write(lambda tx: tx.jobs.lock(ids)) == jobs
        assert await store.write(lambda tx: tx.jobs.lock([])) == []

    async def test_a_pause_is_over_when_its_instant_has_come(self, store: Store, now: datetime) -> None:
        over, sharp = (
            a_job(now, name, status=JobStatus.PAUSED, paused_at=now - HOUR, paused_until=until)
            for name, until in (("over", now - MINUTE), ("sharp", now))
        )
        await add_job(store, over)
        await add_job(store, sharp)
        await add_job(store, a_job(now, "longer", status=JobStatus.PAUSED, paused_until=now + HOUR))
        await add_job(store, a_job(now, "open", status=JobStatus.PAUSED))
        await add_job(store, a_job(now, "active", paused_until=now - HOUR))
        found = await store.write(lambda tx: tx.jobs.paused_until_passed(10))
        assert sorted(names(found)) == ["over", "sharp"]
        assert len(await store.write(lambda tx: tx.jobs.paused_until_passed(1))) == 1

    async def test_outdated_are_active_timed_jobs_computed_with_other_zone_data_by_id(
        self, store: Store, now: datetime
    ) -> None:
        old = await add_job(store, a_job(now, "old", tzdb_version="2025b"))
        older = await add_job(store, a_job(now, "older", tzdb_version="2025a"))
        for job in (
            a_job(now, "current", tzdb_version="2026a"),
            a_job(now, "not-computed"),
            a_job(now, "paused", tzdb_version="2025b", status=JobStatus.PAUSED),
            a_job(now, "event", tzdb_version="2025b", type=JobType.EVENT),
        ):
            await add_job(store, job)
        assert await store.write(lambda tx: tx.jobs.outdated("2026a", 10)) == [old, older]
        assert await store.write(lambda tx: tx.jobs.outdated("2026a", 1)) == [old]
        assert await store.write(lambda tx: tx.jobs.outdated("2026a", 10, after=old.id)) == [older]

    async def test_count_leaves_out_archived_and_foreign_jobs(self, store: Store, now: datetime) -> None:
        await add_job(store, a_job(now, "a"))
        await add_job(store, a_job(now, "b", status=JobStatus.PAUSED))
        await add_job(store, a_job(now, "c", status=JobStatus.ARCHIVED))
        await add_job(store, a_job(now, "d", platform_id="other"))
        assert await store.read(lambda tx: tx.jobs.count(PLATFORM, 100)) == 2
        assert await store.read(lambda tx: tx.jobs.count(PLATFORM, 1)) == 1

    async def test_rollups_are_written_whole_and_left_out_where_a_job_never_ran(
        self, store: Store, now: datetime
    ) -> None:
        ran, idle = await add_job(store, a_job(now, "ran")), await add_job(store, a_job(now, "idle"))
        first = JobStats(ran.id, 4, 2, 1, 1, timedelta(milliseconds=2500), 1, now, Status.FAILED)
        second = JobStats(ran.id, total=5, success=5)
        await store.write(lambda tx: tx.jobs.put_stats([first]))
        assert await store.read(lambda tx: tx.jobs.stats([ran.id, idle.id])) == {ran.id: first}
        held = await store.write(lambda tx: tx.jobs.stats([idle.id, ran.id], lock=True))
        assert held == {ran.id: first, idle.id: JobStats(idle.id)}
        await store.write(lambda tx: tx.jobs.put_stats([second]))
        assert await store.read(lambda tx: tx.jobs.stats([ran.id])) == {ran.id: second}


def every_field_set(now: datetime) -> Job:
    """Return a job none of whose fields has its default."""
    definition = JobDefinition(
        name="everything",
        type=JobType.RECURRING,
        handler="agent:writer",
        handler_type="agent",
        description='Zürich, "東京"\n',
        labels={"team": "ops"},
        owner="ada",
        payload={"n": 1.5, "list": [1, None, {"x": True}], "text": "ü"},
        schedule={"every_ms": 60_000},
        timezone="Europe/Istanbul",
        priority=9,
        queue="mail",
        max_concurrency=4,
        concurrency_key="tenant-1",
        concurrency_limit=2,
        overlap=Overlap.CANCEL_OTHER,
        buffer_limit=7,
        misfire=Misfire.FIRE_ALL,
        misfire_grace=timedelta(milliseconds=1234),
        catch_up_window=timedelta(days=2),
        max_catch_up=5,
        timeout=timedelta(seconds=90),
        retry=RetryPolicy(3, timedelta(milliseconds=1500), 1.5, timedelta(minutes=9), RetryJitter.NONE),
        start_deadline=timedelta(minutes=3),
        isolation=Isolation.PROCESS,
        on_success=("next", "other"),
        on_failure=("alarm",),
        pause_after_failures=3,
        dead_letter=False,
    )
    return Job(
        id=new_id(now),
        platform_id=PLATFORM,
        definition=definition,
        status=JobStatus.PAUSED,
        revision=4,
        created_at=now - HOUR,
        updated_at=now - timedelta(microseconds=1),
        cursor_at=now - MINUTE,
        next_run_at=now + timedelta(microseconds=123456),
        cursor_wall=datetime(2026, 3, 2, 10, 30),
        tzdb_version="2026a",
        scheduled_count=12,
        status_reason="maintenance",
        paused_at=now - SECOND,
        paused_until=now + HOUR,
    )


async def get(store: Store, name_or_id: str, platform_id: str = PLATFORM) -> Job | None:
    """Return a stored job."""
    return await store.read(lambda tx: tx.jobs.get(platform_id, name_or_id))


async def save(store: Store, job: Job, expected_revision: int) -> bool:
    """Write a job over the expected revision."""
    return await store.write(lambda tx: tx.jobs.save(job, expected_revision=expected_revision, actor="bob"))


def names(jobs: list[Job]) -> list[str]:
    """Return the names of jobs, in their order."""
    return [job.name for job in jobs]
