"""NOTIFY and LISTEN between processes: a hint that is late costs a poll, so none may get lost on the way."""

import os
import select
import threading
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg
import pytest

from mainspring.adapters.sql import telegraph as module
from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.adapters.sql.telegraph import CHANNEL, Telegraph
from mainspring.ports.store import Tx
from tests.contracts.store_contract import HeardWakeups
from tests.integration.postgres_rig import url

__all__ = ["url"]


def backend_pid(tx: Tx) -> Any:
    """Ask which of the server's processes serves this transaction."""
    return tx.executions._session.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()  # type: ignore[attr-defined]


class Ears:
    """Wake-ups that remember what they were told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.some = threading.Event()

    def notify(self, *topics: str) -> None:
        self.heard += topics
        self.some.set()

    def listen(self, *topics: str):
        raise AssertionError("a telegraph only notifies")

    def when_heard(self, then: Callable[[], None]) -> None:
        then()


def test_a_few_are_told_at_once_after_a_pause_and_200_a_second_in_the_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "_time", lambda: now)
    telegraph = Telegraph("postgresql://", Ears().notify)
    assert [telegraph.words(["queued"]) is not None for _ in range(5)] == [True, True, True, False, False]
    now += module.GATHER
    assert [telegraph.words(["queued"]) is not None for _ in range(2)] == [True, False]
    told, second = 0, 1000
    for _ in range(second):
        now += 1.0 / second
        told += telegraph.words(["queued"]) is not None
    assert told == pytest.approx(200, abs=3)
    now += module.ASLEEP  # however long it was quiet, it is not saved up
    assert [telegraph.words(["queued"]) is not None for _ in range(4)] == [True, True, True, False]
    os.close(telegraph._ear)
    os.close(telegraph._bell)


@pytest.mark.servers
def test_what_arrives_while_we_tell_something_ourselves_is_heard(postgres18_url: str) -> None:
    """It was not: the driver took it out of the line with the answer to our own statement, and kept it."""
    ears = Ears()
    telegraph = Telegraph(postgres18_url, ears.notify)
    with (
        psycopg.connect(postgres18_url, autocommit=True) as mine,
        psycopg.connect(postgres18_url, autocommit=True) as other,
    ):
        telegraph.listen(mine)
        other.execute("SELECT pg_notify(%s, 'queued')", (CHANNEL,))
        ready, _, _ = select.select([mine.fileno()], [], [], 30)
        assert ready, "the server has not delivered the notification"
        telegraph.send(["outbox"])
        telegraph.tell(mine)
    assert ears.heard == ["queued"]


@pytest.mark.servers
def test_what_others_tell_is_heard_while_we_gather_what_we_tell(postgres18_url: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "GATHER", 3_600.0)
    ears = Ears()
    telegraph = Telegraph(postgres18_url, ears.notify)
    with psycopg.connect(postgres18_url, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        telegraph.start()
        telegraph.hear()
        telegraph.send(["outbox"])
        told = [told.payload for told in other.notifies(timeout=30, stop_after=1)]
        telegraph.send(["ended"])  # from here on it gathers
        other.execute("SELECT pg_notify(%s, 'queued')", (CHANNEL,))
        assert ears.some.wait(30)
        telegraph.close()  # tells what it still has to tell
        told += [told.payload for told in other.notifies(timeout=30, stop_after=2) if told.payload != "queued"]
    topics = [words.split(",")[0] for words in told]
    assert (ears.heard, topics) == (["queued"], ["outbox", "ended"])


@pytest.mark.servers
def test_others_are_roused_once_they_may_sleep_and_told_again_along_with_the_commit(postgres18_url: str) -> None:
    telegraph = Telegraph(postgres18_url, Ears().notify)
    with psycopg.connect(postgres18_url, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        telegraph.start()
        assert telegraph.rouse("queued")
        (roused,) = other.notifies(timeout=30, stop_after=1)
        words = telegraph.words(["queued"])
        assert words is not None
        assert words == roused.payload
        assert not telegraph.rouse("queued"), "they were told just now"
        telegraph.close()


@pytest.mark.servers
def test_what_is_to_be_told_is_told_although_it_is_closed_between_two_looks(postgres18_url: str, monkeypatch) -> None:
    """It was not: closed after it had looked whether to tell and before it looked whether to end, it ended."""
    monkeypatch.setattr(module, "GATHER", 3_600.0)
    telegraph = Telegraph(postgres18_url, Ears().notify)
    look = module._time

    def closed_as_it_looks() -> float:
        if "ended" in telegraph._topics:
            telegraph._closed = True
            telegraph._ring()
        return look()

    with psycopg.connect(postgres18_url, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        telegraph.start()
        telegraph.send(["outbox"])
        told = [told.payload for told in other.notifies(timeout=30, stop_after=1)]
        monkeypatch.setattr(module, "_time", closed_as_it_looks)
        telegraph.send(["ended"])
        told += [told.payload for told in other.notifies(timeout=30, stop_after=1)]
        telegraph.close()
    assert [words.split(",")[0] for words in told] == ["outbox", "ended"]


@pytest.mark.servers
async def test_a_commit_takes_the_notification_along_unless_notifications_are_gathered(url: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "GATHER", 3_600.0)
    ears = Ears()
    store = PostgresStore(url, random=Random(1), wakeups=ears, settings=PostgresSettings(pool_size=1))
    await store.open()
    writer = await store.write(backend_pid)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        await store.write(lambda tx: tx.wake("queued"))
        (first,) = other.notifies(timeout=30, stop_after=1)
        await store.write(lambda tx: tx.wake("outbox"))  # from here on it gathers
        await store.write(lambda tx: tx.wake("ended"))
        await store.close()  # tells what is left to tell
        (last,) = other.notifies(timeout=30, stop_after=1)
    assert (first.payload.split(",")[0], first.pid) == ("queued", writer)
    assert last.payload.split(",")[:-1] == ["ended", "outbox"]
    assert last.pid != writer
    assert ears.heard == ["queued", "outbox", "ended"], "and nobody hears himself"


@pytest.mark.servers
async def test_a_process_in_which_nobody_listens_is_told_nothing(url: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "GATHER", 0.05)
    wakeups = HeardWakeups()
    store = PostgresStore(url, random=Random(1), wakeups=wakeups)
    await store.open()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        other.execute("SELECT pg_notify(%s, 'before')", (CHANNEL,))
        await store.write(lambda tx: tx.wake("outbox"))
        await store.write(lambda tx: tx.wake("jobs"))  # which is gathered, and told by the connection that could hear
        assert len([*other.notifies(timeout=30, stop_after=3)]) == 3
        assert set(wakeups.heard) == {"outbox", "jobs"}
        waits, ear = wakeups.listen("ended"), wakeups.listen("after")
        assert await waits.wait(30), "what ended before it could be told of is looked for"
        while not await ear.wait(0.05):
            other.execute("SELECT pg_notify(%s, 'after')", (CHANNEL,))
    await store.close()
    assert "before" not in wakeups.heard
