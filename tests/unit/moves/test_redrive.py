"""Dead letters, many at a time: by filter, oldest first, spread over time, and idempotent when repeated."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mainspring.control.dead_letters import DeadLetterService, LetterFilter
from mainspring.errors import LimitExceededError, NotFoundError, ValidationError
from mainspring.model.execution import Cause, Failure, Status
from mainspring.model.node import Limit
from mainspring.model.outcome import Failed, TimedOut
from mainspring.moves.enqueue import trigger
from mainspring.moves.retain import Retention, retain

SECOND = timedelta(seconds=1)


def dies(bench: Any, name: str = "job", outcome: Any = None) -> str:
    made = bench.do(lambda tx: trigger(tx, "default", name))
    error = {"type": "ValueError", "message": "no", "traceback": ""}
    bench.settle(next(e for e in bench.claim() if e.id == made.id), outcome or Failed(error))
    return str(made.id)


@pytest.fixture
def service(bench: Any) -> DeadLetterService:
    bench.job(overlap="allow_all", retry={"max_retries": 0})
    bench.job("other", handler="other", overlap="allow_all", retry={"max_retries": 0})
    return DeadLetterService(bench.store)


TIMED_OUT = TimedOut({"type": "TimeoutError", "message": "too long", "traceback": ""})


async def test_a_dry_run_counts_groups_what_is_alike_and_changes_nothing(bench, service) -> None:
    for _ in range(3):
        dies(bench)
    dies(bench, "other", TIMED_OUT)
    found = await service.matching(LetterFilter())
    assert (found.count, found.more) == (4, False)
    assert [(one.count, one.error) for one in found.alike] == [(3, "ValueError: no"), (1, "TimeoutError: too long")]
    bounded = await service.matching(LetterFilter(), limit=2)
    assert (bounded.count, bounded.more) == (2, True)
    assert bench.do(lambda tx: tx.dead_letters.count("default", 100)) == 4


async def test_each_part_of_a_filter_narrows(bench, service) -> None:
    first = dies(bench)
    bench.clock.advance(SECOND)
    at = bench.clock.now()
    second = dies(bench, "other")
    third = dies(bench, outcome=TIMED_OUT)

    async def count(**parts: Any) -> int:
        return (await service.matching(LetterFilter(**parts))).count

    fingerprint = bench.do(lambda tx: tx.dead_letters.get(first)).fingerprint
    assert await count(job="other") == 1
    assert await count(handler="h") == 2
    assert await count(failure=Failure.TIMEOUT) == 1
    assert await count(fingerprint=fingerprint) == 1
    assert await count(since=at) == 2
    assert await count(until=at) == 1
    assert await count(since=at, handler="h") == 1
    with pytest.raises(NotFoundError):
        await count(job="nobody")
    assert len({first, second, third}) == 3


async def test_redriving_makes_new_executions_oldest_first_and_closes_the_letters(bench, service) -> None:
    dead = [dies(bench) for _ in range(5)]
    worked = await service.redrive(LetterFilter(job="job"), limit=3)
    assert [old for old, _ in worked.done] == dead[:3]
    assert worked.more
    fresh = [bench.get(new) for _, new in worked.done]
    assert [(e.retry_of, e.cause, e.status) for e in fresh] == [(d, Cause.RETRY, Status.QUEUED) for d in dead[:3]]
    again = await service.redrive(LetterFilter(job="job"))
    assert [old for old, _ in again.done] == dead[3:]
    assert (await service.redrive(LetterFilter(job="job"))).done == []
    assert len(bench.executions(Status.QUEUED)) == 5


async def test_a_rate_spreads_the_starts_and_keeps_no_more_than_that(bench, service) -> None:
    for _ in range(450):
        dies(bench)
    begun = bench.clock.now()
    worked = await service.redrive(LetterFilter(handler="h"), rate=10)
    assert len(worked.done) == 450
    starts = sorted(bench.get(new).available_at for _, new in worked.done)
    assert starts[0] == begun
    assert worked.until == starts[-1] == begun + 449 * SECOND / 10
    for at, later in zip(starts, starts[10:], strict=False):
        assert later - at >= SECOND
    bench.clock.advance(SECOND)
    bench.promote()
    assert len(bench.executions(Status.QUEUED)) == 11


async def test_discarding_closes_with_the_reason(bench, service) -> None:
    dead = [dies(bench) for _ in range(2)]
    dies(bench, "other")
    worked = await service.discard(LetterFilter(job="job"), reason="known, mended")
    assert [old for old, _ in worked.done] == dead
    letter = bench.do(lambda tx: tx.dead_letters.get(dead[0]))
    assert (letter.status, letter.reason) == ("discarded", "known, mended")
    assert bench.do(lambda tx: tx.dead_letters.count("default", 100)) == 1


async def test_everything_has_to_be_asked_for(bench, service) -> None:
    dies(bench)
    with pytest.raises(ValidationError, match="names nothing"):
        await service.redrive(LetterFilter())
    with pytest.raises(ValidationError, match="names nothing"):
        await service.discard(LetterFilter(), reason="x")
    assert len((await service.redrive(LetterFilter(), everything=True)).done) == 1


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": -1}, {"rate": 1e9}, {"limit": 0}], ids=str)
async def test_a_rate_or_a_limit_that_makes_no_sense_is_refused(bench, service, wrong) -> None:
    with pytest.raises(ValidationError):
        await service.redrive(LetterFilter(job="job"), **wrong)


async def test_the_platform_s_limit_of_pending_executions_holds(bench, service) -> None:
    for _ in range(3):
        dies(bench)
    bench.do(lambda tx: tx.platforms.put_limit(Limit("default", "platform", max_pending=2)))
    with pytest.raises(LimitExceededError):
        await service.redrive(LetterFilter(job="job"))
    assert bench.do(lambda tx: tx.dead_letters.count("default", 100)) == 3


async def test_an_open_letter_keeps_its_execution_whatever_its_age(bench, service) -> None:
    dies(bench)
    bench.relay()
    bench.clock.advance(timedelta(days=400))
    bench.do(lambda tx: retain(tx, Retention()))
    assert len((await service.redrive(LetterFilter(job="job"))).done) == 1
