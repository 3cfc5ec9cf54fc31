"""What events add to the rollups."""

from datetime import timedelta

import pytest

from mainspring.model import histogram
from mainspring.model.outcome import Failed, Succeeded
from mainspring.model.rollup import Span
from mainspring.moves import rollup
from mainspring.moves.enqueue import EnqueueRequest, enqueue, trigger
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.retain import Retention, retain
from tests.unit.moves.conftest import START

ERROR = {"type": "ValueError", "message": "no", "traceback": ""}
HOUR = timedelta(hours=1)


def series(bench, span, job_id=""):
    return bench.do(
        lambda tx: tx.rollups.series(
            span, "default", job_id=job_id, since=START - 900 * HOUR, until=START + 999 * HOUR, limit=99
        )
    )


def run(bench, outcome=None, took=1.5, waited=0.25):
    made = bench.do(lambda tx: trigger(tx, "default", "job"))
    bench.clock.advance(timedelta(seconds=waited))
    claimed = next(e for e in bench.claim() if e.id == made.id)
    bench.clock.advance(timedelta(seconds=took))
    bench.settle(claimed, outcome or Succeeded())
    bench.relay()


def test_an_execution_is_counted_in_its_minute_quarter_hour_and_in_the_total(bench):
    job = bench.job()
    run(bench)
    found = [
        *series(bench, Span.MINUTE),
        *series(bench, Span.QUARTER, job.id),
        *series(bench, Span.HOUR),
        *bench.do(lambda tx: tx.rollups.totals(9)),
    ]
    assert [(f.span, f.queue, f.handler) for f in found] == [
        (Span.MINUTE, "", ""),
        (Span.QUARTER, "", ""),
        (Span.HOUR, "default", "h"),
        (Span.TOTAL, "default", "h"),
    ]
    for one in found:
        assert one.counts == {"success": 1}
        assert histogram.sum_of(one.durations) == 1500
        assert histogram.sum_of(one.delays) == 250


def test_failures_retries_and_dead_letters_are_counted_apart(bench):
    bench.job(retry={"max_retries": 1, "retry_delay_ms": 0})
    run(bench, Failed(ERROR))
    bench.promote()
    (again,) = bench.claim()
    bench.settle(again, Failed(ERROR))
    bench.relay()
    (total,) = bench.do(lambda tx: tx.rollups.totals(9))
    assert total.counts == {"retry": 1, "failed": 1, "dead": 1}
    assert histogram.count_of(total.delays) == 1, "a retry waits by its backoff, which is no delay"


def test_skipped_instants_are_counted_by_decision_where_their_range_begins(bench):
    job = bench.job(misfire="skip")
    bench.clock.advance(5 * HOUR + timedelta(minutes=30))
    bench.plan()
    bench.relay()
    assert [quarter.counts for quarter in series(bench, Span.QUARTER, job.id)] == [{"skipped_misfire": 5}]
    assert series(bench, Span.MINUTE)[0].counts == {"skipped_misfire": 5}


def test_an_event_published_twice_is_counted_once(bench):
    bench.job()
    made = bench.do(lambda tx: trigger(tx, "default", "job"))
    bench.settle(next(e for e in bench.claim() if e.id == made.id))
    events = bench.do(take_unpublished)
    for _ in range(2):
        bench.do(lambda tx: mark_published(tx, bench.schedules, events))
    assert bench.do(lambda tx: tx.rollups.totals(9))[0].counts == {"success": 1}


def test_totals_tell_only_so_many_handlers_apart(bench, monkeypatch):
    monkeypatch.setattr(rollup, "TOTALS", 2)
    for queue in ("a", "b", "c", "d", "a"):
        bench.do(lambda tx, queue=queue: enqueue(tx, [EnqueueRequest("h", queue=queue)]))
        (one,) = bench.executions()[-1:]
        claimed = bench.do(lambda tx, one=one: rollup_claim(tx, one.id))
        bench.settle(claimed)
        bench.relay()
    totals = bench.do(lambda tx: tx.rollups.totals(9))
    assert {t.queue: t.counts["success"] for t in totals} == {"a": 2, "b": 1, "other": 2}


def test_minutes_go_after_two_days_and_quarters_with_the_ledger(bench):
    job = bench.job()
    run(bench)
    bench.clock.advance(timedelta(days=3))
    bench.do(lambda tx: retain(tx, Retention()))
    assert series(bench, Span.MINUTE) == []
    assert series(bench, Span.QUARTER, job.id)
    bench.clock.advance(timedelta(days=400))
    bench.do(lambda tx: retain(tx, Retention()))
    assert series(bench, Span.QUARTER, job.id) == series(bench, Span.HOUR) == []
    assert bench.do(lambda tx: tx.rollups.totals(9))


def rollup_claim(tx, execution_id):
    from mainspring.moves.claim import claim

    return claim(tx, "w", queues={}, handlers=[], limit=1, lease=timedelta(seconds=15), only=execution_id)[0]


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_a_percentile_is_within_five_percent(percent):
    durations = [n * n for n in range(1, 400)]
    counted: dict[str, int] = {}
    histogram.observe(counted, durations)
    exact = durations[max(1, -(-len(durations) * percent // 100)) - 1]
    found = histogram.percentile(counted, percent)
    assert found == pytest.approx(exact, rel=0.05, abs=1)
