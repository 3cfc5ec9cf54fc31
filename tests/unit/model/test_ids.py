"""Ids that a store makes of its own clock and of what it was handed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from mainspring.model.ids import Ids, uuid7

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
LATER = AT + timedelta(milliseconds=8)


class Steady(Random):
    """Each step is the smallest there is, so that whoever steps from one place twice comes to one place twice."""

    def getrandbits(self, k: int, /) -> int:
        return 0 if k == 32 else super().getrandbits(k)


def stored(at: datetime, tail: str) -> str:
    return uuid7(at, Random(0))[:14] + tail


def test_what_another_thread_has_under_way_is_not_handed_out_again():
    ids = Ids(Steady(1))
    ids.new(AT)
    (_, (first,)), (_, (second,)) = ids.tails(1), ids.tails(1)
    ids.made(stored(LATER, first))
    floor, (third,) = ids.tails(1)
    assert first < second < third
    assert f"{floor:012x}" == stored(LATER, third).replace("-", "")[:12]
    assert ids.new(LATER) > stored(LATER, third)


def test_ids_ascend_whichever_way_they_are_made_of_whichever_millisecond():
    random = Random(1)
    ids, at, made = Ids(random), AT, [""]
    for _ in range(2000):
        at += timedelta(milliseconds=random.choice((-1, 0, 0, 0, 1)))
        if random.random() < 0.5:
            made += ids.several(at, 2)
        else:
            floor, tails = ids.tails(2)
            read = max(at, datetime.fromtimestamp(floor / 1000, UTC))
            made += [stored(read, tail) for tail in tails]
            ids.made(made[-1])
    assert made == sorted(set(made))
