"""F4, F27-F34: Redis killed, emptied, away, frozen, old, full, trimmed, and lying. It holds nothing of value."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import servers
from tests.faults.conftest import Report
from tests.faults.fleet import usage
from tests.faults.oracle import USUAL
from tests.faults.trial import LEASE, MARGIN, POLL, REDIS_BACK, Trial
from tests.waiting import stays, until

STREAM, GROUP = "stream:scheduler:job.dispatch", "mainspring"
#: How soon after being asked for an execution starts while only polling finds it: the poll interval and a reconcile.
POLLED = POLL + MARGIN


@pytest.fixture
def valkey(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    """A Valkey of the test's own; a parameter is lines of its configuration."""
    with servers.valkey(*getattr(request, "param", ())) as server:
        yield server


@pytest.fixture
def streaming(folder: Path, postgres_url: str, valkey: servers.Server, seed: int) -> Iterator[Trial]:
    """A trial on PostgreSQL whose transport is that Valkey."""
    settings = {"MAINSPRING_REDIS_URL": valkey.url, "MAINSPRING_RECONCILE_MS": "1000"}
    trial = Trial(folder, postgres_url, seed=seed, settings=settings)
    trial.client["redis_url"] = valkey.url
    try:
        yield trial
    finally:
        trial.clear_away()


def client(server: servers.Server) -> Any:
    """A connection of the test's own."""
    return redis.Redis.from_url(server.url, socket_timeout=5)


def pending(server: servers.Server) -> int:
    """How many entries are with a consumer, not acknowledged; -1 without a group."""
    try:
        return int(client(server).xpending(STREAM, GROUP)["pending"])
    except redis.RedisError:
        return -1


def served(server: servers.Server) -> bool:
    """Whether the group is there and somebody reads in it."""
    try:
        return any(
            group["name"] == GROUP.encode() and group["consumers"] for group in client(server).xinfo_groups(STREAM)
        )
    except redis.RedisError:
        return False


