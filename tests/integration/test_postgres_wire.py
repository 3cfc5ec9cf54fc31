"""What goes over a connection to PostgreSQL: how often, how much of it, and what becomes of what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.sql import postgres_pipeline as module
from mainspring.adapters.sql import postgres_wire, telegraph
from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.adapters.sql.postgres_pipeline import Pipeline
from mainspring.adapters.sql.telegraph import Telegraph
from mainspring.app.enqueuing import Enqueues
from mainspring.control.scheduler import SchedulerService
from mainspring.engine.lookout import look
from mainspring.errors import ConflictError, MainspringError, StoreError, StoreUnavailableError
from mainspring.model.execution import Execution
from mainspring.model.job import JobDefinition
from mainspring.model.node import Limit
from mainspring.model.wire import DefinitionReader
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue, enqueue_at_once
from mainspring.moves.jobs import create_jobs
from mainspring.ports.store import ExecutionQuery, Tx
from tests.contracts.store_rows import an_execution
from tests.integration.postgres_rig import of_one_connection, store, url

__all__ = ["store", "url"]

pytestmark = pytest.mark.servers

ONE = [EnqueueRequest("work", {"n": 1})]


@pytest.fixture
async def single(url: str) -> AsyncIterator[PostgresStore]:
    """A store that says everything on one connection: another one would first be asked whether it is there."""
    async with of_one_connection(url) as store:
        yield store


def claim_one(tx: Tx) -> list[Execution]:
    return claim(tx, "w", queues={"default": 1}, handlers=["work"], limit=1, lease=timedelta(seconds=15))


async def trips(store: PostgresStore, work: Callable[[Tx], Any], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run work three times; return of the last time how many statements went with each round trip."""
    return await trips_of(lambda: store.write(work), monkeypatch)


