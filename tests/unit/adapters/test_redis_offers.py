"""What a worker is offered next, from what its streams named and from when it last looked for itself."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.adapters.redis.line import MOST_ENTRIES, Line
from mainspring.adapters.redis.offers import Offers
from mainspring.model.dispatch import Band
from mainspring.ports.transport import Offer

POLL, LOOK = 1.0, 5.0
LIMIT = 500
EVERYTHING = Offer()


class Bench:
    """Offers whose clock is set by hand."""

    def __init__(self, **queues: int) -> None:
        self.now = 100.0
        self._numbers = count(1)
        self.offers = Offers(queues or {"default": 2}, time=lambda: self.now, poll=POLL, look=LOOK)

    def line(self, queue: str = "default", band: Band = Band.NORMAL) -> Line:
        return next(line for line in self.offers.lines if (line.queue, line.band) == (queue, band))

    def deliver(self, many: int = 1, queue: str = "default", band: Band = Band.NORMAL) -> list[str]:
        """Deliver one entry that names so many executions; return their ids."""
        ids = [f"01234567-0000-7000-8000-{next(self._numbers):012x}" for _ in range(many)]
        entry_id = f"{next(self._numbers)}-0".encode()
        self.line(queue, band).put([(entry_id, {b"ids": ",".join(ids).encode()})])
        return ids

    def next(self, *, away: bool = False, **room: int) -> Offer | None:
        return self.offers.next(room or {"default": 2}, LIMIT, away=away)

    def looked(self, claimed: int = 0) -> None:
        """Let a look for itself come to an end."""
        self.offers.tried(EVERYTHING, claimed, 2)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    assert bench.next() == EVERYTHING, "a new worker looks at once"
    bench.looked()
    return bench


def test_what_the_streams_named_is_offered_within_the_room(bench: Bench) -> None:
    ids = bench.deliver(3)
    assert bench.next() == Offer(tuple(ids[:2]))
    more, done = bench.offers.tried(Offer(tuple(ids[:2])), 2, LIMIT)
    assert (more, done) == (True, []), "one of the entry's ids was not tried yet"
    assert bench.next() == Offer((ids[2],))
    _, done = bench.offers.tried(Offer((ids[2],)), 0, LIMIT)
    assert len(done) == 1


def test_nothing_is_offered_between_polls_when_nothing_is_named(bench: Bench) -> None:
    bench.now += 0.5
    assert bench.next() is None
    bench.now += 0.45
    assert bench.next() == EVERYTHING
    bench.looked()
    assert bench.next() is None


def test_room_that_the_streams_do_not_fill_is_filled_by_a_look_once_per_poll(bench: Bench) -> None:
    (only,) = bench.deliver()
    bench.now += POLL
    assert bench.next() == EVERYTHING
    bench.looked()
    assert bench.next() == Offer((only,)), "it was put back, and is tried all the same"


def test_a_worker_whose_room_is_always_filled_looks_now_and_then_all_the_same(bench: Bench) -> None:
    ids = bench.deliver(4)
    bench.now += LOOK - 0.1
    assert bench.next() == Offer(tuple(ids[:2]))
    bench.offers.failed()
    bench.now += 0.1
    assert bench.next() == EVERYTHING


def test_looks_go_on_while_they_come_back_full_and_the_streams_do_not_fill_the_room(bench: Bench) -> None:
    bench.now += POLL
    for _ in range(3):
        assert bench.next() == EVERYTHING
        bench.looked(claimed=2)
    ids = bench.deliver(2)
    assert bench.next() == Offer(tuple(ids))
    bench.offers.tried(Offer(tuple(ids)), 2, 2)
    assert bench.next() == EVERYTHING
    bench.looked(claimed=1)
    assert bench.next() is None


def test_while_the_server_is_away_everything_is_offered_always(bench: Bench) -> None:
    bench.deliver(5)
    assert [bench.next(away=True), bench.next(away=True)] == [EVERYTHING, EVERYTHING]


def test_high_goes_before_normal_before_low_whatever_came_first() -> None:
    bench = Bench(default=10)
    bench.next()
    bench.looked()
    low, normal, high = (bench.deliver(2, band=band) for band in (Band.LOW, Band.NORMAL, Band.HIGH))
    assert bench.next(default=6) == Offer((*high, *normal, *low))


def test_what_failed_is_offered_again_in_the_same_order(bench: Bench) -> None:
    ids = bench.deliver(2) + bench.deliver(2)
    for _ in range(3):
        assert bench.next() == Offer(tuple(ids[:2]))
        bench.offers.failed()


def test_a_buffer_is_hungry_until_it_holds_as_much_as_there_are_slots(bench: Bench) -> None:
    line = bench.line()
    assert line.hungry.is_set()
    bench.deliver(2)
    assert not line.hungry.is_set()
    bench.next()
    assert line.hungry.is_set()


def test_an_entry_delivered_twice_is_held_once() -> None:
    line = Line("default", Band.NORMAL, 5)
    entry = (b"1-0", {b"ids": b"01234567-0000-7000-8000-000000000001"})
    assert line.put([entry, entry]) == (1, 0, [])
    assert line.put([entry]) == (0, 0, [])
    assert line.waiting == 1


def test_deleted_and_forged_entries_are_of_no_use() -> None:
    line = Line("default", Band.NORMAL, 5)
    assert line.put([(None, None), (b"1-0", None), (b"2-0", {}), (b"3-0", {b"ids": b"x,y"})]) == (
        0, 2, [b"1-0", b"2-0", b"3-0"],
    )  # fmt: skip


@given(st.lists(st.integers(1, 32), max_size=30), st.integers(1, 1000))
def test_a_buffer_asks_for_no_more_than_it_can_use(sizes: list[int], enough: int) -> None:
    line, numbers = Line("default", Band.NORMAL, enough), count()
    for number, size in enumerate(sizes):
        ids = ",".join(f"01234567-0000-7000-8000-{next(numbers):012x}" for _ in range(size))
        line.put([(f"{number}-0".encode(), {b"ids": ids.encode()})])
        assert 1 <= line.wanted <= max(1, min(MOST_ENTRIES, enough - line.waiting))
        assert line.hungry.is_set() == (line.waiting < enough)


@given(st.data())
def test_every_delivered_id_is_offered_once_and_its_entry_let_go_of_once(data: st.DataObject) -> None:
    bench = Bench(default=3, mail=2)
    bench.next()
    bench.looked()
    delivered, offered = list[str](), list[str]()
    entries, let_go = 0, list[tuple[Line, bytes]]()
    for _ in range(data.draw(st.integers(0, 30))):
        if data.draw(st.booleans()):
            queue, band = data.draw(st.sampled_from(["default", "mail"])), data.draw(st.sampled_from(list(Band)))
            delivered += bench.deliver(data.draw(st.integers(1, 5)), queue, band)
            entries += 1
            continue
        room = {"default": data.draw(st.integers(0, 3)), "mail": data.draw(st.integers(1, 2))}
        offer = bench.offers.next(room, LIMIT, away=False)
        if offer is None or offer.ids is None:
            continue
        assert len(offer.ids) <= sum(room.values())
        if data.draw(st.booleans()):
            bench.offers.failed()
        else:
            let_go += bench.offers.tried(offer, data.draw(st.integers(0, len(offer.ids))), LIMIT)[1]
            offered += offer.ids
    while (offer := bench.next(default=3, mail=2)) is not None and offer.ids is not None:
        offered += offer.ids
        let_go += bench.offers.tried(offer, 0, LIMIT)[1]
    assert sorted(offered) == sorted(delivered)
    assert len(let_go) == len({(line.stream, entry_id) for line, entry_id in let_go}) == entries
