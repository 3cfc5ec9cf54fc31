"""Heartbeats: leases are renewed whatever the handlers do, also while one blocks the event loop.

In a process they come from a thread of their own, which also watches the loop and names the handler that blocks it.
A simulation calls the same work from its virtual loop.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from mainspring.engine.gaps import no_gap
from mainspring.errors import MainspringError
from mainspring.model.log_events import about
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")

#: Seconds an event loop may not answer before the watchdog speaks.
BLOCKED_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class Held:
    """A lease this worker still holds; ``lost``: one that it thought it held and does not."""

    execution_id: str
    fence: int
    cancel_requested: bool
    lost: bool = False


def renew(tx: Tx, worker_id: str, lease: timedelta) -> list[Held]:
    """Extend every lease of a worker by the store's clock, as a transaction's last work; return what it still holds.

    It locks all that runs there: a worker cut off between it and its end would keep that from the reaper for long.
    """
    until = tx.now + lease
    tx.end_with_next()
    return [Held(*row) for row in tx.executions.renew(worker_id, until)]


class HeartbeatThread:
    """Renew leases every ``interval`` seconds from a thread, and watch the loop that owns the handlers.

    While nothing is under way, which ``busy`` tells, it rests from one beat to the next, and asks the loop for a sign
    of life with each: see `attend`. A beat that nobody asked for waits for the next ``gap`` (see `Gaps.wait`), once,
    and for a tenth of the interval at most.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        *,
        interval: float,
        work: Callable[[], Callable[[Tx], list[Held]]],
        on_beat: Callable[[list[Held]], None],
        busy: Callable[[], bool],
        gap: Callable[[float], float] = no_gap,
    ) -> None:
        self._store, self._loop, self._interval, self._gap = store, loop, interval, gap
        self._work, self._on_beat, self._busy = work, on_beat, busy
        self._wake = threading.Event()
        self._stopped = self._wanted = False
        # Whether it has gone to rest until the next beat.
        self._resting = False
        # Since when the loop owes a sign of life; None while it owes none.
        self._asked: float | None = None
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="mainspring-heartbeat", daemon=True)
        self.blocked: str | None = None

    def start(self) -> None:
        """Start beating. Call it in the loop's own thread."""
        self._thread.start()

    def beat_now(self) -> None:
        """Beat at once: a cancel was asked for. Safe from any thread."""
        self._wanted = True
        self._wake.set()

    def attend(self) -> None:
        """Watch the loop closely from now on: what ``busy`` tells of by now may block it. Safe from any thread."""
        if self._resting:
            self._resting = False
            self._wake.set()

    async def stop(self) -> None:
        """Stop; the last beat under way is waited for."""
        self._stopped = True
        self._wake.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        due = self._monotonic() + self._interval
        while not self._stopped:
            self._resting = True
            if self._busy() or self._asked is not None:  # asked after that: what begins from here on calls `attend`
                self._resting = False
            left = due - self._monotonic()
            self._rest(left if self._resting else min(left, BLOCKED_AFTER / 2))
            if not self._wanted and self._monotonic() >= due:
                self._rest(min(self._gap(self._monotonic()), self._interval / 10))
            beats = self._wanted or self._monotonic() >= due
            if beats or self._busy() or self._asked is not None:
                self._watch()
            if beats and not self._stopped:
                self._beat()
                due = self._monotonic() + self._interval

    def _rest(self, seconds: float) -> None:
        """Wait so long, or until somebody asks for a beat, for attention or the end."""
        self._wake.wait(max(seconds, 0.0))
        self._wake.clear()

    def _beat(self) -> None:
        self._wanted = False
        try:
            held = self._store.write_blocking(self._work())
        except MainspringError as error:
            logger.warning("heartbeat failed, trying again: %s", error, extra=about("heartbeat.failed"))
            return
        except Exception:
            logger.exception("heartbeat failed, trying again", extra=about("heartbeat.failed"))
            return
        self._call(lambda: self._on_beat(held))

    def _watch(self) -> None:
        """Ask the loop for a sign of life; if it has not given one for long, say what runs in it."""
        now = self._monotonic()
        if self._asked is None:
            self._asked = now
            self._call(self._answer)
            return
        silent = now - self._asked
        if silent > BLOCKED_AFTER and self.blocked is None:
            task = asyncio.current_task(self._loop)
            self.blocked = task.get_name() if task is not None else "unknown"
            frame = sys._current_frames().get(self._loop_thread)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
            told = "%s has blocked the event loop for %.1f s:\n%s"
            logger.warning(told, self.blocked, silent, stack, extra=about("loop.blocked", seconds=round(silent, 1)))

    def _answer(self) -> None:
        self._asked = self.blocked = None

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            self._stopped = True  # the loop has closed

    @staticmethod
    def _monotonic() -> float:
        return time.monotonic()  # noqa: TID251 - a duration of this process, never compared with the store's clock