async def trips_of(call: Callable[[], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Call three times; return of the last time how many statements went with each round trip."""
    sent: list[int] = []
    exchange, ask = Pipeline.exchange, Pipeline.ask

    def counted(self: Pipeline, said: Any) -> Any:
        if said:  # else it only hears the rest of what was sent before
            sent.append(len(said))
        return exchange(self, said)

    def counted_too(self: Pipeline, said: Any, question: int, *, ahead: bool) -> Any:
        sent.append(len(said))
        return ask(self, said, question, ahead=ahead)

    for _ in range(2):  # what is asked for the first time goes SQLAlchemy's way
        await call()
    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "exchange", counted)
        patched.setattr(Pipeline, "ask", counted_too)
        await call()
    return sent


def claim_alone(tx: Tx) -> list[Execution]:
    lease = timedelta(seconds=15)
    return claim(tx, "w", queues={"default": 1}, handlers=["work"], limit=1, lease=lease, alone=True)


async def test_an_enqueue_takes_two_round_trips_and_a_claim_alone_takes_one(
    single: PostgresStore, monkeypatch: Any
) -> None:
    monkeypatch.setattr(telegraph, "GATHER", 0.0)
    begin, end = await trips(single, lambda tx: enqueue(tx, ONE), monkeypatch)
    assert begin == 3, "BEGIN, the clock and the limits"
    assert end in (2, 4), (
        "the INSERT and COMMIT, and where it is quiet what claims it for others and what they are told"
    )
    assert await trips(single, claim_one, monkeypatch) == [3, 1]
    claimed = await single.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))
    assert [execution.attempt for execution in claimed] == [1, 1, 1]
    for _ in range(3):
        await single.write(lambda tx: enqueue(tx, ONE))
    assert await trips(single, claim_alone, monkeypatch) == [4]
    claimed = await single.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))
    assert [execution.attempt for execution in claimed] == [1] * 6


def at_once(tx: Tx) -> list[Execution]:
    return enqueue_at_once(tx, ONE)


async def test_an_enqueue_that_asks_nothing_takes_one_round_trip(
    single: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegraph, "GATHER", 0.0)
    (all_of_it,) = await trips(single, at_once, monkeypatch)
    assert all_of_it == 5, "BEGIN, the clock, the INSERT and COMMIT, and what others are told"
    with monkeypatch.context() as patched:
        patched.setattr(postgres_wire, "LATELY", 0.0)
        begin, rest = await trips(single, at_once, monkeypatch)
    assert begin == 2, "a connection that was not used lately is asked for the clock first"
    assert rest == 3
    found = await single.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))
    assert [execution.status for execution in found] == ["queued"] * 6


@pytest.mark.parametrize("ahead", [False, True])
async def test_only_what_may_be_handed_to_nobody_is_looked_at_before_its_end(
    url: str, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    """On one processor the server waits with its commit while its client looks at an answer."""
    requests, rounds = ONE * (2 if ahead else 1), list[int]()
    ask = Pipeline.ask

    def looked(self: Pipeline, said: Any, question: int, **how: Any) -> Any:
        answer = ask(self, said, question, **how)
        rounds.append(self._own.rounds)
        return answer

    monkeypatch.setattr(telegraph, "GATHER", 0.0)  # nobody is handed anything within it
    async with of_one_connection(url) as store:
        await store.write(lambda tx: enqueue_at_once(tx, requests))
        monkeypatch.setattr(Pipeline, "ask", looked)
        made = await store.write(lambda tx: enqueue_at_once(tx, requests))
        stored = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))
    assert len(made) == len(requests)
    assert len(stored) == 2 * len(requests)
    assert rounds[0] == ahead, "0: all of it has been heard"


async def test_words_that_nobody_will_say_are_not_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as told, and those that were kept back would be told a while later than that."""
    asked: list[str | None] = []
    words = Telegraph.words

    def counted(self: Telegraph, topics: Sequence[str]) -> str | None:
        asked.append(words(self, topics))
        return asked[-1]

    async with of_one_connection(url) as store:
        await store.write(at_once)
        monkeypatch.setattr(Telegraph, "words", counted)
        await store.write(at_once)
        assert len(asked) == 1, "with its question"
        await store.write(lambda tx: enqueue(tx, ONE))
        assert len(asked) == 2, "with its end"


async def test_an_enqueue_at_once_of_a_connection_that_was_lost_is_said_on_another_one(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.write(at_once)
    await terminated(url, await store.read(backend_pid))
    (made,) = await store.write(at_once)
    assert len(await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))) == 7
    assert await store.read(lambda tx: tx.executions.get(made.id)) == made
    await store.close()


async def test_an_enqueue_at_once_whose_connection_is_lost_meanwhile_is_not_said_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it was done, and it may have ended by now: who asks for it is told so."""
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.write(at_once)
    hear = Pipeline._hear

    def lost(self: Pipeline, until: int | None = None) -> None:
        if until is None:
            hear(self)  # it is done, and the answer comes
            self._pgconn.finish()
        hear(self, until)

    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "_hear", lost)
        with pytest.raises(StoreUnavailableError):
            await store.write(at_once)
    assert len(await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))) == 7
    assert len(await store.write(at_once)) == 1
    await store.close()


async def test_a_limit_that_is_set_meanwhile_holds_for_what_begins_after_it(store: PostgresStore, url: str) -> None:
    enqueues = Enqueues()
    for _ in range(3):
        await store.write(enqueues.work(ONE))
    other = PostgresStore(url, random=Random(2))
    await other.open()
    await other.write(lambda tx: tx.platforms.put_limit(Limit("default", "platform", "", max_running=3)))
    made = [(await store.write(enqueues.work(ONE)))[0] for _ in range(3)]
    assert [(one.status, one.blocked_by) for one in made] == [("pending", "platform")] * 3
    await other.write(lambda tx: tx.platforms.put_limit(Limit("default", "platform", "")))
    made = [(await store.write(enqueues.work(ONE)))[0] for _ in range(3)]
    assert [one.status for one in made] == ["queued"] * 3
    await other.close()


async def test_where_a_platform_has_limits_they_are_asked_for_first_from_the_second_time_on(
    single: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueues = Enqueues()
    await single.write(lambda tx: tx.platforms.put_limit(Limit("default", "queue", "other", max_running=1)))
    begin, *rest = await trips(single, enqueues.work(ONE), monkeypatch)
    assert (begin, len(rest)) == (3, 2), "BEGIN, the clock and the limits; their lock; the INSERT and COMMIT"
    await single.write(lambda tx: tx.platforms.put_limit(Limit("default", "queue", "other")))
    assert len(await trips(single, enqueues.work(ONE), monkeypatch)) == 1


async def test_what_work_does_after_the_end_it_sent_along_is_a_transaction_of_its_own(store: PostgresStore) -> None:
    for _ in range(10):
        await store.write(lambda tx: enqueue(tx, ONE))

    def goes_on(tx: Tx) -> list[Execution]:
        claimed, now = claim_alone(tx), tx.now
        tx.platforms.put_note("claimed", claimed[0].id)
        assert tx.now >= now
        return claimed

    def fails(tx: Tx) -> None:
        claim_alone(tx)
        tx.platforms.put_note("failed", "x")
        raise LookupError("not today")

    for _ in range(2):  # what is asked for the first time goes SQLAlchemy's way
        await store.write(claim_alone)
    for _ in range(3):
        (claimed,) = await store.write(goes_on)
        assert await store.read(lambda tx: tx.platforms.note("claimed")) == claimed.id
        with pytest.raises(LookupError, match="not today"):
            await store.write(fails)
    assert await store.read(lambda tx: tx.platforms.note("failed")) is None
    found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))
    assert sorted(execution.attempt for execution in found) == [0] * 2 + [1] * 8


async def test_a_claim_whose_connection_was_lost_is_not_said_again(url: str, monkeypatch: Any) -> None:
    """Nobody knows whether it was done: what it may have got is given back at the next heartbeat, as after any loss."""
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.write(lambda tx: enqueue(tx, ONE))
        await store.write(claim_alone)
    await terminated(url, await store.read(backend_pid))
    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "silent", True)  # it goes as it is claimed
        with pytest.raises(StoreUnavailableError):
            await store.write(claim_alone)
    await terminated(url, await store.read(backend_pid))
    assert await store.write(claim_alone) == [], "what is known to be lost is not claimed on"
    await store.write(lambda tx: enqueue(tx, ONE))
    assert len(await store.write(claim_alone)) == 1
    await store.close()


async def test_a_single_question_that_only_reads_is_asked_again_where_the_connection_was_lost(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.read(look)
    await terminated(url, await store.read(backend_pid))
    assert (await store.read(look)).plan is None
    await store.close()


async def test_a_write_that_is_refused_when_nobody_waits_for_it_undoes_all(store: PostgresStore) -> None:
    there, other = an_execution(await store.read(lambda tx: tx.now)), an_execution(await store.read(lambda tx: tx.now))

    def twice(tx: Tx) -> str:
        tx.executions.add([other])
        tx.executions.add([there])
        return "not told"

    for _ in range(3):  # before statements are prepared, and after
        await store.write(lambda tx: tx.executions.add([an_execution(tx.now)]))
    await store.write(lambda tx: tx.executions.add([there]))
    with pytest.raises(ConflictError, match="exists already"):
        await store.write(twice)
    assert await store.read(lambda tx: tx.executions.get(other.id)) is None
    assert await store.read(lambda tx: tx.executions.get(there.id)) == there


async def test_a_refused_write_is_told_by_the_next_question_and_by_the_end_where_work_swallows_it(
    store: PostgresStore,
) -> None:
    there = an_execution(await store.read(lambda tx: tx.now))
    seen: list[str] = []

    def counting(tx: Tx) -> None:
        tx.executions.add([an_execution(tx.now)])
        tx.executions.counts("default", 5)

    def swallowing(tx: Tx) -> None:
        tx.executions.add([there])
        try:
            tx.executions.counts("default", 5)
        except MainspringError as error:
            seen.append(type(error).__name__)

    for _ in range(3):
        await store.write(counting)
    await store.write(swallowing)
    with pytest.raises(StoreError, match="given up"):
        await store.write(swallowing)
    assert seen == ["ConflictError"]
    assert await store.read(lambda tx: tx.executions.get(there.id)) == there, "and the connection goes on"


async def test_more_than_fits_into_a_socket_goes_over_it(store: PostgresStore) -> None:
    requests = [EnqueueRequest("work", {"n": number, "text": "x" * 8_000}) for number in range(1_000)]
    for _ in range(2):
        made = await store.write(lambda tx: enqueue(tx, requests))
        assert len({execution.id for execution in made}) == 1_000
    found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work", limit=5_000)))
    assert len(found) == 2_000


async def test_jobs_are_created_in_as_few_round_trips_as_there_are_questions(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, numbers = SchedulerService(store), count()
    create = {"type": "cron", "schedule": {"cron": "0 0 1 1 *"}, "handler": "work"}
    found = await trips_of(lambda: service.create_jobs([{"name": f"far-{next(numbers)}", **create}]), monkeypatch)
    begin, *questions, end = found
    assert begin == 3, "BEGIN, the clock and the handlers"
    assert questions == [1, 1, 1], "the names taken, the limits, the zone"
    assert end in (5, 6), "job, revision, event, the line in the audit trail and COMMIT, and what others are told"


@pytest.mark.parametrize("text", ["x" * 200, ""])
async def test_the_server_begins_with_what_is_long_while_more_is_made(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    sent = sent_early(monkeypatch)
    await store.write(lambda tx: create_jobs(tx, "default", many_definitions(1_000, text=text)))
    assert sum(b"INSERT INTO jobs" in said for said in sent) == 4, "each part of the jobs by itself"
    found = await store.read(lambda tx: tx.jobs.find("default", limit=2_000))
    assert [job.definition for job in found] == many_definitions(1_000, text=text)
    revisions = await store.read(lambda tx: [tx.jobs.revisions(job.id) for job in found[::100]])
    assert [len(kept) for kept in revisions] == [1] * 10
    events = await store.read(lambda tx: tx.outbox.unpublished(2_000))
    assert [event.data["job"] for event in events] == [job.name for job in found]


async def test_the_server_begins_with_some_executions_while_more_are_made(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_early(monkeypatch)
    numbers = list(range(1_000))
    requests = [EnqueueRequest("work", {"n": n}, priority=n % 10) for n in numbers]
    made = await store.write(lambda tx: enqueue(tx, requests))
    assert sum(b"INSERT INTO executions" in said for said in sent) == 4
    assert [execution.payload["n"] for execution in made] == numbers
    found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work", limit=2_000)))
    assert [execution.payload["n"] for execution in found] == numbers[::-1]


def sent_early(monkeypatch: pytest.MonkeyPatch) -> list[list[bytes]]:
    """Return a list that fills with how the statements begin which go out before anybody waits for answers."""
    sent: list[list[bytes]] = []
    send = Pipeline.send

    def counted(self: Pipeline, said: Any) -> None:
        sent.append([message.text.split(b" (")[0] for message in said])
        send(self, said)

    monkeypatch.setattr(Pipeline, "send", counted)
    return sent


async def test_what_was_refused_while_more_was_made_undoes_all(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()

    def taken_meanwhile(tx: Tx) -> None:
        before = create_jobs(tx, "default", many_definitions(300))
        tx.jobs.add([before[7].job.changed(id=tx.new_id())], actor="other")

    def given_up(tx: Tx) -> None:
        create_jobs(tx, "default", many_definitions(600))
        raise LookupError("not today")

    pid = await store.read(backend_pid)
    for _ in range(6):  # before statements are prepared, and after
        with pytest.raises(ConflictError, match="there is a job 'far-0007' already"):
            await store.write(taken_meanwhile)
        with pytest.raises(LookupError, match="not today"):
            await store.write(given_up)
    assert await store.read(lambda tx: tx.jobs.find("default")) == []
    assert await store.read(backend_pid) == pid, "and the connection goes on"
    await store.close()


async def test_what_is_long_is_made_again_unseen_where_the_connection_was_lost_before(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    made = await store.write(lambda tx: create_jobs(tx, "default", many_definitions(300)))

    def add_again(tx: Tx) -> None:
        now = datetime(2026, 3, 1, tzinfo=UTC)
        renamed = [one.job.changed(id=f"{n:036d}", definition=names[n], created_at=now) for n, one in enumerate(made)]
        tx.jobs.add(renamed, actor="other")

    names = many_definitions(300, "near")
    await terminated(url, await store.read(backend_pid))
    await store.write(add_again)
    assert len(await store.read(lambda tx: tx.jobs.find("default", limit=1_000))) == 600
    await store.close()


async def test_nothing_is_stored_of_what_is_long_where_the_connection_is_lost_amid_it(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=2))
    await store.open()

    def lost(tx: Tx) -> None:
        pid = backend_pid(tx)
        create_jobs(tx, "default", many_definitions(600))
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        create_jobs(tx, "default", many_definitions(600, "near"))

    with pytest.raises(StoreUnavailableError):
        await store.write(lost)
    assert await store.read(lambda tx: tx.jobs.find("default")) == []
    await store.close()


def many_definitions(number: int, name: str = "far", *, text: str = "x" * 200) -> list[JobDefinition]:
    """Return definitions in order of name, with payloads that are long together; without ``text`` they share one."""
    read, alike = DefinitionReader().read, {"type": "cron", "schedule": {"cron": "0 0 1 1 *"}, "handler": "work"}
    payloads: list[dict[str, Any]] = [{"n": n, "text": text} for n in range(number)] if text else [{}] * number
    return [read({"name": f"{name}-{n:04d}", "payload": payloads[n], **alike}) for n in range(number)]


async def test_the_server_keeps_only_what_came_lately(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    monkeypatch.setattr(module, "FULL", 1)
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    asked = [
        lambda tx: tx.executions.counts("default", 5),
        lambda tx: tx.executions.depths(),
        lambda tx: tx.executions.queues_waiting(5),
        lambda tx: tx.executions.queued_handlers(5),
        lambda tx: tx.outbox.unpublished(5),
    ]
    for _ in range(3):
        for one in asked:
            for _ in range(4):
                await store.read(one)

    def kept(tx: Tx) -> int:
        connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
        names = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'mainspring%'"
        return int(connection.execute(sa.text(names)).scalar_one())

    assert 1 <= await store.read(kept) <= 3
    await store.close()


async def test_the_server_keeps_the_beginning_and_the_end_of_transactions_as_well(single: PostgresStore) -> None:
    for _ in range(6):
        await single.write(at_once)
        await single.read(lambda tx: tx.executions.counts("default", 5))

    def kept(tx: Tx) -> set[str]:
        connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
        return set(connection.execute(sa.text("SELECT statement FROM pg_prepared_statements")).scalars())

    assert await single.read(kept) >= {"BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "COMMIT"}


async def test_what_the_server_is_to_forget_comes_after_the_beginning_of_a_snapshot(
    single: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that was given up leaves one statement too many; nothing may be said in front of the next one."""
    monkeypatch.setattr(module, "KEPT", 6)
    for _ in range(8):
        await single.read(lambda tx: tx.executions.counts("default", 5))
        await single.write(at_once)

    def given_up(tx: Tx) -> None:
        for ask in (tx.executions.depths, tx.executions.next_available_at, tx.executions.held_back):
            ask()
        raise LookupError("not today")

    for _ in range(3):
        with pytest.raises(LookupError, match="not today"):
            await single.read(given_up)
        assert await single.read(lambda tx: tx.executions.counts("default", 50)) == {"queued": 8}


@pytest.mark.parametrize("forget", ["DEALLOCATE ALL", "ALTER TABLE notes SET (fillfactor = 90)"])
async def test_work_goes_on_where_the_server_was_told_to_forget(url: str, forget: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.write(lambda tx: enqueue(tx, ONE))

    def forgetting(tx: Tx) -> None:
        connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
        connection.exec_driver_sql(forget)

    await store.write(forgetting)
    assert len(await store.write(lambda tx: enqueue(tx, ONE))) == 1
    assert len(await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))) == 7
    await store.close()