def test_f04_a_worker_killed_after_its_commit_and_before_the_acknowledgement_is_not_repeated(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(workers=0)
    proxy = trial.proxy(valkey.url)
    doomed = trial.worker(MAINSPRING_REDIS_URL=proxy.url)
    trial.await_nodes()
    trial.await_status(trial.ask("work"), "success")
    until("nothing is pending", lambda: pending(valkey) == 0, 10)
    proxy.delay = 1.0  # what it acknowledges is a second on its way
    asked = trial.ask("work")
    trial.await_status(asked, "success")
    doomed.kill()
    assert pending(valkey) == 1
    killed_at = time.time()
    trial.worker()
    until("the entry is let go of", lambda: pending(valkey) == 0, REDIS_BACK + 2 * MARGIN)
    took = time.time() - killed_at
    trial.create(*USUAL)
    trial.await_work()
    trial.finish()
    assert len(trial.ledger.lines("start", id=asked)) == 1
    report(recovery=took, bound=REDIS_BACK + 2 * MARGIN)


def test_f27_redis_killed_and_restarted_empty_is_used_again(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer()
    trial.await_work()
    before = usage(trial.fleet)
    valkey.kill()
    stays("every process", lambda: all(node.alive for node in trial.fleet.nodes), 2 * LEASE)
    busy = max((now[0] - before[name][0]) / (2 * LEASE) for name, now in usage(trial.fleet).items())
    valkey.start()
    back_at = time.time()
    until("workers read again", lambda: served(valkey), REDIS_BACK + MARGIN)
    took = time.time() - back_at
    trial.await_work(40)
    evidence = trial.finish()
    assert busy < 0.7, f"{busy:.2f} of a core while Redis was away"
    assert sum(x["losses"] for x in evidence.executions) == 0
    report(recovery=took, bound=REDIS_BACK + MARGIN, cores_at_most=busy)


@pytest.mark.short
def test_f28_redis_emptied_again_and_again_under_load_costs_nothing(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    customer = trial.customer(rate=40, batch=4)
    trial.await_work()
    began, before, flushed = time.monotonic(), len(trial.ledger.lines("end")), 0
    while time.monotonic() < began + 4 * LEASE:
        client(valkey).flushall()
        flushed += 1
        trial.await_work(trial.chance.randint(20, 120))
    rate = (len(trial.ledger.lines("end")) - before) / (time.monotonic() - began)
    took = trial.settle()
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    assert customer.repeated == 0
    report(recovery=took, bound=REDIS_BACK + MARGIN, flushed=flushed, per_second=rate)


def test_f29_with_redis_away_work_is_found_by_polling_and_memory_stays(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer(rate=50, batch=5)
    trial.await_work(50)
    before = usage(trial.fleet)
    valkey.stop()
    began, slowest = time.time(), 0.0
    while time.time() < began + 120 / 15 * LEASE:
        asked_at = time.time()
        slowest = max(slowest, trial.await_start(trial.ask("work")).at - asked_at)
    grown = max(now[1] - before[name][1] for name, now in usage(trial.fleet).items())
    valkey.start()
    back_at = time.time()
    until("workers read again", lambda: served(valkey), REDIS_BACK + MARGIN)
    trial.await_work()
    took = time.time() - back_at
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    assert slowest <= POLLED
    assert grown < 64 * 1024, f"a process grew by {grown} KiB"
    report(recovery=took, bound=REDIS_BACK + MARGIN, start_while_away=slowest, grown_kib=grown)


@pytest.mark.parametrize("how", ["frozen", "slow"])
def test_f30_redis_frozen_or_slow_is_given_up_on_in_time(
    streaming: Trial, valkey: servers.Server, how: str, report: Report
) -> None:
    trial = streaming
    proxy = trial.proxy(valkey.url)
    trial.fleet.environ["MAINSPRING_REDIS_URL"] = proxy.url
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer()
    trial.await_work()
    before = usage(trial.fleet)
    if how == "frozen":
        valkey.send(signal.SIGSTOP)
    else:
        proxy.delay = 5.0
    began, slowest = time.time(), 0.0
    while time.time() < began + 5 * LEASE:
        asked_at = time.time()
        slowest = max(slowest, trial.await_start(_asked_without_redis(trial)).at - asked_at)
    more_threads = max(now[2] - before[name][2] for name, now in usage(trial.fleet).items())
    if how == "frozen":
        valkey.send(signal.SIGCONT)
    proxy.delay = 0.0
    back_at = time.time()
    until("workers read again", lambda: served(valkey), REDIS_BACK + MARGIN)
    trial.await_work()
    took = time.time() - back_at
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    assert more_threads <= 4
    # Until the timeouts have fired, what was read ahead may lie there; from then on polling finds everything.
    assert slowest <= REDIS_BACK + POLLED
    report(recovery=took, bound=REDIS_BACK + MARGIN, start_meanwhile=slowest, more_threads=more_threads)


def _asked_without_redis(trial: Trial) -> str:
    """Ask as a process that has no Redis: the test itself must not wait for the frozen one."""
    url, trial.client["redis_url"] = trial.client["redis_url"], None
    try:
        return trial.ask("work")
    finally:
        trial.client["redis_url"] = url


def test_f31_redis_replaced_by_an_older_snapshot_repeats_and_loses_nothing(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer()
    trial.await_work()
    for worker in trial.of("worker"):
        worker.freeze()  # so that the snapshot holds entries which are done by the time it comes back
    until("entries wait", lambda: client(valkey).xlen(STREAM) >= 10, 30)
    client(valkey).save()
    for worker in trial.of("worker"):
        worker.resume()
    trial.await_work(60)
    for worker in trial.of("worker"):
        worker.freeze()  # they are quick to find it back, and to let go of what is old
    valkey.kill()
    valkey.start()
    assert client(valkey).xlen(STREAM) >= 10
    for worker in trial.of("worker"):
        worker.resume()
    back_at = time.time()
    trial.await_work(60)
    until("old entries are let go of", lambda: client(valkey).xlen(STREAM) < 10, 2 * REDIS_BACK)
    took = time.time() - back_at
    trial.finish()
    report(recovery=took, bound=2 * REDIS_BACK + MARGIN)


@pytest.mark.parametrize("valkey", [("maxmemory-policy allkeys-lru",)], indirect=True)
def test_f32_redis_out_of_memory_refuses_announcements_and_no_row_is_lost(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    until("the policy is warned of", lambda: "noeviction" in _words(trial), 20)
    trial.customer()
    trial.await_work()
    connection = client(valkey)
    connection.config_set("maxmemory-policy", "noeviction")
    connection.config_set("maxmemory", "1")
    with pytest.raises(redis.RedisError, match="used memory"):
        connection.set("x", "y")
    began, slowest = time.time(), 0.0
    while time.time() < began + 3 * LEASE:
        asked_at = time.time()
        slowest = max(slowest, trial.await_start(trial.ask("work")).at - asked_at)
    last = connection.xinfo_stream(STREAM)["last-generated-id"]
    connection.config_set("maxmemory", "0")
    freed_at = time.time()
    until("entries come again", lambda: connection.xinfo_stream(STREAM)["last-generated-id"] != last, REDIS_BACK)
    trial.await_work(40)
    took = time.time() - freed_at
    trial.finish()
    assert slowest <= REDIS_BACK + POLLED
    report(recovery=took, bound=REDIS_BACK + MARGIN, start_meanwhile=slowest)


def _words(trial: Trial) -> str:
    return " ".join(node.words() for node in trial.fleet.nodes)


def test_f33_a_stream_trimmed_while_full_loses_nothing_and_long_handlers_run_once(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=1, workers=2, specs=USUAL)
    long = [trial.ask("work", {"seconds": 4 * LEASE}) for _ in range(3)]  # beyond what an entry may lie with a consumer
    for one in long:
        trial.await_start(one)
    customer = trial.customer(rate=200, batch=20)
    began, trimmed = time.time(), 0
    while time.time() < began + 4 * LEASE:
        with suppress(redis.RedisError):
            trimmed += int(client(valkey).xtrim(STREAM, maxlen=1, approximate=False))
        trial.await_work(1)
    customer.stop()
    took = trial.settle()
    evidence = trial.finish()
    assert trimmed > 0
    assert [len(trial.ledger.lines("start", id=one)) for one in long] == [1, 1, 1]
    assert sum(x["losses"] for x in evidence.executions) == 0
    report(recovery=took, bound=4 * LEASE + REDIS_BACK + MARGIN, trimmed=trimmed)


def test_f34_messages_forged_doubled_and_out_of_order_run_nothing_and_harm_nobody(
    streaming: Trial, valkey: servers.Server, report: Report
) -> None:
    trial = streaming
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer(rate=40, batch=4)
    trial.await_work(40)
    connection, forged = client(valkey), 0
    began = time.time()
    while time.time() < began + 4 * LEASE:
        known = [row[0] for row in trial.rows("SELECT id FROM executions ORDER BY created_at DESC LIMIT 50")]
        trial.chance.shuffle(known)
        unknown = f"01a21300-0000-7000-8000-{trial.chance.getrandbits(48):012x}"
        entries: list[dict[Any, Any]] = [
            {"ids": ",".join(known)},
            {"ids": known[0]},
            {"ids": unknown, "traceparents": "nonsense"},
            {"ids": "'; DROP TABLE executions; --"},
            {"ids": trial.chance.randbytes(2000)},
            {"ids": ",".join([unknown] * 5000)},
            {trial.chance.randbytes(8): trial.chance.randbytes(8)},
            {"ids": "", "fence": "99", "status": "success", "platform_id": "other", "handler": "die"},
        ]
        for entry in entries:
            connection.xadd(STREAM, entry)
            forged += 1
        trial.await_work(5)
    took = trial.settle()
    until("forged entries are let go of", lambda: connection.xlen(STREAM) == 0, 2 * REDIS_BACK)
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    report(recovery=took, bound=REDIS_BACK + MARGIN, forged=forged)
