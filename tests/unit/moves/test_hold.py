"""A held fleet: by a person, or by an engine that finds itself on another database than the one that was noted."""

from __future__ import annotations

import pytest

from mainspring.control.doctor import Grade, examine
from mainspring.control.explain import explain_execution
from mainspring.control.process_health import check_worker
from mainspring.control.status import collect_status
from mainspring.errors import ValidationError
from mainspring.model.node import WorkerNode
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.hold import held, hold, recognise, release
from tests.unit.moves.conftest import Bench, bench

__all__ = ["bench"]


def seen(b: Bench, identity: str | None):
    return b.do(lambda tx: recognise(tx, identity))


def test_a_person_holds_the_fleet_and_lets_it_go_on(bench):
    assert bench.do(held) is None
    made = bench.do(lambda tx: hold(tx, " moving the database ", actor="ada"))
    assert bench.do(held) == made
    assert (made.reason, made.actor, made.since) == ("moving the database", "ada", bench.clock.now())
    assert bench.do(release) == made
    assert bench.do(held) is None
    assert bench.do(release) is None


def test_a_hold_needs_a_reason(bench):
    with pytest.raises(ValidationError, match="say why"):
        bench.do(lambda tx: hold(tx, "  ", actor="ada"))


def test_the_first_engine_notes_which_database_this_is(bench):
    assert seen(bench, "server/1") is None
    assert seen(bench, "server/1") is None


def test_an_engine_on_a_copy_holds_the_fleet_once(bench):
    seen(bench, "server/1")
    found = seen(bench, "server/2")
    assert "restored or copied" in found.reason
    assert seen(bench, "server/2") == found, "the next engine finds it held"
    bench.do(release)
    assert seen(bench, "server/2") is None, "released is released"


def test_a_copy_of_a_held_database_keeps_the_reason_it_was_held_for(bench):
    seen(bench, "server/1")
    made = bench.do(lambda tx: hold(tx, "moving", actor="ada"))
    assert seen(bench, "server/2") == made


def test_a_store_that_cannot_be_told_from_its_copy_is_never_held_for_that(bench):
    assert seen(bench, None) is None


def test_everything_that_is_asked_says_that_the_fleet_is_held(bench):
    (waiting,) = bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    now = bench.clock.now()
    node = WorkerNode("w", "here", 1, now, now, "1", {"default": 1}, ("h",))
    bench.do(lambda tx: tx.nodes.put_worker(node))
    bench.do(lambda tx: hold(tx, "restored", actor="engine"))
    findings = {f.check: f for f in bench.do(lambda tx: examine(tx, bench.schedules, "default"))}
    assert findings["hold"].grade is Grade.ERROR
    assert findings["hold"].fix == ("mainspring release",)
    assert (
        "the fleet is held by engine: restored" in bench.do(lambda tx: collect_status(tx, "default")).sentence.lower()
    )
    told = bench.do(lambda tx: explain_execution(tx, "default", waiting.id))
    assert [c.result for c in told.checks if c.check == "fleet_released"] == ["blocked"]
    assert "mainspring release" in " ".join(told.advice)
    assert bench.do(lambda tx: check_worker(tx, "here")).well, "restarting a held worker mends nothing"
