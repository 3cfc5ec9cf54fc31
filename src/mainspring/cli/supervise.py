"""`worker --processes N`: a supervisor that owns the signals, and restarts a worker that dies.

It imports no application and opens no database, so nothing of theirs can take it down. Workers are found dead by the
engine's leases in any case; the supervisor is what makes them be there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mainspring.cli.exits import Exit
from mainspring.cli.output import say
from mainspring.settings import parse_queues

if TYPE_CHECKING:
    from mainspring.cli.target import Target

#: Seconds before a worker that died is started again: doubled from the first to the last.
FIRST, LAST = 0.5, 30.0
#: A worker that lived so many seconds was well: what it dies of is new.
WELL_AFTER = 60.0
#: What a worker cannot be started with, now or later.
HOPELESS = {Exit.USAGE, Exit.CONFLICT}
#: What each signal does, the last one for all that follow.
_STEPS = (("draining", signal.SIGTERM), ("releasing what runs on", signal.SIGTERM), ("killing", signal.SIGKILL))


def worker_command(app: str, queues: str | None, level: str, target: Target) -> list[str]:
    """Return the command line of one worker, but for whom it works. Raises `SettingsError` for impossible queues."""
    if queues is not None:
        parse_queues(queues)
    given = {
        "--queues": queues,
        "--log-level": level,
        "--db": target.db,
        "--platform": target.platform,
        "--output": target.output,
    }
    options = [word for name, value in given.items() if value is not None for word in (name, value)]
    return [sys.executable, "-m", "mainspring", "worker", app, *options, *(["--verbose"] if target.verbose else [])]


def backoff(deaths: int) -> float:
    """Return the seconds before a worker is started again that died so often in a row.

    >>> [backoff(n) for n in (1, 2, 3, 10)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return float(min(FIRST * 2 ** (min(deaths, 20) - 1), LAST))


def supervise(command: Sequence[str], processes: int) -> int:
    """Keep so many processes of a command running until told to stop; return the exit code."""
    return asyncio.run(Supervisor(command, processes).run())


class Supervisor:
    """Keeps ``processes`` workers running until a SIGTERM or SIGINT, which drains them.

    A second signal releases what they run, a third kills them: their leases run out, and others repeat it.
    """

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._command, self._count = list(command), processes
        self._stop = asyncio.Event()
        self._signals = 0
        self._code: int = Exit.DONE
        self._children: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        """Run until told to stop; return the exit code: a worker's own, where none can be started."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        say(f"supervising {self._count} workers; SIGTERM drains them, a second one releases what they run")
        await asyncio.gather(*(self._keep(slot) for slot in range(self._count)))
        say("all workers have ended")
        return self._code

    def _signalled(self) -> None:
        self._signals += 1
        word, number = _STEPS[min(self._signals, len(_STEPS)) - 1]
        say(f"{word} {len(self._children)} workers")
        self._stop.set()
        for child in self._children.values():
            _send(child, number)

    async def _keep(self, slot: int) -> None:
        """Keep one worker running, whatever it dies of."""
        deaths, loop = 0, asyncio.get_running_loop()
        while not self._stop.is_set():
            began = loop.time()
            code = await self._run_one(slot)
            if self._stop.is_set():
                return
            if code in HOPELESS:
                say(f"worker {slot} cannot be started (exit code {code}): stopping the others")
                self._code = code
                self._signalled()
                return
            deaths = 1 if loop.time() - began >= WELL_AFTER else deaths + 1
            say(f"worker {slot} ended {_how(code)}; starting another in {backoff(deaths):g} s")
            await self._pause(backoff(deaths))

    async def _run_one(self, slot: int) -> int:
        # A session of its own: Ctrl-C on the terminal reaches the supervisor alone, which passes it on once.
        child = await asyncio.create_subprocess_exec(
            *self._command, "--parent", str(os.getpid()), start_new_session=True, stdin=asyncio.subprocess.DEVNULL
        )
        self._children[slot] = child
        if self._stop.is_set():  # while it was being started
            _send(child, signal.SIGTERM)
        try:
            return await child.wait()
        finally:
            del self._children[slot]

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def _send(child: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended, and we are about to hear of it
        child.send_signal(number)


def _how(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"
