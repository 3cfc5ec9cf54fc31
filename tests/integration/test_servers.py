"""The servers the other tests rely on: they start, answer, hold what they should, and leave nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from tests import servers
from tests.waiting import until

pytestmark = pytest.mark.servers

STARTERS: dict[str, Callable[[], AbstractContextManager[servers.Server]]] = {
    "postgres 16": lambda: servers.postgres(16),
    "postgres 18": lambda: servers.postgres(18),
    "valkey": servers.valkey,
}
if pg_bin := servers.system_postgres_bin():
    STARTERS["system postgres"] = lambda: servers.postgres(bin_dir=pg_bin)
if redis_exe := servers.system_redis_exe():
    STARTERS["system redis"] = lambda: servers.valkey(exe=redis_exe)


def answers(url: str) -> bool:
    if url.startswith("redis:"):
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def gone(pid: int, within: float = 60.0) -> bool:
    """Whether a process ends in time, of whomever it is the child."""
    try:
        psutil.Process(pid).wait(within)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("name", STARTERS)
def test_a_server_answers_and_is_stopped_with_nothing_left_behind(name: str) -> None:
    with STARTERS[name]() as server:
        assert answers(server.url)
        process = psutil.Process(server.pid)
        family = [process, *process.children(recursive=True)]
        listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        assert process.uids().effective != 0
        work = server.work
    assert not any(p.is_running() for p in family)
    assert not work.exists()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.port), 1):
        pass


@pytest.mark.parametrize("name", STARTERS)
def test_a_server_asks_for_its_password(name: str) -> None:
    with STARTERS[name]() as server:
        secret = server.url.split("@")[0].rpartition(":")[2]
        assert secret not in " ".join(psutil.Process(server.pid).cmdline())
        refused = (redis.AuthenticationError, psycopg.OperationalError)
        with pytest.raises(refused):
            answers(server.url.replace(secret, "guess"))


@pytest.mark.parametrize("name", STARTERS)
def test_a_server_goes_when_the_tests_are_killed(name: str, tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import signal
        from tests.integration.test_servers import STARTERS
        with STARTERS[{name!r}]() as server:
            print(server.pid, server.work, flush=True)
            signal.pause()
    """)
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root) as tests:
        assert tests.stdout is not None
        pid, work = tests.stdout.readline().split()
        guard = psutil.Process(int(pid)).ppid()
        tests.kill()
    assert gone(int(pid))
    assert gone(guard)
    assert not Path(work).exists()


def test_postgres_comes_back_from_a_kill_on_the_same_url_with_what_was_committed() -> None:
    with servers.postgres(18, durable=True) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        first = server.pid
        server.kill()
        assert not server.running
        with pytest.raises(psycopg.OperationalError):
            answers(server.url)
        server.start()
        assert server.pid != first
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
            assert connection.execute("SHOW fsync").fetchone() == ("on",)


@pytest.mark.parametrize("durable", [False, True])
def test_valkey_forgets_at_a_kill_unless_it_is_durable(durable: bool) -> None:
    with servers.valkey(durable=durable) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", 7)
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == (b"7" if durable else None)


def test_a_server_can_be_made_to_hang_and_to_go_on() -> None:
    with servers.valkey() as server:
        process = psutil.Process(server.pid)
        server.send(signal.SIGSTOP)
        until("it has stopped", lambda: process.status() == psutil.STATUS_STOPPED)
        with redis.Redis.from_url(server.url, socket_timeout=0.2) as client, pytest.raises(redis.TimeoutError):
            client.ping()
        server.send(signal.SIGCONT)
        until("it goes on", lambda: process.status() != psutil.STATUS_STOPPED)
        assert answers(server.url)


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(servers.ServerError, match="no-such-option"), servers.valkey("no-such-option yes"):
        pass


@pytest.mark.parametrize(("fixture", "major"), [("postgres16_url", 16), ("postgres18_url", 18)])
def test_each_test_gets_an_empty_database_of_its_own(request: pytest.FixtureRequest, fixture: str, major: int) -> None:
    server_url: str = request.getfixturevalue(fixture)
    with servers.new_database(server_url) as one, servers.new_database(server_url) as two:
        assert one != two
        with psycopg.connect(one) as connection:
            assert connection.info.server_version // 10_000 == major
            connection.execute("CREATE TABLE mine (n int)")
        with psycopg.connect(two) as connection:
            assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)


def test_valkey_has_the_streams_the_transport_is_built_on(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.xgroup_create("house:stream", "workers", mkstream=True)
        client.xadd("house:stream", {"id": "1"})
        assert client.xreadgroup("workers", "one", {"house:stream": ">"})
        assert client.xpending("house:stream", "workers")["pending"] == 1
        client.delete("house:stream")
