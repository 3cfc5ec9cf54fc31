"""One connection to PostgreSQL, on which a transaction takes as few round trips as its questions leave it.

What nobody waits for an answer to goes out with what is asked next: BEGIN with the first question, writes whose answers
are not looked at with the COMMIT. Only what is long goes out at once, so that the server works while we do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult

from mainspring.adapters.sql.dialect import MICROS, NOW
from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.postgres_pipeline import WELL, Message, Pipeline
from mainspring.adapters.sql.punctual import monotonic, wait
from mainspring.adapters.sql.statements import as_sqlalchemy
from mainspring.adapters.sql.telegraph import HAND, TELL
from mainspring.adapters.sql.types import micros
from mainspring.errors import ConflictError, StoreError

#: How long before an instant work is begun that is committed at it: nobody else waits meanwhile.
LEAD = timedelta(milliseconds=15)
#: Seconds before it at which who will be woken is roused, and without which it is too late for that.
ROUSE, ENOUGH = 0.006, 0.003
#: Bytes of parameters with which the server has so much to do that it should begin at once.
LONG = 16_384
#: Seconds for which a connection that has answered is believed to be there, unless it is known to be closed.
LATELY = 10.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN = Message(b"BEGIN", kept=True)
_SNAPSHOT = Message(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", kept=True)
_ROLLBACK = Message(b"ROLLBACK")
# Kept in the transaction for statements that are sent before the answer is here.
_CLOCK = f"set_config('{NOW}', ({MICROS})::text, true)"


def _ended(answer: PGresult) -> None:
    if answer.command_status != b"COMMIT":
        raise StoreError("the transaction was given up after an error that its work did not pass on")


_TELL, _HAND = TELL.encode(), HAND.encode()
_COMMIT = Message(b"COMMIT", kept=True, heard=_ended)


class Words(NamedTuple):
    """What others are told along with a commit; ``filled``: in place of it, where what it queued is with a worker."""

    told: str
    filled: str | None


class Wire:
    """A connection of one thread, made when it is first needed and again when it was lost.

    ``settings`` are made anew in each transaction, for connections that keep none of their own; ``prepares``: whether
    the server may keep statements between transactions.
    """

    def __init__(self, engine: sa.Engine, settings: Mapping[str, str], *, prepares: bool) -> None:
        self._engine, self._prepares = engine, prepares
        self._made = [f"set_config('{name}', '{value}', true)" for name, value in settings.items()]
        clock = f"SELECT {', '.join([_CLOCK, *self._made])}".encode()
        self._clock = Message(clock, kept=True, heard=self._set_now)
        self._clock_again = Message(f"SELECT {MICROS}".encode(), kept=True, heard=self._hear_clock)
        self._connection: sa.Connection | None = None
        self._pipeline: Pipeline
        self._first: list[Message] = []
        self._waiting: list[Message] = []
        self._under_way: list[Message] = []
        self._begun = self._ended = self._told = False
        # Whether the COMMIT that went out with a question is under way.
        self._ends = False
        self._ending: Callable[[], Words | None] | None = None
        #: Whether the one execution that was queued is claimed for a worker that lends a slot if one does, and whether
        #: it was: for whoever asks for that, and once it is committed for whoever tells of it.
        self.fills = self.filled = False
        self._now: datetime | None = None
        # Work that is done ahead of its instant: that instant, and when it comes by this process's clock.
        self._at: datetime | None = None
        self._comes = inf
        # Seconds until the last question was answered, and when that was.
        self._took, self._heard_at = 0.0, -inf

    # -- one transaction -----------------------------------------------------------------------------------------

    def begin(self, *, reading: bool, at: datetime | None = None) -> None:
        """Begin a transaction with whatever is asked first; as if ``at`` an instant, where one is given."""
        self._at, self._comes = at, inf
        self._first = [_SNAPSHOT if reading else _BEGIN, self._clock if at is None else self._clock_set(at)]
        self._waiting, self._under_way = [*self._first], []
        self._begun, self._now = False, None
        self._ending, self._ended, self._told = None, False, False
        self._ends = self.fills = self.filled = False

    def end_with_next(self, words: Callable[[], Words | None]) -> None:
        """Send the COMMIT along with the next question, and tell who listens these words; not before its instant.

        Of a transaction that writes the question is answered as soon as that can be, and `commit` waits for the end;
        with the end where what it queues may be handed to somebody.
        """
        if self._at is None:
            self._ending = words

    def wait(self, rouse: Callable[[], None]) -> None:
        """Wait for the instant of work that was done ahead of it. Raises `TooEarlyError` where that is far off.

        ``rouse`` is called some milliseconds before, for whoever will be woken by the commit.
        """
        if self._at is None:
            return
        self.open()  # what was put is done, and the server's clock known
        if self._comes - monotonic() > self._took:  # else to ask may take longer than is left
            self._waiting.append(self._clock_again)
            self._say()
        wait(lambda: self._comes - monotonic() - ROUSE, LEAD)
        if self._comes - monotonic() >= ENOUGH:
            rouse()
        wait(lambda: self._comes - monotonic(), LEAD)

    def fill(self, statement: bytes, queue: str) -> None:
        """Have the execution that was queued claimed for whoever lends a slot of this queue (see `vacancies`)."""
        self._hear_end()
        self.fills = True
        self._waiting.append(replace(self._message(statement, (queue,)), heard=self._hear_filled))

    def _hear_filled(self, answer: PGresult) -> None:
        self.filled = bool(answer.get_value(0, 0))

    @property
    def ended(self) -> bool:
        """Whether the end went out with a question, and nothing was begun since."""
        return self._ends or (self._ended and self._waiting == self._first)

    @property
    def now(self) -> datetime:
        """The server's clock when the transaction began."""
        self._hear_end()
        if self._now is None:
            self.open()
        assert self._now is not None, "a clock always tells the time"
        return self._now

    def put(self, text: bytes, values: Sequence[Any], conflict: str) -> None:
        """Send a statement with the next question, or the end; `ConflictError` then where a constraint refuses it."""
        self._hear_end()
        self._waiting.append(self._message(text, values, conflict))
        # Not before the transaction is known to have begun: without it, each part would be done by itself.
        if self._begun and sum(message.size for message in self._waiting) >= LONG:
            self._send()

    def ask(self, text: bytes, values: Sequence[Any]) -> PGresult:
        """Return the answer to a statement. Raises SQLAlchemy's errors, and ours for what was put before."""
        self._hear_end()
        if self._ending is not None and self._first[0] is _BEGIN and not self._begun and not self._surely_connected:
            self._say()  # what may be said again
        self._waiting.append(self._message(text, values))
        if self._ending is None:
            return self._say()[-1]
        question = len(self._waiting) - 1
        words = self._ending()
        if self._first[0] is _BEGIN:
            return self._ask_at_the_end(question, words)
        question += len(self._under_way)
        answers = self._end(words)  # what only reads may be asked twice
        self._begin_anew()
        return answers[question]

    def _ask_at_the_end(self, question: int, words: Words | None) -> PGresult:
        self._put_end(words)
        said, self._waiting, connection = self._waiting, [], self.connected()
        try:
            # Said once: nobody would know whether it was done. Whoever may be handed something comes first: we would
            # look at our answer on the processor on which the server goes on to its commit.
            answer = self._pipeline.ask(said, question, ahead=not self.fills)
        except psycopg.Error as error:
            raise as_sqlalchemy(error, "", connection) from error
        self._under_way += said
        self._ends, self._told = True, words is not None
        if answer is None:
            self._hear_end()
        assert answer is not None, "what failed was raised"
        return answer

    def _hear_end(self) -> None:
        """Wait for the end that went out with a question, if one did."""
        if self._ends:
            try:
                answers = self._say()
            finally:
                self._ends = False
            self._told = self._told and answers[-1].status in WELL
            self._begin_anew()

    def _begin_anew(self) -> None:
        """What ended with its question is over; should work go on, it begins anew."""
        self._waiting, self._begun, self._ending, self._ended = [*self._first], False, None, True
        self.fills = False

    def rows(self, answer: PGresult) -> Sequence[tuple[Any, ...]]:
        """Return the rows of an answer as the driver reads them."""
        return self._pipeline.rows(answer)

    def open(self) -> sa.Connection:
        """Send what was put; return the connection, on which the transaction is open now."""
        self._hear_end()
        if self._waiting or self._under_way:
            self._say()
        return self.connected()

    def commit(self, words: Callable[[], Words | None]) -> bool:
        """End the transaction, and tell who listens these words. Raises `StoreError` where the server had given it up.

        They are asked for only if there is something left to end: for a while after that nobody is told anything else.
        Returns whether they were told: that may fail, and changes nothing about what was committed.
        """
        self._hear_end()
        if self.ended:
            return self._told
        if not self._begun:  # what may be said again, on another connection, ends nothing
            self._say()
        self._end(words())
        return self._told

    def _put_end(self, words: Words | None) -> None:
        self._waiting.append(_COMMIT)
        if self.fills:
            self._waiting.append(replace(self._message(_HAND, words or (None, None)), hint=True))
        elif words is not None:
            self._waiting.append(replace(self._message(_TELL, words[:1]), hint=True))

    def _end(self, words: Words | None) -> list[PGresult]:
        self._put_end(words)
        answers = self._say()
        self._told = words is not None and answers[-1].status in WELL
        return answers

    def undo(self) -> None:
        """Roll back; where that fails, the server undoes what a lost connection has begun."""
        unsaid, self._waiting = self._waiting, []
        if self._under_way and not self._awaited():
            return
        if not self._begun:
            if not unsaid:
                self.drop()  # it could not so much as begin
            return
        try:
            self._waiting = [_ROLLBACK]
            self._say()
        except BaseException:
            self.drop()

    def _send(self) -> None:
        """Send what waits, and do not wait for the answers."""
        try:
            self._pipeline.send(self._waiting)
        except psycopg.Error:
            return  # the connection is closed, which whoever asks next, or ends it, finds out
        self._under_way += self._waiting
        self._waiting = []

    def _awaited(self) -> bool:
        """Wait until what is under way is done, whatever came of it; False where the connection was lost instead."""
        self._under_way = []
        try:
            self._pipeline.exchange(())
        except psycopg.Error:
            self.drop()
            return False
        return True

    def _say(self) -> list[PGresult]:
        said, self._waiting = self._waiting, []
        try:
            return self._answered(said)
        except sa.exc.DBAPIError as error:
            if self._begun or self._ends or not error.connection_invalidated:
                raise
            self.drop()  # it was lost while nobody used it, and nothing has begun
            return self._answered(said)

    def _answered(self, said: Sequence[Message]) -> list[PGresult]:
        before, self._under_way = self._under_way, []
        connection, asked_at = self.connected(), monotonic()
        try:
            answers = self._pipeline.exchange(said)
        except psycopg.Error as error:
            raise as_sqlalchemy(error, "", connection) from error
        self._heard_at = monotonic()
        self._took = self._heard_at - asked_at
        self._begun = self._begun or answers[0].status in WELL
        for message, answer in zip([*before, *said], answers, strict=True):
            if answer.status not in WELL and not message.hint:
                raise _refused(message, answer, connection, asked=bool(said) and message is said[-1])
            if message.heard is not None:
                message.heard(answer)
        return answers

    def _message(self, text: bytes, values: Sequence[Any], conflict: str | None = None) -> Message:
        connection = self.connected()
        try:
            return self._pipeline.message(text, values, conflict)
        except psycopg.Error as error:
            raise as_sqlalchemy(error, text.decode(), connection) from error

    def _set_now(self, answer: PGresult) -> None:
        self._now = _EPOCH + timedelta(microseconds=int(answer.get_value(0, 0) or 0))

    def _clock_set(self, at: datetime) -> Message:
        now = f"set_config('{NOW}', greatest({micros(at)}, {MICROS})::text, true)"
        asked = f"SELECT {', '.join([now, f'({MICROS})::text', *self._made])}".encode()
        return Message(asked, heard=self._set_at)

    def _set_at(self, answer: PGresult) -> None:
        self._set_now(answer)
        self._hear_clock(answer, column=1)

    def _hear_clock(self, answer: PGresult, column: int = 0) -> None:
        assert self._at is not None, "only who waits for an instant asks"
        # The server read its clock before: by that clock the instant has come then at the latest. The quickest answer
        # tells best, and that to BEGIN, of a server process that has slept, is not.
        ahead = micros(self._at) - int(answer.get_value(0, column) or 0)
        self._comes = min(self._comes, monotonic() + ahead / 1_000_000)

    # -- the connection ------------------------------------------------------------------------------------------

    def connected(self) -> sa.Connection:
        """Return the connection, made if there is none."""
        if self._connection is None:
            connection = self._engine.connect()
            self._pipeline = Pipeline(connection.connection.dbapi_connection, prepares=self._prepares)
            self._connection = connection
        return self._connection

    @property
    def _surely_connected(self) -> bool:
        """Whether the server was there a moment ago and has said nothing since: where it goes, it says goodbye."""
        return self._connection is not None and monotonic() - self._heard_at < LATELY and self._pipeline.silent

    def drop(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _refused(message: Message, answer: PGresult, connection: sa.Connection, *, asked: bool) -> BaseException:
    """What went wrong: as SQLAlchemy tells it to who asked; as one of ours to whoever meets it in place of him."""
    error = error_from_result(answer)
    # Without a code of the server's the connection was lost.
    driver = error if error.sqlstate else psycopg.OperationalError(str(error))
    told = as_sqlalchemy(driver, message.text.decode(), connection)
    if message.conflict is not None and isinstance(told, sa.exc.IntegrityError):
        ours: BaseException = ConflictError(message.conflict)
        ours.__cause__ = told
        return ours
    return told if asked or message.conflict is None else translated(told, reading=True)