async def test_a_connection_lost_while_nobody_used_it_is_made_again_unseen(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.write(lambda tx: enqueue(tx, ONE))
    pid = await store.read(backend_pid)
    await terminated(url, pid)
    assert len(await store.write(lambda tx: enqueue(tx, ONE))) == 1
    assert len(await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))) == 7
    await store.close()


async def test_only_what_others_are_told_does_not_wait_for_the_disk(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegraph, "GATHER", 0.0)
    with psycopg.connect(url, autocommit=True) as durable:
        durable.execute(f'ALTER DATABASE "{durable.info.dbname}" SET synchronous_commit = on')
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    sent = (await trips(store, lambda tx: enqueue(tx, ONE), monkeypatch))[-1]
    assert sent == 4, "the INSERT, what claims it for a worker at rest, COMMIT, and the hint"
    assert await store.write(waits_for_the_disk) == "on"
    await store.close()


async def test_what_is_committed_is_told_as_done_where_only_the_hint_is_refused(url: str, monkeypatch: Any) -> None:
    """A deferred check stands in for a full queue of notifications: both refuse when the hint itself is committed."""
    monkeypatch.setattr(telegraph, "GATHER", 0.0)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(REFUSED_IN_THE_END)
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    for _ in range(6):
        await store.write(lambda tx: enqueue(tx, ONE))
    with monkeypatch.context() as patched:
        patched.setattr(postgres_wire, "_HAND", b"SELECT tell($1), $2::text")
        for _ in range(3):
            assert len(await store.write(lambda tx: enqueue(tx, ONE))) == 1
    assert len(await store.write(lambda tx: enqueue(tx, ONE))) == 1
    assert len(await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))) == 10
    await store.close()


