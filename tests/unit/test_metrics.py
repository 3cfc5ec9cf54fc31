"""The metrics: described in one place, bounded in number, and silent about tenants."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mainspring.adapters.memory import MemoryStore
from mainspring.adapters.prometheus import render
from mainspring.control.fleet_figures import fleet_figures
from mainspring.model import metrics as m
from mainspring.model.admin import Platform
from mainspring.model.events import Event, EventType
from mainspring.model.metrics import METRICS, Figure, Timer
from mainspring.model.node import DispatcherNode, HandlerRow, WorkerNode
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.rollup import roll_up
from mainspring.ports.store import Tx
from mainspring.testing.clock import ManualClock
from tests import metrics_page

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
#: Labels a metric may have; what would grow with the work or name a tenant is not among them.
LABELS = {
    "queue", "handler", "status", "outcome", "decision", "reason", "loop", "state", "what", "method", "route",
    "version", "tzdb_version",
}  # fmt: skip


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_keeps_to_the_conventions(metric: m.Metric) -> None:
    assert re.fullmatch(r"mainspring_[a-z][a-z0-9_]*", metric.full_name)
    assert metric.kind in ("gauge", "counter", "histogram")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|millis|minutes|hours)\b", metric.name), "base units alone"
    assert metric.kind != "histogram" or metric.name.endswith("_seconds")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert metric.help.endswith(".")
    assert set(metric.labels) <= LABELS


def test_a_large_fleet_has_a_few_thousand_series() -> None:
    """The whole budget, every label at its cap: it may never grow with jobs, tenants, hosts or time."""
    caps = {
        "queue": m.LABEL_VALUES, "handler": m.LABEL_VALUES, "status": 5, "outcome": 4, "decision": 12, "reason": 3,
        "loop": 10, "state": 3, "what": 10, "method": 6, "route": 100, "version": 1, "tzdb_version": 1,
    }  # fmt: skip
    series = 0
    for metric in METRICS.values():
        # Pairs of queue and handler are bounded by the totals that are kept, not by their product.
        pairs = {"queue", "handler"} <= set(metric.labels)
        count = 502 if pairs else 1
        for label in metric.labels:
            if not (pairs and label in ("queue", "handler")):
                count *= 5 if label == "status" else caps[label]
        series += count * (len(metric.buckets) + 3 if metric.buckets else 1)
    assert series < 20_000


async def fleet(work) -> tuple[list[Figure], str]:
    store = MemoryStore(ManualClock(NOW), random=random.Random(1))
    await store.open()
    await store.write(work)
    figures = await store.read(fleet_figures)
    return figures, render(figures)[0].decode()


def ended(tx: Tx, queue: str, handler: str, kind: EventType = EventType.EXECUTION_SUCCESS) -> Event:
    data = {"execution_id": tx.new_id(), "handler": handler, "queue": queue, "duration_ms": 1500, "delay_ms": 20}
    return Event(tx.new_id(), kind, "secret-tenant", NOW, data=data)


async def test_the_fleet_is_told_from_rows_and_rollups() -> None:
    def work(tx: Tx) -> None:
        tx.admin.put_platform(Platform("default", created_at=NOW))
        tx.nodes.put_worker(WorkerNode("w", "host", 1, NOW, NOW, "1", {"default": 4}, ("h",)))
        tx.nodes.put_dispatcher(DispatcherNode("d", "host", 1, NOW, NOW, "1", "2026a"))
        tx.nodes.announce([HandlerRow("h", "function", NOW)])
        enqueue(tx, [EnqueueRequest("h"), EnqueueRequest("h")])
        events = [ended(tx, "default", "h"), ended(tx, "default", "h", EventType.EXECUTION_FAILED)]
        skipped = {"decision": "skipped_misfire", "job_id": "j", "count": 3, "scheduled_at": NOW.isoformat()}
        roll_up(tx, [*events, Event(tx.new_id(), EventType.OCCURRENCE_SKIPPED, "default", NOW, data=skipped)])

    _, text = await fleet(work)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    h = ("handler", "h"), ("outcome", "success"), ("queue", "default")
    assert found["mainspring_executions_finished_total", *h] == 1
    assert found["mainspring_queue_depth", ("queue", "default")] == 2
    assert found["mainspring_queue_slots", ("queue", "default")] == 4
    assert found["mainspring_executions", ("status", "queued")] == 2
    assert found["mainspring_occurrences_skipped_total", ("decision", "skipped_misfire")] == 3
    assert found["mainspring_execution_duration_seconds_sum", ("handler", "h")] == 3
    assert found["mainspring_execution_duration_seconds_bucket", ("handler", "h"), ("le", "1.0")] == 0
    assert found["mainspring_execution_duration_seconds_bucket", ("handler", "h"), ("le", "5.0")] == 2
    assert found["mainspring_start_delay_seconds_count", ("queue", "default")] == 2
    assert found["mainspring_decided_up_to_timestamp_seconds",] == NOW.timestamp()
    assert found["mainspring_workers", ("status", "running")] == 1


async def test_no_tenant_is_named_whatever_it_calls_its_queues_and_handlers() -> None:
    marker = "secret-tenant"

    def work(tx: Tx) -> None:
        tx.admin.put_platform(Platform(marker, created_at=NOW))
        tx.nodes.put_worker(WorkerNode("w", marker, 1, NOW, NOW, "1", {"default": 4}, ("h",)))
        tx.nodes.announce([HandlerRow(f"{marker}:h", "function", NOW, platform_id=marker)])
        enqueue(tx, [EnqueueRequest(f"{marker}:h", platform_id=marker, queue=f"{marker}-queue")])
        roll_up(tx, [ended(tx, f"{marker}-queue", "h"), ended(tx, "default", f"{marker}:h")])

    _, text = await fleet(work)
    assert marker not in text
    assert 'mainspring_executions_finished_total{handler="other",outcome="success",queue="default"} 1.0' in text


async def test_every_figure_of_the_fleet_is_a_described_one() -> None:
    figures, _ = await fleet(lambda tx: None)
    assert {figure.metric.source for figure in figures} == {"fleet"}
    assert all(len(figure.labels) == len(figure.metric.labels) for figure in figures)


async def test_what_is_undecided_holds_the_watermark_back() -> None:
    from mainspring.control.watermark import read_watermark
    from mainspring.model.wire import definition_from_wire
    from mainspring.moves.jobs import create_job
    from mainspring.moves.plan import plan_due
    from mainspring.moves.schedules import Schedules

    clock = ManualClock(NOW)
    store = MemoryStore(clock, random=random.Random(1))
    await store.open()
    wire = {"name": "hourly", "type": "cron", "handler": "h", "schedule": {"cron": "0 * * * *"}}
    await store.write(lambda tx: create_job(tx, "acme", definition_from_wire(wire)))
    clock.advance(timedelta(hours=2, minutes=5))
    behind = await store.read(read_watermark)
    assert (behind.decided_up_to, behind.lag) == (NOW + timedelta(hours=1), timedelta(hours=1, minutes=5))
    assert (await store.read(lambda tx: read_watermark(tx, "acme"))) == behind
    assert (await store.read(lambda tx: read_watermark(tx, "other"))).lag == timedelta(0)
    await store.write(lambda tx: plan_due(tx, Schedules(), "d"))
    assert (await store.read(read_watermark)).decided_up_to == clock.now()


def test_a_timer_counts_in_cumulative_buckets() -> None:
    timer = Timer((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7):
        timer.observe(seconds)
    figure = timer.figure(m.API_DURATION, "GET")
    assert figure.buckets == (2, 3, 4)
    assert figure.value == pytest.approx(7.65)


def test_openmetrics_is_told_to_who_asks_for_it() -> None:
    _, kind = render([Figure(m.HELD)], "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert render([Figure(m.HELD)])[1].startswith("text/plain")


def test_the_operators_page_tells_every_metric_as_it_is() -> None:
    page = metrics_page.PAGE.read_text("utf-8")
    assert page == metrics_page.renewed(page), "write it again: python -m tests.metrics_page"
