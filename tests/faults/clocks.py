"""Clocks that lie: Debian's libfaketime, preloaded into the processes that are to believe it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest


def faketime_library() -> Path:
    """Return libfaketime for threaded programs, or skip the test."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (Debian: apt-get install faketime)")
    return found[0]


class Clock:
    """A wall clock that can be set while processes look at it; what they measure durations by stays true.

    The library can also bend the clock of durations, but then Python's interpreter lock waits for ever.
    """

    def __init__(self, offset: float = 0.0) -> None:
        folder = Path(tempfile.mkdtemp(prefix="mainspring-clock-"))
        folder.chmod(0o755)  # a server runs as somebody else, and has to read it
        self._file = folder / "clock"
        self._drifting = threading.Event()
        self._thread: threading.Thread | None = None
        self.set(offset)

    def set(self, offset: float) -> None:
        """Let it be so many seconds ahead. Processes see it within a second."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+.3f}\n")
        fresh.chmod(0o644)
        fresh.replace(self._file)

    def drift(self, rate: float) -> None:
        """Let it run too fast by that share of the time from now on, such as 0.1, or too slow, below 0."""

        def run() -> None:
            began = time.monotonic()
            while not self._drifting.wait(0.2):
                self.set((time.monotonic() - began) * rate)

        self._thread = threading.Thread(target=run, name="drift", daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Remove it; nobody may look at it any more."""
        self._drifting.set()
        if self._thread is not None:
            self._thread.join()
        shutil.rmtree(self._file.parent)

    def environ(self, *, at_once: bool = False) -> dict[str, str]:
        """Return the environment of a process that is to believe it.

        ``at_once``: processes that share it, such as a server's, must not see it differ; each look reads the file.
        """
        return {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            **({"FAKETIME_NO_CACHE": "1"} if at_once else {"FAKETIME_CACHE_DURATION": "1"}),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }
