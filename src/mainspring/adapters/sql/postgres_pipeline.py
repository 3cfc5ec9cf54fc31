"""Several statements sent to PostgreSQL at once, and an answer for each: libpq's pipeline, on the driver's connection.

The driver's own cursors take longer to make than the server for its answer, and its pipeline longer than what it saves.
What is sent often the server is asked to keep.
"""

from __future__ import annotations

import select
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

#: How often a statement is sent in full before the server is asked to keep it, and how many it keeps.
FULL, KEPT = 4, 200
# No prepared statement of this name; one whose columns are of other types by now.
_STALE = (b"26000", b"0A000")
WELL = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


@dataclass(frozen=True, slots=True)
class Message:
    """A statement ready to be sent. ``kept``: worth keeping on the server, where it comes often.

    ``conflict`` is what to say where a constraint refuses it and nobody waits for it; ``heard`` hears the answer. A
    ``hint`` may fail.
    """

    text: bytes
    values: Sequence[Any] = ()
    types: tuple[int, ...] = ()
    formats: Sequence[Any] = ()
    kept: bool = False
    conflict: str | None = None
    heard: Callable[[PGresult], None] | None = None
    hint: bool = False

    @property
    def size(self) -> int:
        """Bytes of its parameters."""
        return sum(len(value) for value in self.values if value is not None)


class Pipeline:
    """The driver's connection under a `Wire`. ``prepares``: the server may keep statements between transactions."""

    def __init__(self, driver: Any, *, prepares: bool) -> None:
        self._driver, self._pgconn, self._prepares = driver, driver.pgconn, prepares
        self._adapter = Transformer(driver)
        self._poll = select.poll()
        # By what they are: how often they were sent in full, or the name they are kept under.
        self._sent: OrderedDict[tuple[bytes, tuple[int, ...]], int | bytes] = OrderedDict()
        self._names = 0
        # What is under way: sent, and not all of it answered yet.
        self._own = _Own()

    def message(self, text: bytes, values: Sequence[Any], conflict: str | None = None) -> Message:
        """Return a statement with its parameters made ready. Raises the driver's errors for what cannot be sent."""
        adapter = self._adapter
        sent = adapter.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return Message(text, sent, tuple(adapter.types or ()), adapter.formats or (), True, conflict)

    def rows(self, answer: PGresult) -> Sequence[tuple[Any, ...]]:
        """Return the rows of an answer as the driver reads them."""
        self._adapter.set_pgresult(answer)
        rows = self._adapter.load_rows(0, answer.ntuples, tuple)
        self._adapter.set_pgresult(None)  # it would keep the answer until the next
        return rows

    def send(self, said: Sequence[Message]) -> None:
        """Send messages on their way; the answers to them come with the next `exchange`.

        Raises ``OperationalError`` where the connection is lost: what became of them is not known then.
        """
        with self._closed_by_errors():
            self._sent_off(said)

    def exchange(self, said: Sequence[Message]) -> list[PGresult]:
        """Send messages; return an answer for each, those on their way included.

        Those after one that failed were not done, nor is it undone. Raises ``OperationalError`` as `send` does.
        """
        with self._closed_by_errors():
            if said or not self._own.sent:
                self._sent_off(said)
            self._hear()
            self._pgconn.exit_pipeline_mode()
        own, self._own = self._own, _Own()
        return self._sorted(own)

    def ask(self, said: Sequence[Message], question: int, *, ahead: bool) -> PGresult | None:
        """Send messages; return the answer to one of them, by its number; ``ahead`` of those after it, or with them.

        None where it failed, or one before it. All answers come with the next `exchange`. Raises as `send` does.
        """
        own = self._own
        with self._closed_by_errors():
            self._sent_off(said, question, flush=ahead)
            self._hear(until=own.asked if ahead else None)
        answer = own.heard[own.asked - 1]
        return answer if answer.status in WELL else None

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear: no goodbye either, nor that the connection was closed."""
        self._poll.register(self._pgconn.socket, select.POLLIN)
        return not self._poll.poll(0)

    @contextmanager
    def _closed_by_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._own = _Own()
            self._driver.close()  # nobody knows any more whose answer would come next
            raise

    def _sent_off(self, said: Sequence[Message], question: int | None = None, *, flush: bool = False) -> None:
        own = self._own
        if not own.sent:
            self._pgconn.enter_pipeline_mode()
        for number, message in enumerate(said):
            self._send(message, own)
            if number == question:
                own.asked = own.sent
                if flush:
                    self._pgconn.send_flush_request()  # the server would keep answers until it has them all
        # Each time, for a server that waits for more without one does not count as idle, and is not cut off as such.
        self._pgconn.pipeline_sync()
        own.rounds += 1

    def _send(self, message: Message, own: _Own) -> None:
        if own.sent:  # not in front of all else, which may be the BEGIN of a snapshot: that has to come first
            self._forget(own)
        name = self._name(message, own) if message.kept and self._prepares else None
        if name is None:
            self._pgconn.send_query_params(message.text, message.values, message.types, message.formats)
        else:
            self._pgconn.send_query_prepared(name, message.values, message.formats)
        own.sent += 1

    def _name(self, message: Message, own: _Own) -> bytes | None:
        """Return the name a statement is kept under; None where it has not come often enough to be."""
        key = message.text, message.types
        known = self._sent.pop(key, 0)
        if isinstance(known, int) and known < FULL:
            self._sent[key] = known + 1
            return None
        if isinstance(known, int):
            self._names += 1
            known = b"mainspring_%d" % self._names
            self._pgconn.send_prepare(known, message.text, message.types)
            own.kept[own.sent] = key
            own.sent += 1
        self._sent[key] = known  # the newest: those are forgotten first that came longest ago
        return known

    def _forget(self, own: _Own) -> None:
        while len(self._sent) > KEPT:
            _, name = self._sent.popitem(last=False)
            if isinstance(name, bytes):
                self._pgconn.send_query_params(b"DEALLOCATE " + name, None)
                own.forgotten.add(own.sent)
                own.sent += 1

    def _hear(self, until: int | None = None) -> None:
        """Take in answers, up to this number of them, or all there will be."""
        pgconn, poll, own = self._pgconn, self._poll, self._own
        poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
        while pgconn.flush():
            if poll.poll()[0][1] & ~select.POLLOUT:  # it answers before it has read everything: let it
                pgconn.consume_input()
        poll.modify(pgconn.socket, select.POLLIN)
        while own.rounds and len(own.heard) != until:
            while pgconn.is_busy():
                poll.poll()
                pgconn.consume_input()
            answer = pgconn.get_result()
            if answer is None:
                if pgconn.status != ConnStatus.OK:
                    raise psycopg.OperationalError(f"the connection was lost: {pgconn.get_error_message()}")
            elif answer.status == ExecStatus.PIPELINE_SYNC:
                own.rounds -= 1
            else:
                own.heard.append(answer)

    def _sorted(self, own: _Own) -> list[PGresult]:
        """Return the answers to what was asked for, without those to what this class sent besides."""
        answers, found, refused = own.heard, list[PGresult](), None
        if len(answers) > own.sent:  # what goes out after a COMMIT is kept, or refused, at the very end
            answers[own.sent - 1] = answers.pop()
        for number, answer in enumerate(answers):
            if answer.status not in WELL and answer.error_field(DiagnosticField.SQLSTATE) in _STALE:
                self._sent.clear()  # what is done again is sent in full
            if number in own.kept:
                if answer.status not in WELL:
                    self._sent.pop(own.kept[number], None)
                    refused = answer
            elif number not in own.forgotten:
                found.append(refused or answer)
                refused = None
        return found


class _Own:
    """What goes out besides the messages of one exchange, by its place in the line."""

    def __init__(self) -> None:
        self.sent = 0
        #: How often the server was told that it may answer, and has not said that this was all.
        self.rounds = 0
        #: How many answers there are once there is the one that was asked for; and those that are there.
        self.asked = 0
        self.heard: list[PGresult] = []
        self.kept: dict[int, tuple[bytes, tuple[int, ...]]] = {}
        self.forgotten: set[int] = set()
