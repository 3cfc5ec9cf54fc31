"""Who wants to know that somebody listens, before and after somebody does."""

from __future__ import annotations

from mainspring.adapters.memory import InProcessWakeups


async def test_who_asks_before_anybody_listens_is_told_once_as_somebody_does() -> None:
    wakeups, told = InProcessWakeups(), list[str]()
    wakeups.when_heard(lambda: told.append("first"))
    assert told == []
    wakeups.listen("ended")
    wakeups.listen("queued")
    assert told == ["first"]


async def test_who_asks_after_that_is_told_at_once_although_nobody_listens_any_more() -> None:
    wakeups, told = InProcessWakeups(), list[str]()
    wakeups.listen("ended").close()
    wakeups.when_heard(lambda: told.append("second"))
    assert told == ["second"]
