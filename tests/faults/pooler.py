"""Debian's PgBouncer before a PostgreSQL: a proxy that hands its connections on after each transaction."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests import servers

#: Connections to the server it has for all of its clients: few, so that they really are handed on.
CONNECTIONS = 4


@contextlib.contextmanager
def pooled(url: str) -> Iterator[str]:
    """Run PgBouncer in transaction mode before a database; give the URL to use. Skips where it is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    parts = urlsplit(url)
    work = Path(tempfile.mkdtemp(prefix="mainspring-pooler-"))
    port = servers._free_port()
    (work / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
    (work / "conf").write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {work}/users\npool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\n"
        f"max_client_conn = 500\nlogfile = {work}/log\n"
    )
    as_nobody: dict[str, object] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        for path in (work, work / "users", work / "conf"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    process = subprocess.Popen(
        [program, "-q", str(work / "conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_nobody,  # type: ignore[call-overload]
    )
    through = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
    try:
        _answers(through, process, work / "log")
        yield through
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(work, ignore_errors=True)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + servers.START_WITHIN
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > limit:
                said = log.read_text()[-2000:] if log.exists() else ""
                raise servers.ServerError(f"PgBouncer did not start: {error}\n{said}") from error