REFUSED_IN_THE_END = """
    CREATE TABLE told (n int);
    CREATE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'too many notifications in the NOTIFY queue'; END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON told
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deny();
    CREATE FUNCTION tell(text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO told VALUES (1); RETURN $1; END $$
"""


async def test_work_goes_on_where_a_column_has_become_wider(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()
    (made,) = await store.write(lambda tx: enqueue(tx, ONE))
    for _ in range(8):
        await store.read(lambda tx: tx.executions.get(made.id))
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("ALTER TABLE executions ALTER COLUMN losses TYPE bigint")
    for _ in range(3):
        assert await store.read(lambda tx: tx.executions.get(made.id)) == made
        assert len(await store.write(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))) == 1
    await store.close()


async def test_a_write_where_it_was_to_be_read_is_refused_in_the_same_words_each_time(store: PostgresStore) -> None:
    told = set()
    for _ in range(6):  # before statements are prepared, and after
        with pytest.raises(StoreError) as refused:
            await store.read(lambda tx: tx.executions.add([an_execution(tx.now)]))
        told.add((type(refused.value), str(refused.value)))
    assert len(told) == 1


def waits_for_the_disk(tx: Tx) -> Any:
    connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
    return connection.exec_driver_sql("SHOW synchronous_commit").scalar()


def backend_pid(tx: Tx) -> Any:
    """Ask which of the server's processes serves this transaction."""
    connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
    return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()


async def terminated(url: str, pid: int) -> None:
    """End a server's process, and wait until it is gone."""
    other = PostgresStore(url, random=Random(2), settings=PostgresSettings(pool_size=1))
    await other.open()

    def work(tx: Tx) -> Any:
        connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
        return connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 10000)").scalar()

    assert await other.write(work)
    await other.close()
