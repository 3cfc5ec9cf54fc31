"""Processes of the product: started by the command line, signalled by their process id, their words kept in files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

MAINSPRING = Path(sys.executable).with_name("mainspring")


class Node:
    """One process of the fleet."""

    def __init__(self, name: str, words: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.name, self.log = name, folder / "logs" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: what it starts itself can be ended with it.
            self._process = subprocess.Popen(
                [str(MAINSPRING), *words],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Take it away between two instructions."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """Wait for its end; return its exit status."""
        return self._process.wait(seconds)

    def clear_away(self) -> None:
        """End it and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def words(self) -> str:
        return self.log.read_text(errors="replace")


class Fleet:
    """Every process of one trial."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder, self.environ = folder, dict(environ)
        self.nodes: list[Node] = []

    def start(self, role: str, *words: str, **environ: str) -> Node:
        """Start one process: ``mainspring ROLE WORDS``."""
        number = 1 + sum(node.name.startswith(f"{role}-") for node in self.nodes)
        node = Node(f"{role}-{number}", [role, *words], self.folder, {**self.environ, **environ})
        self.nodes.append(node)
        return node

    def run(self, *words: str, code: int | None = 0) -> str:
        """Run a command to its end, which has to be with that exit code (None: any); return what it printed."""
        done = subprocess.run(
            [str(MAINSPRING), *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code in (None, done.returncode), f"mainspring {' '.join(words)} exited {done.returncode}:\n{done.stderr}"
        return done.stdout

    def clear_away(self) -> None:
        for node in self.nodes:
            node.clear_away()


def usage(fleet: Fleet) -> dict[str, tuple[float, int, int]]:
    """Return processor seconds, resident KiB and threads of each process that runs."""
    found = {}
    for node in fleet.nodes:
        if node.alive:
            fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            found[node.name] = (cpu, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024, int(fields[17]))
    return found
