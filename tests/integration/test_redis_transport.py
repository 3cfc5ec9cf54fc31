"""Redis Streams at their worst: groups gone, entries trimmed, forged or abandoned, servers killed, frozen or full.

The numbers R1 to R10 are those of docs/operate/redis.md, which says what each of them is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest

from mainspring.adapters.redis import sender
from mainspring.adapters.redis.connection import AWAY, RedisSettings, connect
from mainspring.adapters.redis.outgoing import Outgoing
from mainspring.adapters.redis.streams import DEAD, DISPATCH, GROUP, RETRY
from mainspring.adapters.redis.upkeep import forget_deleted, owned_entries
from mainspring.engine.reconcile import Reconciler
from mainspring.errors import SettingsError
from mainspring.model.dispatch import Dispatch
from mainspring.model.execution import Actor, Execution
from mainspring.model.outcome import Failed
from mainspring.model.policy import RetryPolicy
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.transport import Offer
from tests import servers
from tests.contracts.transport_contract import WITHIN, ids, put
from tests.integration.redis_rig import Rig, lines_of, rigged

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module", params=["valkey", "redis 6.2", "another"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The wheel's Valkey, the oldest Redis we work with, and whichever other server is installed."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey_url")
        return
    if request.param == "redis 6.2":
        if not servers.has_oldest_redis():
            pytest.skip("there is no wheel of Redis 6.2 for this machine")
        with servers.valkey(oldest=True) as server:
            yield server.url
        return
    exe = servers.system_redis_exe()
    if exe is None:
        pytest.skip("no other Redis-compatible server is installed; MAINSPRING_TEST_REDIS_BIN names one")
    with servers.valkey(exe=exe) as server:
        yield server.url


@pytest.fixture
async def rig(url: str) -> AsyncIterator[Rig]:
    async with rigged(url) as rig:
        yield rig


async def reconcile(rig: Rig) -> None:
    await Reconciler(rig.store, rig.transport, after=timedelta(0)).step()


# -- what is written ---------------------------------------------------------------------------------------------------


async def test_entries_carry_ids_and_a_trace_and_nothing_else(rig: Rig) -> None:
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    request = EnqueueRequest("h", {"secret": "x"}, queue="mail", priority=9, trace_id=trace_id, span_id=span_id)
    (execution,) = await rig.store.write(lambda tx: enqueue(tx, [request]))
    stream = f"{DISPATCH}:mail:high"
    await rig.is_so(lambda: rig.redis.exists(stream))
    ((_, fields),) = await rig.redis.xrange(stream)
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert fields == {"ids": execution.id, "traceparents": header}


async def test_each_queue_and_band_has_a_stream_of_its_own(rig: Rig) -> None:
    for queue in ("default", "mail"):
        for priority in (9, 7, 6, 4, 3, 0):
            await put(rig.store, 1, queue, priority)
    names = [f"{DISPATCH}{rest}" for rest in ("", ":default:high", ":default:low", ":mail", ":mail:high", ":mail:low")]
    await rig.is_so(lambda: rig.transport.stats.announced == 12)
    assert sorted(await rig.redis.keys("*")) == sorted(names)


async def test_what_others_were_told_of_makes_way_a_moment_and_not_for_what_comes_after_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (Dispatch(execution_id, "default") for execution_id in "abc")
    rig.transport.announce([first], told=True)
    await rig.is_so(lambda: rig.transport.stats.announced == 1)
    monkeypatch.setattr(sender, "WAY", 3600.0)
    rig.transport.announce([second], told=True)
    await asyncio.to_thread(rig.transport.announce, [third], told=True)
    assert await rig.redis.xlen(DISPATCH) == 1
    rig.transport.announce([Dispatch("d", "default")])
    await rig.is_so(lambda: rig.transport.stats.announced == 4)
    rig.transport.announce([second], told=True)
    await rig.transport.close()
    assert await rig.redis.xlen(DISPATCH) == 5, "what waits is sent in the end"


async def test_many_at_once_share_entries_and_a_few_are_spread(rig: Rig) -> None:
    queued = await put(rig.store, 640)
    await rig.is_so(lambda: rig.redis.exists(DISPATCH))
    entries = await rig.redis.xrange(DISPATCH)
    assert len(entries) == 20
    assert [execution_id for _, fields in entries for execution_id in fields["ids"].split(",")] == queued
    few = await put(rig.store, 8, "mail")
    await rig.is_so(lambda: rig.redis.exists(f"{DISPATCH}:mail"))
    assert [fields["ids"] for _, fields in await rig.redis.xrange(f"{DISPATCH}:mail")] == few


async def test_retries_and_dead_letters_are_told_on_streams_of_bounded_length(rig: Rig) -> None:
    rig.announcing.transport = short = rig.another(notices=5)
    await short.open()
    worker = await rig.worker()
    requests = [EnqueueRequest("h", retry=RetryPolicy(max_retries=retries)) for retries in (0, 1)]
    await rig.store.write(lambda tx: enqueue(tx, requests))
    failed = [Ended(execution, Failed({"type": "E", "message": "no"})) for execution in await worker.take(2)]
    await rig.store.write(lambda tx: settle_attempts(tx, failed, Actor.WORKER))
    await rig.is_so(lambda: rig.redis.exists(RETRY))
    await rig.is_so(lambda: rig.redis.exists(DEAD))
    dead, again = (one.execution.id for one in failed)
    ((_, fields),) = await rig.redis.xrange(RETRY)
    planned = await rig.store.read(lambda tx: tx.executions.get(again))
    assert planned is not None
    assert fields == {
        "execution_id": again, "platform_id": "default", "available_at": planned.available_at.isoformat(),
    }  # fmt: skip
    assert [fields for _, fields in await rig.redis.xrange(DEAD)] == [{"execution_id": dead, "platform_id": "default"}]
    await short.close()


# -- R1, R4, R8: what is lost comes again ------------------------------------------------------------------------------


async def test_r1_what_was_trimmed_is_announced_again(rig: Rig) -> None:
    worker = await rig.worker()
    rig.announcing.losing = True
    queued = await put(rig.store, 3)
    assert await worker.rest() == []
    rig.announcing.losing = False
    await reconcile(rig)
    assert ids(await worker.take(3)) == queued
    assert rig.transport.stats.announced_again == 3


async def test_r1_a_stream_that_holds_enough_is_not_flooded(rig: Rig) -> None:
    few = rig.another(enough=10)
    await few.open()
    await put(rig.store, 400)
    await rig.is_so(lambda: rig.redis.exists(DISPATCH))
    length = await rig.redis.xlen(DISPATCH)
    assert length >= 10
    for _ in range(5):
        await Reconciler(rig.store, few, after=timedelta(0)).step()
    assert (few.stats.announced_again, await rig.redis.xlen(DISPATCH)) == (0, length)
    await rig.redis.xtrim(DISPATCH, maxlen=9, approximate=False)
    await Reconciler(rig.store, few, after=timedelta(0)).step()
    assert few.stats.announced_again == 400
    await few.close()


async def test_r1_an_unread_stream_does_not_grow_for_ever(rig: Rig) -> None:
    short = rig.another(entries=50)
    await short.open()
    for _ in range(40):
        short.announce([Dispatch(f"{n}", "default") for n in range(100)])
        await asyncio.sleep(0)
    await rig.is_so(lambda: short.stats.announced == 4000)
    assert await rig.redis.xlen(DISPATCH) < 50 + 200, "trimmed in the server's own steps of about a hundred"
    await short.close()


async def test_r4_a_group_made_again_starts_at_the_beginning_and_doubles_nothing(rig: Rig) -> None:
    worker = await rig.worker()
    first = await put(rig.store, 2)
    await rig.is_so(lambda: sum(line.waiting for line in lines_of(worker).values()) == 2)
    await rig.redis.xgroup_destroy(DISPATCH, GROUP)
    second = await put(rig.store, 2)
    assert ids(await worker.take(4)) == first + second
    assert await worker.rest() == []


async def test_r3_r8_after_a_flush_everything_goes_on_and_nothing_spins(rig: Rig) -> None:
    worker = await rig.worker(slots={"default": 5, "mail": 5})
    for _ in range(3):
        await rig.redis.flushall()
        queued = await put(rig.store)
        assert ids(await worker.take(1)) == queued
    before = await rig.calls("xreadgroup")
    await rig.redis.flushall()
    await asyncio.sleep(1.5)
    # Six streams, each asked three times a second at most and a few times for its group.
    assert await rig.calls("xreadgroup") - before < 6 * 15


async def test_r3_a_key_that_is_no_stream_is_asked_for_ever_more_rarely_and_mended(rig: Rig) -> None:
    await rig.redis.set(DISPATCH, "not a stream")
    worker = await rig.worker()
    before = await rig.calls("xreadgroup")
    await asyncio.sleep(1.5)
    assert await rig.calls("xreadgroup") - before < 25 + 2 * 6
    queued = await put(rig.store)
    await rig.is_so(lambda: rig.transport.stats.dropped == 1)
    await rig.redis.delete(DISPATCH)
    await reconcile(rig)
    assert ids(await worker.take(1)) == queued


# -- R2, R5, R6: what lies about ---------------------------------------------------------------------------------------


async def abandoned(rig: Rig, count: int) -> list[str]:
    """Queue executions, deliver their entries to a consumer that dies with them, and return their ids."""
    queued = await put(rig.store, count)
    await rig.is_so(lambda: rig.redis.exists(DISPATCH))
    with contextlib.suppress(Exception):
        await rig.redis.xgroup_create(DISPATCH, GROUP, id="0")
    await rig.is_so(lambda: read_all(rig, "dead", count))
    return queued


async def read_all(rig: Rig, consumer: str, count: int) -> bool:
    await rig.redis.xreadgroup(GROUP, consumer, {DISPATCH: ">"}, count=1000)
    return bool((await rig.redis.xpending(DISPATCH, GROUP))["pending"] == count)


async def test_r5_r6_what_a_dead_consumer_held_is_taken_over_and_the_consumer_removed(rig: Rig) -> None:
    queued = await abandoned(rig, 4)
    worker = await rig.worker(look=False)
    rig_lines = lines_of(worker)
    await rig.is_so(lambda: sum(line.waiting for line in rig_lines.values()) == 4)
    assert rig.transport.stats.reclaimed == 4
    assert ids(await worker.take(4)) == queued
    assert await worker.rest() == []
    await rig.is_so(lambda: empty(rig))

    async def only_the_living() -> bool:
        return [c["name"] for c in await rig.redis.xinfo_consumers(DISPATCH, GROUP)] == ["w"]

    await rig.is_so(only_the_living)
    await rig.is_so(lambda: rig.transport.stats.consumers_removed == 1)


async def empty(rig: Rig) -> bool:
    """Whether a stream holds nothing and nothing is pending."""
    pending = (await rig.redis.xpending(DISPATCH, GROUP))["pending"]
    return (await rig.redis.xlen(DISPATCH), pending) == (0, 0)


async def test_r2_entries_deleted_while_pending_are_let_go_of(rig: Rig) -> None:
    await abandoned(rig, 3)
    await rig.redis.xtrim(DISPATCH, maxlen=1, approximate=False)
    rig.announcing.losing = True
    worker = await rig.worker(look=False)
    await rig.is_so(lambda: rig.transport.stats.delivered == 1)
    assert len(await worker.take(3)) == 3, "its first look finds what the stream has lost"
    await worker.rest()
    await rig.is_so(lambda: empty(rig))


async def test_r2_a_server_that_does_not_say_which_are_deleted_is_helped(rig: Rig) -> None:
    """What 6.2 needs: there XAUTOCLAIM leaves deleted entries pending for ever."""
    await abandoned(rig, 3)
    await rig.redis.xtrim(DISPATCH, maxlen=1, approximate=False)
    client = rig.another()
    await client.open()
    assert client._home is not None
    owned = await owned_entries(client._home.client, DISPATCH, "dead")
    assert sorted(bool(fields) for _, fields in owned) == [False, False, True]
    assert await forget_deleted(client._home.client, DISPATCH, "dead") == 2
    assert (await rig.redis.xpending(DISPATCH, GROUP))["pending"] == 1
    await client.close()


async def test_r5_a_slow_worker_that_is_taken_for_dead_runs_nothing_twice(rig: Rig) -> None:
    slow = await rig.worker("slow")
    queued = await put(rig.store, 3)
    await rig.is_so(lambda: sum(line.waiting for line in lines_of(slow).values()) == 3)
    quick = await rig.worker("quick", look=False)
    quick.deliveries._offers._behind = False  # type: ignore[attr-defined]  # only what the stream tells
    assert sorted(ids(await quick.take(3))) == queued
    assert await slow.rest() == []
    assert rig.transport.stats.stale >= 3
    await rig.is_so(lambda: empty(rig))


async def test_r6_r7_what_was_tried_is_deleted_and_no_longer_pending(rig: Rig) -> None:
    worker = await rig.worker()
    queued = await put(rig.store, 50)
    assert sorted(ids(await worker.take(50))) == sorted(queued)
    await rig.is_so(lambda: empty(rig))


async def test_a_worker_that_leaves_takes_nothing_along(rig: Rig) -> None:
    leaving = await rig.worker("leaving")
    queued = await put(rig.store, 200)
    assert len(await leaving.take(3)) == 3
    await leaving.deliveries.close()
    assert await rig.redis.xinfo_consumers(DISPATCH, GROUP) == []
    assert (await rig.redis.xpending(DISPATCH, GROUP))["pending"] == 0
    left = {i for _, fields in await rig.redis.xrange(DISPATCH) for i in fields["ids"].split(",")}
    assert left == set(queued[3:])


async def test_high_work_passes_what_was_read_ahead(rig: Rig) -> None:
    worker = await rig.worker(slots={"default": 2})
    low = await put(rig.store, 20, priority=0)
    await rig.is_so(lambda: lines_of(worker)[f"{DISPATCH}:default:low"].waiting >= 2)
    high = await put(rig.store, 1, priority=9)
    await rig.is_so(lambda: lines_of(worker)[f"{DISPATCH}:default:high"].waiting == 1)
    assert ids(await worker.take(2)) == [*high, low[0]]


# -- forged and useless entries ----------------------------------------------------------------------------------------


async def test_forged_entries_are_counted_and_deleted_and_run_nothing(rig: Rig) -> None:
    worker = await rig.worker(slots={"default": 2, "mail": 1})
    rig.announcing.losing = True
    foreign = (await put(rig.store, 3, "mail"))[:3]
    unknown = "01234567-0000-7000-8000-000000000000"
    for fields in (
        {"x": "y"},
        {"ids": ""},
        {"ids": "garbage,';--,\x00"},
        {"ids": b"\xff\xfe" * 50},
        {"ids": "," * 5000},
        {"ids": ",".join([unknown] * 50), "handler": "os.system"},
        {"ids": unknown, "payload": "{}", "traceparents": "x" * 10_000},
    ):
        await rig.redis.xadd(DISPATCH, fields)
    await rig.redis.xadd(DISPATCH, {"ids": ",".join(foreign)})
    assert ids(await worker.take(1)) == foreign[:1], "what it names is real, and there is room for one"
    await worker.rest()
    await rig.is_so(lambda: empty(rig))
    assert rig.transport.stats.ignored >= 1000
    assert rig.transport.stats.stale >= 3


# -- servers that are away, frozen, full, or evict ---------------------------------------------------------------------


async def test_r8_a_server_killed_and_restarted_empty_is_used_again(caplog: pytest.LogCaptureFixture) -> None:
    with servers.valkey() as server:
        async with rigged(server.url) as rig:
            worker = await rig.worker(poll=0.2)
            server.kill()
            gone = await put(rig.store, 2)
            assert ids(await worker.take(2)) == gone, "found by polling, as in a database without Redis"
            await rig.is_so(lambda: not rig.up)
            server.start()
            await rig.is_so(lambda: rig.up, within=WITHIN)
            await worker.rest()
            back = await put(rig.store, 2)
            await rig.is_so(lambda: rig.transport.stats.delivered >= 2)
            assert ids(await worker.take(2)) == back
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([line for line in told if "cannot be reached" in line]) == 1
    assert len([line for line in told if "reached again" in line]) == 1


async def test_r10_a_frozen_server_holds_nobody_up_and_nothing_piles_up() -> None:
    with servers.valkey() as server:
        async with rigged(server.url, timeout=0.5) as rig:
            worker = await rig.worker(poll=0.2)
            server.send(signal.SIGSTOP)
            loop = asyncio.get_running_loop()
            tasks, asked, took = len(asyncio.all_tasks()), loop.time(), []
            while loop.time() - asked < 3:
                began = loop.time()
                queued = await put(rig.store, 10)
                took.append(loop.time() - began)
                assert len(await worker.take(len(queued))) == 10
                assert len(asyncio.all_tasks()) <= tasks + 10, "those that close connections, and no more"
            # Of most, as a machine that tests may stand still for a moment.
            assert median(took) < 0.25, "a commit waits for no announcement"
            await rig.is_so(lambda: not rig.up, within=WITHIN)
            assert worker.deliveries.offer({"default": 1}, 1) == Offer(), "as if there were no Redis"
            server.send(signal.SIGCONT)
            await rig.is_so(lambda: rig.up, within=WITHIN)
            await worker.rest()
            back = await put(rig.store)
            assert ids(await worker.take(1)) == back


async def test_a_server_that_is_not_there_when_the_process_starts_is_used_once_it_is() -> None:
    with servers.valkey() as server:
        async with rigged(server.url) as rig:
            pass
        server.stop()
        late = rig.another()
        rig.announcing.transport = rig.transport = late
        await late.open()
        worker = await rig.worker(poll=0.1, look=False)
        queued = await put(rig.store, 3)
        assert ids(await worker.take(3)) == queued
        server.start()
        await rig.is_so(lambda: rig.up, within=WITHIN)
        await worker.deliveries.close()
        await late.close()


async def test_r8_a_primary_that_becomes_a_replica_is_away_until_it_is_one_again() -> None:
    with servers.valkey() as server:
        async with rigged(server.url) as rig:
            worker = await rig.worker(poll=0.2)
            await rig.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
            queued = await put(rig.store, 2)
            assert ids(await worker.take(2)) == queued
            await rig.is_so(lambda: not rig.up)
            await rig.redis.execute_command("REPLICAOF", "NO", "ONE")
            await rig.is_so(lambda: rig.up, within=WITHIN)
            await worker.rest()
            before = rig.transport.stats.delivered
            back = await put(rig.store, 2)
            await rig.is_so(lambda: rig.transport.stats.delivered >= before + 2)
            assert ids(await worker.take(2)) == back


async def test_r9_out_of_memory_loses_no_work_and_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    worker = await rig.worker()
    await rig.redis.config_set("maxmemory", "1")
    try:
        queued = [(await put(rig.store))[0] for _ in range(5)]
        await rig.is_so(lambda: rig.transport.stats.dropped == 5)
        assert await worker.rest() == []
    finally:
        await rig.redis.config_set("maxmemory", "0")
    await reconcile(rig)
    assert ids(await worker.take(5)) == queued
    refused = [record for record in caplog.records if "refuses announcements" in record.message]
    assert len(refused) == 1


async def test_r9_a_server_that_evicts_is_warned_about_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with servers.valkey("maxmemory 100mb", "maxmemory-policy allkeys-lru") as server:
        async with rigged(server.url) as rig:
            await rig.is_so(lambda: "maxmemory-policy is allkeys-lru" in caplog.text)


async def test_a_key_evicted_or_deleted_under_load_loses_nothing(rig: Rig) -> None:
    worker = await rig.worker()
    queued, taken = set[str](), list[Execution]()
    for _ in range(20):
        queued |= set(await put(rig.store, 5))
        await rig.redis.delete(DISPATCH)
        taken += await worker.step() or []
    while len(taken) < len(queued):
        await reconcile(rig)
        taken += await worker.take(min(5, len(queued) - len(taken)))
    assert sorted(ids(taken)) == sorted(queued)


async def test_a_user_with_the_rights_the_documentation_names_can_do_everything(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate" / "redis.md").read_text()
    found = re.search(r"An ACL user needs `([^`]*)` and `([^`]*)`", page)
    assert found is not None
    rules = " ".join(found.groups()).split()
    await rig.redis.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">secret", *rules)
    url = re.sub(r"//[^@]*@", "//limited:secret@", rig.url)
    usual, limited = rig.transport, rig.another(url=url)
    rig.transport = rig.announcing.transport = limited
    await limited.open()
    worker = await rig.worker()
    queued = await put(rig.store, 3)
    assert ids(await worker.take(3)) == queued
    await rig.is_so(lambda: empty(rig))
    await worker.deliveries.close()
    await limited.close()
    rig.transport = usual
    assert "refuse" not in caplog.text
    assert limited.stats.dropped == 0


@pytest.fixture
def encrypted() -> Iterator[tuple[str, Path]]:
    """The URL of a server that speaks TLS with a certificate for another name, and the file of its authority."""
    exe = servers.system_redis_exe()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        pem = Path(shutil.copy(Path(__file__).with_name("example.test.pem"), directory))
        pem.chmod(0o644)
        files = [f"tls-{what}-file {pem}" for what in ("cert", "key", "ca-cert")]
        port = servers._free_port()
        try:
            with servers.valkey(f"tls-port {port}", "tls-auth-clients no", *files, exe=exe) as server:
                password = server.url.split(":")[2].split("@")[0]
                yield f"rediss://:{password}@127.0.0.1:{port}/0", pem
        except servers.ServerError as error:
            if "TLS" not in str(error) and "tls" not in str(error):
                raise
            pytest.skip("no server here speaks TLS")


async def test_a_certificate_is_checked_unless_somebody_says_otherwise(encrypted: tuple[str, Path]) -> None:
    url, authority = encrypted

    async def ping(url: str) -> bool:
        client = connect(RedisSettings(url))
        try:
            return bool(await client.ping())
        finally:
            await client.aclose()

    with pytest.raises(AWAY, match=r"(?i)self.signed"):
        await ping(url)
    with pytest.raises(AWAY, match="IP address mismatch"):
        await ping(f"{url}?ssl_ca_certs={authority}")
    assert await ping(f"{url}?ssl_ca_certs={authority}&ssl_check_hostname=false")


# -- who announces -----------------------------------------------------------------------------------------------------


async def test_a_process_without_an_event_loop_announces_from_a_thread(rig: Rig) -> None:
    worker = await rig.worker()
    rig.announcing.transport = sync = rig.another()

    def web_request() -> list[str]:
        return ids(rig.store.write_blocking(lambda tx: enqueue(tx, [EnqueueRequest("h")])))

    for _ in range(3):
        made = await asyncio.to_thread(web_request)
        assert ids(await worker.take(1)) == made
    assert [thread.name for thread in threading.enumerate()].count("mainspring-announce") == 1
    await sync.close()
    assert "mainspring-announce" not in [thread.name for thread in threading.enumerate()]


async def test_what_was_announced_is_sent_before_a_transport_closes(rig: Rig) -> None:
    other = rig.another()
    await other.open()
    other.announce([Dispatch("01234567-0000-7000-8000-000000000000", "default")])
    await other.close()
    assert await rig.redis.xlen(DISPATCH) == 1


def test_what_waits_to_be_sent_is_bounded() -> None:
    outgoing = Outgoing(limit=3)
    dispatches = [Dispatch(str(n), "default") for n in range(5)]
    assert [outgoing.put(dispatches[:2]), outgoing.put(dispatches[2:]), outgoing.put(dispatches)] == [0, 2, 5]
    assert len(outgoing.take()) == 3
    assert outgoing.put(dispatches[:3]) == 0


@pytest.mark.parametrize("url", ["http://host", "localhost:6379", "redis://", "redis://host:port", ""])
async def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="redis_url"):
        await connect(RedisSettings(url)).aclose()
