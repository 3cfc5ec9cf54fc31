"""What a store promises of logs and dead letters."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from mainspring.model.execution import DeadLetter, Execution, Failure, LogLine, Status
from mainspring.ports.store import LetterQuery, Store
from tests.contracts.store_rows import MINUTE, PLATFORM, a_job, a_letter, add, add_job, an_execution, lines, new_id


class RecordContract:
    """`LogTable` and `DeadLetterTable`."""

    # -- logs ------------------------------------------------------------------------------------------------------

    async def test_a_log_line_comes_back_whole_with_its_number(self, store: Store, now: datetime) -> None:
        execution = an_execution(now)
        await add(store, execution)
        fields = {"deep": {"n": [1]}, "text": "ü"}
        line = LogLine(execution.id, 99, now, "warning", "two\nlines", fields, attempt=3, external=True)
        assert await store.write(lambda tx: tx.logs.append(execution.id, [line], fence=None, cap=10)) == 1
        assert await store.read(lambda tx: tx.logs.read(execution.id)) == [replace(line, line=1)]

    async def test_lines_are_numbered_on_without_gaps_across_batches_and_attempts(
        self, store: Store, now: datetime
    ) -> None:
        one, two = an_execution(now), an_execution(now)
        await add(store, one, two)

        async def append(e: Execution, *messages: str) -> int | None:
            return await store.write(lambda tx: tx.logs.append(e.id, lines(e, *messages), fence=None, cap=100))

        assert [await append(one, "a", "b"), await append(two, "x"), await append(one, "c")] == [2, 1, 3]
        assert await texts(store, one.id) == [(1, "a"), (2, "b"), (3, "c")]
        assert await texts(store, two.id) == [(1, "x")]

    async def test_a_log_is_read_on_from_a_line_in_pages(self, store: Store, now: datetime) -> None:
        execution = an_execution(now)
        await add(store, execution)
        await store.write(lambda tx: tx.logs.append(execution.id, lines(execution, *"abcd"), fence=None, cap=100))
        assert await texts(store, execution.id, after=1, limit=2) == [(2, "b"), (3, "c")]
        assert await texts(store, execution.id, after=4) == []
        assert await texts(store, new_id(now)) == []

    async def test_a_log_keeps_its_first_lines_up_to_the_cap(self, store: Store, now: datetime) -> None:
        execution = an_execution(now)
        await add(store, execution)

        async def append(*messages: str) -> int | None:
            return await store.write(
                lambda tx: tx.logs.append(execution.id, lines(execution, *messages), fence=None, cap=3)
            )

        assert [await append("a", "b"), await append("c", "d"), await append("e")] == [2, 3, 3]
        assert await texts(store, execution.id) == [(1, "a"), (2, "b"), (3, "c")]

    async def test_a_stale_fence_stores_no_line(self, store: Store, now: datetime) -> None:
        execution = an_execution(now, Status.RUNNING, fence=2)
        await add(store, execution)

        async def append(fence: int | None) -> int | None:
            line = lines(execution, f"under {fence}")
            return await store.write(lambda tx: tx.logs.append(execution.id, line, fence=fence, cap=10))

        assert [await append(1), await append(2), await append(3), await append(None)] == [None, 1, None, 2]
        assert await texts(store, execution.id) == [(1, "under 2"), (2, "under None")]

    async def test_lines_written_last_are_kept_after_the_execution_ended_under_that_fence(
        self, store: Store, now: datetime
    ) -> None:
        execution = an_execution(now, Status.SUCCESS, fence=1)
        await add(store, execution)
        assert await store.write(lambda tx: tx.logs.append(execution.id, lines(execution, "bye"), fence=1, cap=10)) == 1

    async def test_appending_no_lines_tells_the_last_number(self, store: Store, now: datetime) -> None:
        execution = an_execution(now)
        await add(store, execution)

        async def nothing() -> int | None:
            return await store.write(lambda tx: tx.logs.append(execution.id, [], fence=None, cap=10))

        assert await nothing() == 0
        await store.write(lambda tx: tx.logs.append(execution.id, lines(execution, "a", "b"), fence=None, cap=10))
        assert await nothing() == 2

    # -- dead letters ----------------------------------------------------------------------------------------------

    async def test_a_dead_letter_comes_back_whole(self, store: Store, now: datetime) -> None:
        job, execution, redriven = await add_job(store, a_job(now)), an_execution(now), an_execution(now)
        await add(store, execution, redriven)
        letter = DeadLetter(
            execution_id=execution.id,
            platform_id=PLATFORM,
            handler="kb:tidy",
            failure=Failure.POISONED,
            created_at=now,
            fingerprint="f1",
            job_id=job.id,
            job_name=job.name,
            error={"type": "E", "message": "no", "traceback": ""},
            status="redriven",
            resolved_at=now + MINUTE,
            reason="mended",
            redriven_as=redriven.id,
        )
        await store.write(lambda tx: tx.dead_letters.add([letter]))
        assert await store.read(lambda tx: tx.dead_letters.get(execution.id)) == letter
        assert await store.write(lambda tx: tx.dead_letters.get(execution.id, lock=True)) == letter
        assert await store.read(lambda tx: tx.dead_letters.get(new_id(now))) is None

    async def test_dead_letters_are_listed_newest_execution_first_in_pages(self, store: Store, now: datetime) -> None:
        letters = await dead(store, now, {}, {}, {})
        assert await store.read(lambda tx: tx.dead_letters.find(PLATFORM)) == letters[::-1]
        page = await store.read(lambda tx: tx.dead_letters.find(PLATFORM, limit=2))
        assert page == [letters[2], letters[1]]
        before = page[-1].execution_id
        assert await store.read(lambda tx: tx.dead_letters.find(PLATFORM, before_id=before)) == [letters[0]]

    async def test_dead_letters_are_found_by_every_field_given(self, store: Store, now: datetime) -> None:
        job = await add_job(store, a_job(now))
        plain, of_a_job, closed, foreign = await dead(
            store,
            now,
            {"handler": "h1"},
            {"job_id": job.id, "job_name": job.name},
            {"fingerprint": "f2", "status": "discarded", "resolved_at": now},
            {"platform_id": "other"},
        )

        async def find(**query: Any) -> list[DeadLetter]:
            return await store.read(lambda tx: tx.dead_letters.find(PLATFORM, **query))

        assert await find() == [of_a_job, plain]
        assert await find(status=None) == [closed, of_a_job, plain]
        assert await find(status="discarded") == [closed]
        assert await find(job_id=job.id) == [of_a_job]
        assert await find(handler="h1") == [plain]
        assert await find(fingerprint="f2") == []
        assert await find(fingerprint="f2", status=None) == [closed]
        assert await store.read(lambda tx: tx.dead_letters.find("other")) == [foreign]
        assert await store.read(lambda tx: tx.dead_letters.count(PLATFORM, 100)) == 2
        assert await store.read(lambda tx: tx.dead_letters.count(PLATFORM, 1)) == 1

    async def test_a_dead_letter_is_closed_once(self, store: Store, now: datetime) -> None:
        (letter,) = await dead(store, now, {})
        again = an_execution(now, retry_of=letter.execution_id)
        await add(store, again)
        closed, at = await store.write(
            lambda tx: (
                tx.dead_letters.resolve(letter.execution_id, status="redriven", reason="mended", redriven_as=again.id),
                tx.now,
            )
        )
        assert closed

        async def resolve(execution_id: str) -> bool:
            return await store.write(lambda tx: tx.dead_letters.resolve(execution_id, status="discarded"))

        assert not await resolve(letter.execution_id)
        assert not await resolve(again.id)
        expected = replace(letter, status="redriven", resolved_at=at, reason="mended", redriven_as=again.id)
        assert await store.read(lambda tx: tx.dead_letters.get(letter.execution_id)) == expected
        assert await store.read(lambda tx: tx.dead_letters.count(PLATFORM, 100)) == 0

    async def test_a_stored_dead_letter_is_not_shared(self, store: Store, now: datetime) -> None:
        (letter,) = await dead(store, now, {"error": {"type": "E", "tags": ["a"]}})
        assert letter.error is not None
        letter.error["tags"].append("b")
        found = await store.read(lambda tx: tx.dead_letters.get(letter.execution_id))
        assert found is not None
        assert found.error == {"type": "E", "tags": ["a"]}

    async def test_open_dead_letters_are_found_oldest_first_by_every_field_given(
        self, store: Store, now: datetime
    ) -> None:
        job = await add_job(store, a_job(now))
        executions = [an_execution(now, Status.FAILED) for _ in range(4)]
        await add(store, *executions)
        first, second, third, closed = (a_letter(execution) for execution in executions)
        first = replace(first, job_id=job.id, failure=Failure.TIMEOUT, created_at=now - MINUTE)
        second = replace(second, handler="other", fingerprint="f-2", created_at=now)
        third = replace(third, created_at=now + MINUTE, platform_id="other")
        closed = replace(closed, status="discarded")
        await store.write(lambda tx: tx.dead_letters.add([second, closed, third, first]))

        async def found(query: LetterQuery, **more: Any) -> list[DeadLetter]:
            options = {"limit": 10, **more}
            return await store.write(lambda tx: tx.dead_letters.open(PLATFORM, query, **options))

        every = LetterQuery()
        assert await found(every) == await found(every, lock=True) == [first, second]
        assert await found(every, limit=1) == [first]
        assert await found(every, after_id=first.execution_id) == [second]
        assert await found(LetterQuery(job_id=job.id)) == [first]
        assert await found(LetterQuery(failure=Failure.TIMEOUT)) == [first]
        assert await found(LetterQuery(handler="other")) == [second]
        assert await found(LetterQuery(fingerprint="f-2")) == [second]
        assert await found(LetterQuery(since=now)) == [second]
        assert await found(LetterQuery(until=now)) == [first]
        assert await found(LetterQuery(handler="other", until=now)) == []


async def texts(store: Store, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, str]]:
    """Return the numbers and messages of a log."""
    found = await store.read(lambda tx: tx.logs.read(execution_id, after=after, limit=limit))
    return [(line.line, line.message) for line in found]


async def dead(store: Store, now: datetime, *values: dict[str, object]) -> list[DeadLetter]:
    """Store one failed execution with its dead letter for each of ``values``."""
    executions = [an_execution(now, Status.FAILED) for _ in values]
    letters = [a_letter(execution, **given) for execution, given in zip(executions, values, strict=True)]
    await add(store, *executions)
    await store.write(lambda tx: tx.dead_letters.add(letters))
    return letters
