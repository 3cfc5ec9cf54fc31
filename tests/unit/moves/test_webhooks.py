"""Webhooks, move by move: who is owed what, in which order it may go, and what follows from each answer."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from mainspring.model.events import Event
from mainspring.model.webhook import Answer, DeliveryState, Reception, Webhook
from mainspring.moves.relay import mark_published
from mainspring.moves.webhooks import AT_ONCE, settle_try, take_due
from mainspring.schedule.deliver import GIVE_UP, TROUBLED
from tests.unit.moves.conftest import START, Bench

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=60)
OK = Answer(Reception.DELIVERED, "answered 200")
BROKEN = Answer(Reception.RETRY, "answered 500")


def subscribe(bench: Bench, *events: str, **values: Any) -> Webhook:
    def work(tx: Any) -> Webhook:
        fields = {"platform_id": "default", "url": "https://example.com", "events": events or ("**",)}
        hook = Webhook(tx.new_id(), created_at=tx.now, updated_at=tx.now, **{**fields, **values})
        tx.webhooks.add(hook)
        return hook

    return bench.do(work)


def happens(bench: Bench, *subjects: str | None, kind: str = "a.b", platform_id: str = "default") -> list[Event]:
    """Publish events about these subjects, as the relay would."""

    def work(tx: Any) -> list[Event]:
        events = [Event(tx.new_id(), kind, platform_id, tx.now, subject=subject) for subject in subjects]
        tx.outbox.add(events)
        return events

    events = bench.do(work)
    bench.do(lambda tx: mark_published(tx, bench.schedules, events))
    return events


def take(bench: Bench, *, limit: int = 100, busy: dict[str, int] | None = None) -> list[Any]:
    return [
        delivery
        for _, delivery in bench.do(lambda tx: take_due(tx, Counter(busy or {}), limit=limit, lease=LEASE)).tries
    ]


def settle(bench: Bench, delivery: Any, answer: Answer, draw: float = 1.0) -> Any:
    return bench.do(lambda tx: settle_try(tx, delivery, answer, draw=draw, lease=LEASE))


def stored(bench: Bench, hook: Webhook) -> Webhook:
    return bench.do(lambda tx: tx.webhooks.get("default", hook.id))


def states(bench: Bench, hook: Webhook) -> list[str]:
    return [d.state.value for d in reversed(bench.do(lambda tx: tx.webhooks.deliveries(hook.id, limit=1000)))]


def test_each_enabled_webhook_of_the_platform_is_owed_what_its_patterns_match(bench):
    every, some = subscribe(bench), subscribe(bench, "a.b", "x.*")
    off, foreign = subscribe(bench, enabled=False), subscribe(bench, platform_id="other")
    happens(bench, "1")
    happens(bench, "1", kind="c.d")
    assert [len(states(bench, hook)) for hook in (every, some, off, foreign)] == [2, 1, 0, 0]


def test_an_event_is_owed_once_however_often_it_is_published(bench):
    hook = subscribe(bench)
    events = happens(bench, "1")
    bench.do(lambda tx: mark_published(tx, bench.schedules, events))
    assert len(states(bench, hook)) == 1


def test_events_about_one_thing_go_one_after_the_other_and_others_beside_them(bench):
    hook = subscribe(bench)
    first = happens(bench, "1", "1", "2", None, None)
    assert states(bench, hook) == ["ready", "held", "ready", "ready", "ready"]
    taken = take(bench)
    assert [d.event_id for d in taken] == [first[n].id for n in (0, 2, 3, 4)]
    later = happens(bench, "1", "2")
    settle(bench, taken[0], OK)
    (second,) = take(bench)
    assert second.event_id == first[1].id
    settle(bench, second, OK)
    (third,) = take(bench)
    assert third.event_id == later[0].id


def test_a_failed_delivery_holds_back_only_what_is_about_the_same(bench):
    hook = subscribe(bench)
    happens(bench, "1", "1", "2")
    one, two = take(bench)
    settle(bench, one, BROKEN)
    settle(bench, two, OK)
    assert states(bench, hook) == ["ready", "held", "delivered"]
    assert take(bench) == []
    bench.clock.advance(5 * SECOND)
    (again,) = take(bench)
    assert (again.event_id, again.attempts) == (one.event_id, 2)


def test_what_a_crashed_dispatcher_took_is_taken_again(bench):
    subscribe(bench)
    happens(bench, "1")
    (first,) = take(bench)
    bench.clock.advance(LEASE - SECOND)
    assert take(bench) == []
    bench.clock.advance(SECOND)
    (second,) = take(bench)
    assert settle(bench, first, OK) is None
    assert second.attempts == 2
    settle(bench, second, OK)


def test_a_report_that_comes_too_late_changes_nothing(bench):
    hook = subscribe(bench)
    happens(bench, "1")
    (first,) = take(bench)
    bench.clock.advance(LEASE)
    take(bench)
    settle(bench, first, BROKEN)
    assert stored(bench, hook).failures == 0
    assert states(bench, hook) == ["ready"]


def test_no_receiver_gets_more_than_its_share_at_once(bench):
    hook, other = subscribe(bench), subscribe(bench)
    happens(bench, *map(str, range(20)))
    taken = take(bench)
    assert Counter(d.webhook_id for d in taken) == {hook.id: AT_ONCE, other.id: AT_ONCE}
    assert take(bench, busy={hook.id: AT_ONCE, other.id: AT_ONCE - 1})[0].webhook_id == other.id
    assert take(bench, busy={hook.id: AT_ONCE, other.id: AT_ONCE}) == []


def test_a_receiver_in_trouble_is_asked_with_one_at_a_time_and_then_gets_everything(bench):
    hook = subscribe(bench)
    happens(bench, *map(str, range(10)))
    for delivery in take(bench):
        settle(bench, delivery, BROKEN)
    troubled = stored(bench, hook)
    assert troubled.failures == AT_ONCE >= TROUBLED
    assert troubled.retry_at is not None
    assert take(bench) == []
    tries = 0
    while stored(bench, hook).failures < 9:
        bench.clock.set(stored(bench, hook).retry_at)
        (probe,) = take(bench)
        assert take(bench, busy={hook.id: 1}) == []
        settle(bench, probe, BROKEN)
        tries += 1
    assert tries == 9 - AT_ONCE
    bench.clock.set(stored(bench, hook).retry_at)
    (probe,) = take(bench)
    settle(bench, probe, OK)
    well = stored(bench, hook)
    assert (well.failures, well.failing_since, well.retry_at) == (0, None, None)
    bench.clock.advance(LEASE)
    while taken := take(bench):
        for delivery in taken:
            settle(bench, delivery, OK)
    assert set(states(bench, hook)) == {"delivered"}


def test_the_receiver_s_wish_is_granted(bench):
    hook = subscribe(bench)
    happens(bench, "1", "2")
    (one, _) = take(bench, limit=2)
    settle(bench, one, Answer(Reception.RETRY, "answered 429", retry_after=timedelta(minutes=7)))
    assert stored(bench, hook).retry_at == bench.clock.now() + timedelta(minutes=7)


@pytest.mark.parametrize("reception", [Reception.GONE, Reception.FORBIDDEN])
def test_a_receiver_that_is_gone_or_forbidden_is_disabled_and_what_it_is_owed_is_kept(bench, reception):
    hook = subscribe(bench)
    happens(bench, "1")
    (delivery,) = take(bench)
    disabled = settle(bench, delivery, Answer(reception, "answered 410 (gone)"))
    assert disabled.id == hook.id
    assert stored(bench, hook).disabled_reason == "answered 410 (gone)"
    assert states(bench, hook) == ["ready"]
    happens(bench, "2")
    assert (take(bench), len(states(bench, hook))) == ([], 1)


def test_a_receiver_that_takes_nothing_for_days_is_disabled(bench):
    hook = subscribe(bench)
    happens(bench, "1")
    while stored(bench, hook).enabled:
        bench.clock.advance(timedelta(hours=12))
        for delivery in take(bench):
            settle(bench, delivery, BROKEN)
    assert GIVE_UP <= bench.clock.now() - START <= GIVE_UP + timedelta(days=1.5)
    assert "nothing has arrived since" in (stored(bench, hook).disabled_reason or "")
    assert states(bench, hook) == ["ready"]


def test_one_delivery_nobody_takes_is_given_up_on_and_lets_the_next_go(bench):
    hook = subscribe(bench)
    poison, *_ = happens(bench, "1", "1")
    given_up = False
    while not given_up:
        bench.clock.advance(timedelta(hours=12))
        happens(bench, "other")
        for delivery in take(bench):
            settle(bench, delivery, BROKEN if delivery.event_id == poison.id else OK)
        given_up = DeliveryState.FAILED.value in states(bench, hook)
    assert stored(bench, hook).enabled
    assert GIVE_UP <= bench.clock.now() - START <= GIVE_UP + timedelta(days=1.5)
    for delivery in take(bench):
        settle(bench, delivery, OK)
    assert Counter(states(bench, hook))["failed"] == 1
    assert set(states(bench, hook)) == {"failed", "delivered"}
