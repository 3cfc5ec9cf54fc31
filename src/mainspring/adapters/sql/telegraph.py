"""NOTIFY and LISTEN: what one process woke, told to the others. A hint; whoever misses it polls.

One thread and one connection of a process do both; where it was quiet, a commit takes the notification along. While it
is not quiet topics are gathered, so that a busy process takes the server's one notification lock at most 200 times a
second and not once a commit.
"""

from __future__ import annotations

import logging
import os
import secrets
import select
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg

logger = logging.getLogger("mainspring")

CHANNEL = "mainspring"
# A transaction of its own, which need not outlive anything: it is not to wait for the disk.
TELL = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', $1)"
_TELL = TELL.replace("$1", "%s")
_ROUSE = f"SELECT pg_notify('{CHANNEL}', %s)"
#: Seconds after the last notification in which nobody need be roused.
ASLEEP = 0.2
#: Seconds over which topics are gathered into one notification.
GATHER = 0.005
#: Seconds before a lost connection is made again.
AGAIN = 1.0


def _time() -> float:
    return time.monotonic()  # noqa: TID251 - how long a hint is gathered decides nothing


class Telegraph:
    """Tells other processes what this one woke, and this one what they did."""

    def __init__(self, url: str, wake: Callable[..., None], **options: Any) -> None:
        self._url, self._wake, self._options = url, wake, options
        self._topics: set[str] = set()
        self._free_at = 0.0
        self._rousing: str | None = None
        # Also told, by which a process knows its own words; to others it is a topic that nobody listens to.
        self._mark = f"from:{secrets.token_hex(6)}"
        self._lock = threading.Lock()
        self._closed = False
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._thread = threading.Thread(target=self._run, name="mainspring-telegraph", daemon=True)

    def start(self) -> None:
        """Connect and begin, in a thread."""
        self._thread.start()

    def send(self, topics: Iterable[str]) -> None:
        """Tell the others soon. Safe from any thread; never waits."""
        with self._lock:
            quiet = not self._topics
            self._topics.update(topics)
        if quiet:
            self._ring()

    def words(self, topics: Sequence[str]) -> str | None:
        """Return what to tell the others of these topics, along with the commit that wakes them.

        None while topics are gathered: then they are for `send`, once it has committed.
        """
        with self._lock:
            now = _time()
            if self._topics or now < self._free_at:
                return None
            self._free_at = now + GATHER
        return self._told(topics)

    def rouse(self, topic: str) -> bool:
        """Tell the others of a topic a moment before it is woken; False where they have been awake just now.

        What has slept is slow to begin, and so is the server's disk: this one notification waits for it.
        """
        with self._lock:
            if self._topics or _time() < self._free_at + ASLEEP:
                return False
            self._rousing = self._told([topic])
        self._ring()
        return True

    def _told(self, topics: Sequence[str]) -> str:
        return ",".join([*topics, self._mark])

    def close(self) -> None:
        """Tell what is left to tell, and end."""
        self._closed = True
        self._ring()
        self._thread.join()
        os.close(self._ear)
        os.close(self._bell)

    def _ring(self) -> None:
        try:
            os.write(self._bell, b".")
        except BlockingIOError:
            return  # it rings already

    # -- in the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed:
            try:
                with psycopg.connect(self._url, autocommit=True, **self._options) as connection:
                    self.listen(connection)
                    self._serve(connection)
            except psycopg.Error as error:
                logger.debug("notifications are cut off, trying again: %s", error)
                self._wait([], AGAIN)

    def listen(self, connection: psycopg.Connection[Any]) -> None:
        """Hear what others tell on a connection, also what arrives while a statement of our own runs on it."""
        # The driver takes those out of the line itself, and keeps them for ever where nobody asked for them.
        connection.add_notify_handler(lambda heard: self._heard(heard.payload))
        connection.execute(f"LISTEN {CHANNEL}")

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        while True:
            # It goes on hearing while it gathers: what others tell is not to wait for what there is to tell them.
            self._wait([connection.fileno()], max(self._free_at - _time(), 0.0) if self._topics else None)
            connection.pgconn.consume_input()
            self._hear(connection)
            self._rouse(connection)
            closed = self._closed  # asked once: what is still to be told is told in the last round
            if (closed or _time() >= self._free_at) and self.tell(connection):
                self._free_at = _time() + GATHER
            if closed:
                return

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        while (heard := connection.pgconn.notifies()) is not None:
            self._heard(heard.extra.decode())

    def _heard(self, topics: str) -> None:
        words = topics.split(",")
        if self._mark not in words:
            self._wake(*words)

    def tell(self, connection: psycopg.Connection[Any]) -> bool:
        """Send what there is to send, in one notification; return whether there was anything."""
        with self._lock:
            topics, self._topics = sorted(self._topics), set()
        if topics:
            connection.execute(_TELL, (self._told(topics),))
            self._hear(connection)
        return bool(topics)

    def _rouse(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            words, self._rousing = self._rousing, None
        if words is not None:
            connection.execute(_ROUSE, (words,))
            self._hear(connection)

    def _wait(self, sockets: list[int], seconds: float | None) -> None:
        ready, _, _ = select.select([self._ear, *sockets], [], [], seconds)
        if self._ear in ready:
            os.read(self._ear, 65_536)
