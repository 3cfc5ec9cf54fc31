"""Programs the benchmark starts, what they say, and what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.errors import PeerFailedError

STOP_WITHIN = 15.0


class Program:
    """A running program, its lines of JSON, and its end.

    Nobody reads what a ``talkative`` one prints: that goes to the log, for a full pipe would hold it up.
    """

    def __init__(
        self, command: list[str], *, environ: Mapping[str, str], cwd: Path, log: Path, talkative: bool = False
    ) -> None:
        self.command, self._log = command, log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                env=dict(environ),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=errors if talkative else subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the benchmark, which then stops everything in order
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise `PeerFailedError` where the program has ended by itself."""
        if self._process.poll() is not None:
            raise self._failed(f"ended with {self._process.returncode}")

    def say(self) -> None:
        """Give the program the word it waits for."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def line(self, *, within: float = 600.0) -> str:
        """Return the next line the program prints."""
        assert self._process.stdout is not None
        with _deadline(self, within):
            text = self._process.stdout.readline().decode()
        if not text:
            self._process.wait(STOP_WITHIN)
            raise self._failed(f"ended with {self._process.returncode} and said nothing")
        return text.strip()

    def json(self, *, within: float = 600.0) -> dict[str, Any]:
        """Return the next line of JSON the program prints; other lines are passed over."""
        while True:
            text = self.line(within=within)
            if text.startswith("{"):
                found: dict[str, Any] = json.loads(text)
                return found

    def finish(self, *, within: float = 600.0) -> None:
        """Wait for the program's own end, which must be a good one."""
        with _deadline(self, within):
            self._process.communicate()
        if self._process.returncode:
            raise self._failed(f"ended with {self._process.returncode}")

    def stop(self) -> None:
        """Ask the program to end, then end it."""
        _end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def kill(self) -> None:
        """Take the program and its children away between two instructions."""
        for process in _tree(self.pid):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.wait(STOP_WITHIN)

    def _failed(self, how: str) -> PeerFailedError:
        said = self._log.read_text(errors="replace").strip().splitlines()
        return PeerFailedError(f"{' '.join(self.command[-3:])} {how}:\n" + "\n".join(said[-12:]))


@contextlib.contextmanager
def _deadline(program: Program, within: float) -> Any:
    """Kill a program that says nothing for too long: the read then ends."""
    timer = threading.Timer(within, program.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    family = _tree(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN)
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()
    process.wait(STOP_WITHIN)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes with all their descendants, ended ones included."""
    seconds = 0.0
    for process in [one for pid in pids for one in _tree(pid)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def memory(pids: Iterable[int]) -> float:
    """Return the memory of processes with their descendants in MiB; what several share is counted once."""
    found = 0
    for process in [one for pid in pids for one in _tree(pid)]:
        with contextlib.suppress(psutil.Error):
            full = process.memory_full_info()
            found += getattr(full, "pss", full.uss)
    return found / 2**20


def busy_seconds() -> float:
    """Return the processor time everyone on this machine has used since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


class Meter:
    """What named groups of processes, and everyone else, spend between its making and `read`."""

    def __init__(self, groups: Mapping[str, Iterable[int]]) -> None:
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self._begun = self._now()

    def _now(self) -> dict[str, float]:
        found = {name: cpu_seconds(pids) for name, pids in self._groups.items()}
        # Everything the benchmark started descends from it: clients and servers, too.
        return found | {"ours": cpu_seconds([os.getpid()]), "all": busy_seconds(), "at": time.monotonic()}

    def read(self) -> dict[str, float]:
        """Return CPU seconds by group, ``seconds`` passed, and ``others_cores``: cores that everyone else used."""
        now = self._now()
        spent = {name: now[name] - self._begun[name] for name in now}
        seconds, ours = spent.pop("at"), spent.pop("ours")
        return spent | {"seconds": seconds, "others_cores": max(0.0, (spent.pop("all") - ours) / seconds)}
