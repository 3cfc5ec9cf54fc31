"""The doctor's findings and the status screen, on the in-memory store: what is wrong, and the command that mends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from mainspring.adapters.memory.store import MemoryStore
from mainspring.control.doctor import Finding, Grade, examine, worst
from mainspring.control.scheduler import SchedulerService
from mainspring.control.status import collect_status
from mainspring.model.node import DispatcherNode, HandlerRow, WorkerNode
from mainspring.moves.schedules import Schedules
from mainspring.schedule import tzdb_version
from mainspring.testing.clock import ManualClock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Clinic:
    """A store with a service on it, and what the doctor finds there."""

    store: MemoryStore
    service: SchedulerService
    clock: ManualClock

    async def findings(self) -> dict[str, Finding]:
        found = await self.store.read(lambda tx: examine(tx, Schedules(), "default"))
        return {finding.check: finding for finding in found}

    async def nodes(self, *, handlers: tuple[str, ...] = ("h",), queue: str = "default", tzdata: str = "") -> None:
        now = self.clock.now()

        def work(tx: Any) -> None:
            tx.nodes.put_worker(WorkerNode("w", "host", 1, now, now, "1", {queue: 5}, handlers))
            tx.nodes.put_dispatcher(DispatcherNode("d", "host", 1, now, now, "1", tzdata or tzdb_version()))
            tx.nodes.announce([HandlerRow(name, "function", now) for name in handlers])

        await self.store.write(work)


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    clock = ManualClock(START)
    store = MemoryStore(clock, random=Random(1))
    await store.open()
    yield Clinic(store, SchedulerService(store), clock)
    await store.close()


def job(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "recurring", "handler": "h", "schedule": {"every_ms": 60_000}, **fields}


async def test_with_nobody_alive_the_doctor_says_so_first(clinic: Clinic) -> None:
    found = await clinic.findings()
    assert found["dispatcher"].grade is Grade.ERROR
    assert found["worker"].grade is Grade.ERROR
    assert found["dispatcher"].fix
    assert worst(list(found.values())) is Grade.ERROR


async def test_with_everything_in_place_nothing_is_wrong(clinic: Clinic) -> None:
    await clinic.nodes()
    await clinic.service.create_job(job())
    found = await clinic.findings()
    assert {finding.grade for finding in found.values()} == {Grade.OK}


async def test_a_node_not_seen_for_long_is_not_alive(clinic: Clinic) -> None:
    await clinic.nodes()
    clinic.clock.advance(timedelta(minutes=1))
    found = await clinic.findings()
    assert found["worker"].grade is Grade.ERROR
    assert found["worker"].evidence["last_seen_at"] == START.isoformat()


async def test_what_is_late_is_named_with_how_late(clinic: Clinic) -> None:
    await clinic.nodes()
    await clinic.service.create_job(job())
    clinic.clock.advance(timedelta(minutes=1, seconds=20))
    await clinic.nodes()
    late = (await clinic.findings())["decisions"]
    assert (late.grade, late.evidence["lag_s"]) == (Grade.WARNING, 20.0)
    clinic.clock.advance(timedelta(minutes=1))
    await clinic.nodes()
    assert (await clinic.findings())["decisions"].grade is Grade.ERROR


async def test_work_in_a_queue_nobody_serves_is_an_error(clinic: Clinic) -> None:
    await clinic.nodes(queue="other")
    await clinic.service.create_job(job(type="manual", schedule=None))
    await clinic.service.trigger_job("a")
    found = (await clinic.findings())["queues"]
    assert found.grade is Grade.ERROR
    assert found.fix == ("mainspring worker module:app --queues default:20",)


async def test_a_job_whose_handler_nobody_has_is_named_with_its_handler(clinic: Clinic) -> None:
    await clinic.nodes()
    await clinic.service.create_job(job("gone", handler="removed"))
    found = (await clinic.findings())["handlers"]
    assert (found.grade, found.evidence) == (Grade.ERROR, {"removed": ["gone"]})
    assert "mainspring jobs archive gone" in found.fix


async def test_a_pause_is_a_note_and_one_made_by_failures_a_warning(clinic: Clinic) -> None:
    await clinic.nodes()
    await clinic.service.create_job(job())
    await clinic.service.pause_job("a", reason="on holiday")
    assert (await clinic.findings())["paused_jobs"].grade is Grade.NOTE
    await clinic.service.create_job(job("b"))
    await clinic.service.pause_job("b", reason="3 executions failed in a row (pause_after_failures is 3)")
    paused = (await clinic.findings())["paused_jobs"]
    assert paused.grade is Grade.WARNING
    assert "mainspring jobs resume b" in paused.fix


async def test_other_zone_data_on_a_node_is_a_warning(clinic: Clinic) -> None:
    await clinic.nodes(tzdata="2020a")
    found = (await clinic.findings())["zone_data"]
    assert found.grade is Grade.WARNING
    assert "2020a" in found.detail


async def test_runs_a_clock_change_will_move_are_foretold(clinic: Clinic) -> None:
    await clinic.nodes()
    cron = {"type": "cron", "schedule": {"cron": "30 2 * * *"}}
    await clinic.service.create_job(job("moved", timezone="America/New_York", **cron))
    await clinic.service.create_job(job("still", timezone="Europe/Istanbul", **cron))
    found = (await clinic.findings())["clock_changes"]
    assert found.grade is Grade.NOTE
    assert found.evidence.keys() == {"moved"}
    assert "2026-03-08" in found.detail


async def test_status_tells_what_comes_next_and_how_it_goes(clinic: Clinic) -> None:
    await clinic.nodes()
    await clinic.service.create_job(job("later", schedule={"every_ms": 7_200_000}))
    await clinic.service.create_job(job("sooner", timezone="Europe/Istanbul"))
    await clinic.service.create_job(job("paused"))
    await clinic.service.pause_job("paused", reason="x")
    status = await clinic.store.read(lambda tx: collect_status(tx, "default"))
    assert status.sentence == "All is well: 0 running, nothing is late."
    assert [(one.name, one.timezone) for one in status.upcoming] == [("sooner", "Europe/Istanbul"), ("later", "UTC")]
    assert status.paused == ["paused"]
    assert [(queue.name, queue.slots) for queue in status.queues] == [("default", 5)]
    wire = status.to_wire()
    assert wire["upcoming"][0]["job"] == "sooner"
    assert wire["status"] == "pass"


async def test_status_says_what_is_wrong_in_its_first_sentence(clinic: Clinic) -> None:
    status = await clinic.store.read(lambda tx: collect_status(tx, "default"))
    assert status.sentence == "No dispatcher is alive, so nothing is decided; no worker is alive, so nothing runs."
    await clinic.service.create_job(job())
    clinic.clock.advance(timedelta(minutes=31))
    late = await clinic.store.read(lambda tx: collect_status(tx, "default"))
    assert "the oldest undecided instant is 30 min late" in late.sentence


async def test_webhooks_that_are_disabled_or_fail_are_named_with_what_they_are_owed(clinic: Clinic) -> None:
    from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery

    assert (await clinic.findings())["webhooks"].grade is Grade.OK
    now = clinic.clock.now()
    well = Webhook("w1", "default", "https://well.example", ("**",), now, now)
    off = Webhook(
        "w2", "default", "https://off.example", ("**",), now, now, enabled=False, disabled_reason="410 (gone)"
    )
    ailing = Webhook("w3", "default", "https://ailing.example", ("**",), now, now, failing_since=now, failures=2)
    owed = WebhookDelivery("d", "w3", "default", "e", "a.b", "{}", now, now, state=DeliveryState.READY)

    def work(tx: Any) -> None:
        for webhook in (well, off, ailing):
            tx.webhooks.add(webhook)
        tx.webhooks.owe([owed])

    await clinic.store.write(work)
    clinic.clock.advance(timedelta(minutes=3))
    finding = (await clinic.findings())["webhooks"]
    assert finding.grade is Grade.WARNING
    assert "off.example is disabled: 410 (gone); https://ailing.example fails since 3 min" in finding.detail
    assert "well.example" not in finding.detail
    assert finding.evidence == {"owed": {"w2": 0, "w3": 1}}
    assert "mainspring webhooks enable w2" in finding.fix
