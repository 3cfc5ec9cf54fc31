"""NOTIFY and LISTEN: what one process woke, told to the others. A hint; whoever misses it polls.

One thread and one connection of a process do both. It hears only once somebody in the process listens: of many that do
nothing but enqueue none is woken for what the others tell. Where it was quiet, a commit takes the notification along.
While it is not quiet topics are gathered, so that a busy process takes the server's one notification lock 200 times a
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
_VOUCH = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
#: Where a session keeps whom its last commit handed something to, by his channel, and what; empty for nobody.
ADDRESS, HANDED = "mainspring.address", "mainspring.handed"
#: Tell him, and the others in words of their own, or nobody else. After the commit, as `TELL` does.
HAND = f"""
SELECT set_config('synchronous_commit', 'off', true),
  CASE WHEN current_setting('{ADDRESS}') <> ''
    THEN pg_notify(current_setting('{ADDRESS}'), current_setting('{HANDED}')) END,
  (SELECT pg_notify('{CHANNEL}', words)
    FROM (SELECT CASE current_setting('{ADDRESS}') WHEN '' THEN $1::text ELSE $2::text END) AS told (words)
    WHERE words IS NOT NULL)
"""  # noqa: S608 - ours
#: Seconds after the last notification in which nobody need be roused.
ASLEEP = 0.2
#: Seconds that each notification takes on average: meanwhile topics are gathered into the next. By so many seconds a
#: process may be ahead of that after a pause: who does three things one after the other is not yet busy.
GATHER, AHEAD = 0.005, 0.012
#: What somebody may wait for who runs no role: a result, or what streams of the API show.
WAITED_FOR = ("ended", "outbox", "pending")
#: Seconds before a lost connection is made again.
AGAIN = 1.0


def _time() -> float:
    return time.monotonic()  # noqa: TID251 - how long a hint is gathered decides nothing


class Telegraph:
    """Tells other processes what this one woke, and this one what they did."""

    def __init__(
        self,
        url: str,
        wake: Callable[..., None],
        handed: Callable[[str], None] = lambda _: None,
        address: str = CHANNEL,
        **options: Any,
    ) -> None:
        self._url, self._wake, self._handed, self._options = url, wake, handed, options
        #: The channel on which this process alone is told of what was claimed for its workers. While it hears, it
        #: holds a lock of that name.
        self.address = f"{address}_{secrets.token_hex(16)}"
        self._topics: set[str] = set()
        self._hears = False
        # When the time is over that those take which were told.
        self._taken_until = 0.0
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

    def hear(self) -> None:
        """Hear from now on what others tell. Safe from any thread."""
        if not self._hears:
            self._hears = True
            self._ring()

    def send(self, topics: Iterable[str]) -> None:
        """Tell the others soon. Safe from any thread; never waits."""
        with self._lock:
            quiet = not self._topics
            self._topics.update(topics)
        if quiet:
            self._ring()

    @property
    def quiet(self) -> bool:
        """Whether what is told now may go along with the commit that it is of."""
        return not self._topics and self._rests_for() <= 0.0

    def words(self, topics: Sequence[str]) -> str | None:
        """Return what to tell the others of these topics, along with the commit that wakes them.

        None while topics are gathered: then they are for `send`, once it has committed.
        """
        with self._lock:
            if not self.quiet:
                return None
            self._take()
        return self.told(topics)

    def rouse(self, topic: str) -> bool:
        """Tell the others of a topic a moment before it is woken; False where they have been awake just now.

        What has slept is slow to begin, and so is the server's disk: this one notification waits for it.
        """
        with self._lock:
            if self._topics or _time() < self._taken_until + ASLEEP:
                return False
            self._rousing = self.told([topic])
        self._ring()
        return True

    def told(self, topics: Sequence[str]) -> str:
        """Return these topics as they are told, with the mark of who tells."""
        return ",".join([*topics, self._mark])

    def close(self) -> None:
        """Tell what is left to tell, and end."""
        self._closed = True
        self._ring()
        self._thread.join()
        os.close(self._ear)
        os.close(self._bell)

    def _rests_for(self) -> float:
        """Return the seconds until it may tell something again, none or less for now."""
        return self._taken_until - _time() - AHEAD

    def _take(self) -> None:
        self._taken_until = max(self._taken_until, _time()) + GATHER

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
                    self._serve(connection)
            except psycopg.Error as error:
                logger.debug("notifications are cut off, trying again: %s", error)
                self._wait([], AGAIN)

    def listen(self, connection: psycopg.Connection[Any]) -> None:
        """Hear what others tell on a connection, also what arrives while a statement of our own runs on it."""
        # The driver takes those out of the line itself, and keeps them for ever where nobody asked for them.
        connection.add_notify_handler(lambda heard: self._heard(heard.channel, heard.payload))
        connection.execute(f"LISTEN {CHANNEL}")
        connection.execute(f"LISTEN {self.address}")

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        listens = vouched = late = False
        while True:
            if self._hears and not listens:
                self.listen(connection)
                listens = True
                if late:  # who waits for one of these has looked, and may not have been told of what came then
                    self._wake(*WAITED_FOR)
            late = True
            # Of a connection that was lost the server may hold the lock for long: it is not waited for.
            vouched = vouched or (listens and self._vouch(connection))
            otherwise = AGAIN if listens and not vouched else None
            # It goes on hearing while it gathers: what others tell is not to wait for what there is to tell them.
            self._wait([connection.fileno()], max(self._rests_for(), 0.0) if self._topics else otherwise)
            connection.pgconn.consume_input()
            self._hear(connection)
            self._rouse(connection)
            closed = self._closed  # asked once: what is still to be told is told in the last round
            if (closed or self._rests_for() <= 0.0) and self.tell(connection):
                self._take()
            if closed:
                return

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        while (heard := connection.pgconn.notifies()) is not None:
            self._heard(heard.relname.decode(), heard.extra.decode())

    def _heard(self, channel: str, topics: str) -> None:
        if channel == self.address:
            self._handed(topics)
            return
        words = topics.split(",")
        if self._mark not in words:
            self._wake(*words)

    def tell(self, connection: psycopg.Connection[Any]) -> bool:
        """Send what there is to send, in one notification; return whether there was anything."""
        with self._lock:
            topics, self._topics = sorted(self._topics), set()
        if topics:
            connection.execute(_TELL, (self.told(topics),))
            self._hear(connection)
        return bool(topics)

    def _rouse(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            words, self._rousing = self._rousing, None
        if words is not None:
            connection.execute(_ROUSE, (words,))
            self._hear(connection)

    def _vouch(self, connection: psycopg.Connection[Any]) -> bool:
        """Let others know, as long as there is this connection, that this process hears; False where it cannot yet."""
        row = connection.execute(_VOUCH, (self.address,)).fetchone()
        self._hear(connection)
        return row is not None and bool(row[0])

    def _wait(self, sockets: list[int], seconds: float | None) -> None:
        ready, _, _ = select.select([self._ear, *sockets], [], [], seconds)
        if self._ear in ready:
            os.read(self._ear, 65_536)
