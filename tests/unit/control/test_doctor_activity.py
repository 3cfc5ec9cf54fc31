"""The findings about what else goes on in a database, and about the transport: from values, without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from mainspring.adapters.memory import MemoryStore
from mainspring.control.doctor import Grade
from mainspring.control.doctor_activity import ActivityBounds, judge_activity
from mainspring.control.doctor_transport import judge_transport
from mainspring.control.transport import collect_transport
from mainspring.model.node import DispatcherNode, WorkerNode
from mainspring.ports.activity import Activity, DeadRows, Holder, OpenTransaction
from mainspring.ports.store import Tx
from mainspring.ports.transport import DatabaseTransport, StreamFigures, TransportFigures
from mainspring.testing.clock import ManualClock

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def test_a_transaction_is_warned_of_from_its_bound_on_with_what_ends_it() -> None:
    young = OpenTransaction(7, "ada", "psql", 59 * SECOND)
    old = OpenTransaction(8, "ada", "psql", MINUTE)
    assert judge_activity(Activity((young,)))[0].grade is Grade.OK
    (finding, _) = judge_activity(Activity((old, young)))
    assert finding.grade is Grade.WARNING
    assert "process 8 of psql" in finding.detail
    assert "process 7" not in finding.detail
    assert finding.fix == ("SELECT pg_terminate_backend(8)",)


def test_a_transaction_in_which_nothing_is_said_is_warned_of_sooner() -> None:
    idle = OpenTransaction(7, "ada", "psql", 40 * SECOND, idle=30 * SECOND)
    (finding, _) = judge_activity(Activity((idle,)))
    assert finding.grade is Grade.WARNING
    assert "idle for 30 s" in finding.detail
    bounds = ActivityBounds(open=5 * MINUTE, idle=2 * MINUTE)
    assert judge_activity(Activity((idle,)), bounds)[0].grade is Grade.OK


def test_sessions_that_hide_what_they_do_are_said_to_and_not_passed_over() -> None:
    (finding, _) = judge_activity(Activity(hidden=3))
    assert (finding.grade, finding.evidence["hidden"]) == (Grade.NOTE, 3)
    assert "pg_monitor" in finding.fix[0]


def test_what_holds_dead_rows_back_is_named_with_how_far() -> None:
    slot = Holder("replication slot", "old_replica", 2_000_000)
    (_, finding) = judge_activity(Activity(holders=(slot, Holder("transaction", "process 1", 12))))
    assert finding.grade is Grade.WARNING
    assert finding.detail == "the replication slot old_replica holds back 2000000 transactions"


def test_tables_far_past_their_vacuum_and_a_server_that_never_vacuums_are_warned_of() -> None:
    late = DeadRows("executions_live", 20_000, 2_000, 90 * SECOND)
    soon = DeadRows("outbox_unpublished", 19_999, 2_000)
    (_, finding) = judge_activity(Activity(dead=(late, soon)))
    assert finding.grade is Grade.WARNING
    assert "executions_live has 20000 dead rows" in finding.detail
    assert "outbox" not in finding.detail
    assert finding.fix == ("VACUUM executions_live",)
    (_, off) = judge_activity(Activity(vacuums=False))
    assert "autovacuum is off" in off.detail


def test_the_transport_is_well_away_or_ailing() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    stream = StreamFigures("stream:scheduler:job.dispatch", 4, 2, 2, 1, at)
    well = judge_transport(TransportFigures("redis", server="Valkey 8.1", streams=(stream,), counters={"looks": 3}))
    assert (well.grade, well.detail) == (Grade.OK, "Valkey 8.1: 4 entries in the streams, 2 being tried")
    assert well.evidence["streams"][0]["oldest_at"] == "2026-03-01T00:00:00.000000Z"
    away = judge_transport(TransportFigures("redis", reachable=False, problems=("Redis cannot be reached",)))
    assert away.grade is Grade.WARNING
    ailing = judge_transport(TransportFigures("redis", problems=("Redis may evict our streams",)))
    assert ailing.grade is Grade.WARNING


def test_dead_rows_that_an_old_transaction_keeps_are_warned_of_sooner() -> None:
    table, small = DeadRows("executions_live", 2_001, 2_000), DeadRows("jobs", 900, 50)
    assert judge_activity(Activity(dead=(table, small)))[1].grade is Grade.OK
    (_, finding) = judge_activity(Activity((OpenTransaction(8, "ada", "psql", MINUTE),), dead=(table, small)))
    assert finding.detail == "executions_live has 2001 dead rows, never vacuumed"


async def test_the_counters_are_those_of_the_fleet_each_process_once() -> None:
    store = MemoryStore(ManualClock(), random=Random(1))
    await store.open()

    def nodes(tx: Tx) -> None:
        counts = {"transport": {"claimed": 5, "found": 2}}
        tx.nodes.put_worker(WorkerNode("w1", "host", 1, tx.now, tx.now, "1", {"mail": 5}, (), stats=counts))
        tx.nodes.put_dispatcher(DispatcherNode("d1", "host", 1, tx.now, tx.now, "1", "2026a", stats=counts))
        tx.nodes.put_worker(WorkerNode("w2", "host", 2, tx.now, tx.now, "1", {}, (), stats=counts))
        tx.nodes.put_worker(WorkerNode("w3", "host", 3, tx.now, tx.now, "0", {}, ()))

    await store.write(nodes)
    figures = await collect_transport(store, DatabaseTransport())
    assert figures.counters == {"claimed": 10, "found": 4}
    told = judge_transport(replace(figures, kind="redis"))
    assert told.detail.endswith("10 executions came by streams and 4 were found by looking")
