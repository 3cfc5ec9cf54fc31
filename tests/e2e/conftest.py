"""The installed command as a process, in an empty folder, with an environment that sets nothing of ours."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MAINSPRING = Path(sys.executable).with_name("mainspring")

#: Seconds after which a process that should have answered has not. Generous: machines that test are busy.
PATIENCE = 60.0

APP = """
import asyncio, logging
from mainspring import Context, Mainspring

ms = Mainspring("sqlite:///jobs.db", tz="Europe/Istanbul")

@ms.every("1s", name="tick")
async def tick() -> int:
    return 1

@ms.every("1s", name="slow")
async def slow() -> None:
    await asyncio.sleep(2.5)

@ms.every("1s", name="flaky", retry={"max_retries": 1, "retry_delay_ms": 50, "jitter": "none"})
async def flaky() -> None:
    logging.getLogger("shop").warning("about to fail")
    raise ValueError("no such customer")

@ms.cron("0 9 * * MON-FRI", name="report", tz="America/New_York")
async def report(region: str = "tr") -> str:
    return region

@ms.handler()
async def add(ctx: Context, a: int, b: int = 1) -> int:
    ctx.log.info("adding", a=a, b=b)
    return a + b

@ms.handler()
async def stubborn() -> None:
    await asyncio.sleep(60)
"""


@dataclass
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Process:
    """A command that goes on, read line by line as it speaks."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.lines: list[str] = []
        self._over = False
        self._unread: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._unread.put(line.rstrip("\n"))
        self._unread.put(None)

    def wait_for(self, pattern: str, patience: float = PATIENCE) -> str:
        """Return the next line that matches; lines already waited through are not looked at again."""
        until = time.monotonic() + patience
        while True:
            try:
                line = self._next(until - time.monotonic())
            except queue.Empty:
                raise AssertionError(f"no line matched {pattern!r} in {patience} s; there were:\n{self.text}") from None
            if line is None:
                raise AssertionError(f"the process ended before a line matched {pattern!r}; it said:\n{self.text}")
            if re.search(pattern, line):
                return line

    def shows(self, *patterns: str, patience: float = PATIENCE) -> None:
        """Wait until each pattern has matched a line, of those read before as well and in whatever order they come."""
        until = time.monotonic() + patience
        missing = [pattern for pattern in patterns if not re.search(pattern, self.text)]
        while missing:
            self.wait_for("|".join(missing), until - time.monotonic())
            missing = [pattern for pattern in missing if not re.search(pattern, self.lines[-1])]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def send(self, pid: int, number: int) -> None:
        """Signal a process this one has started."""
        assert os.getpgid(pid) == pid, "workers have a session of their own"
        os.kill(pid, number)

    def end(self, patience: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(patience)
        while not self._over:
            self._next(patience)
        return code

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        if self.running:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _next(self, patience: float) -> str | None:
        """Return the next line, None after the last; raises `queue.Empty`."""
        line = None if self._over else self._unread.get(timeout=max(patience, 0.001))
        if line is None:
            self._over = True
        else:
            self.lines.append(line)
        return line


class Cli:
    """Runs the command in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("MAINSPRING_", "COV_", "NO_COLOR"))
        }
        self.processes: list[Process] = []

    def __call__(self, *arguments: str, stdin: str | None = None, **environment: str) -> Answer:
        done = subprocess.run(
            [str(MAINSPRING), *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **environment: str) -> Process:
        return self._started([str(MAINSPRING), *arguments], environment)

    def start_script(self, script: str, **environment: str) -> Process:
        return self._started([sys.executable, "-u", script], environment)

    def _started(self, words: list[str], environment: dict[str, str]) -> Process:
        process = Process(words, self.folder, self.environment | environment)
        self.processes.append(process)
        return process


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command, in an empty folder; what it started is gone afterwards."""
    cli = Cli(tmp_path)
    yield cli
    for process in cli.processes:
        process.kill()


@pytest.fixture
def shop(cli: Cli) -> Cli:
    """The same, with an app in ``shop.py`` whose database is ``jobs.db``."""
    (cli.folder / "shop.py").write_text(APP)
    return cli


@pytest.fixture
def dev(shop: Cli) -> Iterator[Process]:
    """`mainspring dev` on that app, running."""
    process = shop.start("dev", "shop.py")
    process.wait_for("Mainspring .* dev")
    process.wait_for("zone data")
    yield process
    if process.running:
        process.signal(signal.SIGTERM)
        process.end()
