"""Clocks that lie: Debian's libfaketime, preloaded into the processes that are to believe it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest


def faketime_library() -> Path:
    """Return libfaketime for threaded programs, or skip the test."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (Debian: apt-get install faketime)")
    return found[0]


class Clock:
    """A clock that can be set while processes look at it."""

    def __init__(self, offset: str = "+0") -> None:
        folder = Path(tempfile.mkdtemp(prefix="mainspring-clock-"))
        folder.chmod(0o755)  # a server runs as somebody else, and has to read it
        self._file = folder / "clock"
        self.set(offset)

    def remove(self) -> None:
        """Remove the file; nobody may look at it any more."""
        shutil.rmtree(self._file.parent)

    def set(self, offset: str) -> None:
        """Say what the wall clock shows: an offset in seconds such as ``+3600``, or with a rate, ``+0 x1.1``."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.chmod(0o644)
        shutil.move(fresh, self._file)

    def environ(self, *, monotonic: bool = False) -> dict[str, str]:
        """Return the environment of a process that is to believe it; ``monotonic``: the clock of durations as well."""
        return {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "0" if monotonic else "1",
            "DONT_FAKE_MONOTONIC": "0" if monotonic else "1",
        }
