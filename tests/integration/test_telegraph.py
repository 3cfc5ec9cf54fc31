"""NOTIFY and LISTEN between processes: a hint that is late costs a poll, so none may get lost on the way."""

import select

import psycopg
import pytest

from mainspring.adapters.sql.telegraph import CHANNEL, Telegraph


class Ears:
    """Wake-ups that remember what they were told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def notify(self, *topics: str) -> None:
        self.heard += topics

    def listen(self, *topics: str):
        raise NotImplementedError


@pytest.mark.servers
def test_what_arrives_while_we_tell_something_ourselves_is_heard(postgres18_url: str) -> None:
    """It was not: the driver took it out of the line with the answer to our own statement, and kept it."""
    ears = Ears()
    telegraph = Telegraph(postgres18_url, ears)
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
