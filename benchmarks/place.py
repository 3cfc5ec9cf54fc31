"""One peer on empty servers: its programs, and its jobs as they begin."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import tally
from benchmarks.catalogue import Peer, moment
from benchmarks.environment import NODE, ROOT, interpreter
from benchmarks.errors import PeerFailedError
from benchmarks.processes import Program
from benchmarks.servers import Servers

#: Seconds without a job begun before a peer counts as stuck.
STUCK = 90.0
#: Seconds between two looks at the tallies.
LOOK = 0.002
OURS = "benchmarks.adapters.ours:ms"


class Place:
    """A peer, its addresses, its programs. Made by `place`."""

    def __init__(self, peer: Peer, servers: Servers, urls: dict[str, str], directory: Path) -> None:
        self.peer, self._servers, self._urls = peer, servers, urls
        self.tally = directory / "tally"
        self.tally.mkdir()
        self._log = directory / "log"
        self._python = interpreter(peer)
        # Without the settings of whoever measures: every guarantee is at its default.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
        self._environ = inherited | _environ(peer, urls, directory, self.tally)
        self._programs: list[Program] = []
        self.workers: list[Program] = []
        self.helpers: list[Program] = []

    @property
    def groups(self) -> dict[str, list[int]]:
        """Process ids: ``workers`` with what must run beside them, and ``servers``."""
        workers = [program.pid for program in (*self.workers, *self.helpers)]
        return {"workers": workers, "servers": self._servers.pids(self.peer.servers)}

    def start(self, *words: str, talkative: bool = False) -> Program:
        """Start the adapter with a command."""
        if self.peer.is_node:
            return self._start(self._python, str(NODE / self.peer.adapter), *words, talkative=talkative)
        module = f"benchmarks.adapters.{self.peer.adapter}"
        return self._start(self._python, "-m", module, *words, talkative=talkative)

    def call(self, *words: str, within: float = 600.0) -> dict[str, Any]:
        """Run the adapter with a command to its end; return what it found."""
        program = self.start(*words)
        try:
            return program.json(within=within)
        finally:
            self._end(program)

    def prepare(self) -> None:
        """Make the peer's tables."""
        if self.peer.is_ours:
            if "postgres" in self.peer.servers:
                self._to_end(self._start(self._python, "-m", "mainspring", "migrate"))
        else:
            self._to_end(self.start("prepare"))

    def work(self, workers: int = 1, *, fill: int = 0, beside: int = 1) -> None:
        """Start workers, and where the peer has some that run beside them, ``beside`` of those."""
        clustered = self.peer.is_ours and not self.peer.embedded
        for _ in range(workers):
            if clustered:
                self.workers.append(self._start(self._python, "-m", "mainspring", "worker", OURS, talkative=True))
            else:
                self.workers.append(self.start("work", str(fill // workers), talkative=not fill))
        for _ in range(beside if clustered else 0):
            self.helpers.append(self._start(self._python, "-m", "mainspring", "dispatcher", OURS, talkative=True))

    def stop_working(self) -> None:
        """Stop workers and what runs beside them."""
        for program in (*self.workers, *self.helpers):
            self._end(program)
        self.workers, self.helpers = [], []

    def kill_worker(self) -> None:
        """Take one worker away between two instructions."""
        program = self.workers.pop(0)
        program.kill()
        self._programs.remove(program)

    def judge(self, of: str = "settled") -> Program:
        """Return a program that waits for a word and then says when the last record became final.

        ``of`` "decided" it says when the last due instant had its decision.
        """
        program = self.start(of)
        while program.line() != "ready":
            pass
        return program

    def forget(self) -> None:
        """Begin the tallies anew; no worker may run."""
        for path in self.tally.iterdir():
            path.unlink()

    def settle(self) -> None:
        """Have the database do now what it would do in the hours that so many rows take to come about."""
        self._servers.vacuum(self._urls)

    def checkpoint(self) -> None:
        """Have the database write out what came before, so that a drain does not pay for the fill."""
        self._servers.checkpoint(self.peer.servers)

    def close(self) -> None:
        """Stop every program."""
        for program in reversed(self._programs):
            program.stop()
        self._programs = []

    def wait(self, until: Callable[[list[int]], bool]) -> list[int]:
        """Return the jobs begun by each worker process as soon as they satisfy; raise where the peer is stuck."""
        seen, seen_at = -1, time.monotonic()
        while not until(counts := tally.counts(self.tally)):
            if sum(counts) != seen:
                seen, seen_at = sum(counts), time.monotonic()
            elif time.monotonic() - seen_at > STUCK:
                raise PeerFailedError(f"{self.peer.name} has begun {seen} jobs and then none for {STUCK:.0f} s")
            for program in self.workers:
                program.check()
            time.sleep(LOOK)
        return counts

    def _start(self, *command: str, talkative: bool = False) -> Program:
        program = Program(list(command), environ=self._environ, cwd=ROOT, log=self._log, talkative=talkative)
        self._programs.append(program)
        return program

    def _end(self, program: Program) -> None:
        program.stop()
        self._programs.remove(program)

    def _to_end(self, program: Program) -> None:
        program.finish()
        self._end(program)


@contextlib.contextmanager
def place(peer: Peer, servers: Servers) -> Iterator[Place]:
    """Give a peer empty servers and a directory of its own, its tables made."""
    with contextlib.ExitStack() as stack:
        urls = stack.enter_context(servers.empty(peer.servers))
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="mainspring-bench-"))
        made = Place(peer, servers, urls, Path(directory))
        stack.callback(made.close)
        made.prepare()
        yield made


def _environ(peer: Peer, urls: dict[str, str], directory: Path, tallies: Path) -> dict[str, str]:
    common = {"BENCH_PEER": peer.name, "BENCH_DIRECTORY": str(directory), "BENCH_TALLY": str(tallies)}
    common["BENCH_MOMENT"] = str(moment(peer))
    common |= {f"BENCH_{name.upper()}_URL": url for name, url in urls.items()}
    if peer.is_ours:
        common["PYTHONPATH"] = str(ROOT / "src")
        common["MAINSPRING_DATABASE_URL"] = urls.get("postgres", f"sqlite:///{directory / 'jobs.db'}")
        if "redis" in urls:
            common["MAINSPRING_REDIS_URL"] = urls["redis"]
    return common
