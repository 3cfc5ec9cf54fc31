"""The OS lock that names the one engine of a SQLite file, and says who holds it.

It lies beside the database, on a file of its own, and is the operating system's: it is free the moment its holder is
gone, however it went. The text in the file is for people and decides nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from datetime import datetime
from pathlib import Path

from mainspring.errors import EngineBusyError, StoreUnavailableError
from mainspring.model.wire import instant

logger = logging.getLogger("mainspring")

_flush = getattr(os, "fdatasync", os.fsync)

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # beyond the text, which others must be able to read

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class EngineLock:
    """The lock of one database file."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".engine")
        self._descriptor: int | None = None
        self._text = b""

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, role: str, at: datetime) -> None:
        """Take the lock and write who has it; nothing to do where it is held already.

        Raises:
            EngineBusyError: If another process, or another store of this one, has it; with who that is.
            StoreUnavailableError: If there cannot be a lock beside this database.
        """
        if not self.try_acquire(role, at):
            raise EngineBusyError(str(self._database), self.holder())

    def try_acquire(self, role: str, at: datetime) -> bool:
        """Take the lock if it is free; tell whether it is held now."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailableError(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            return False
        self._text = f"process {os.getpid()} on {socket.gethostname()}, {role}, since {instant(at)}\n".encode()
        os.ftruncate(descriptor, 0)
        self._descriptor = descriptor
        self._write(descriptor)
        return True

    def rouse_disk(self) -> None:
        """Have the disk store something, where this object holds the lock: one that has slept is slow to begin.

        What the holder has written about itself is written again, so nothing changes for who reads it.
        """
        if self._descriptor is None:
            return
        try:
            self._write(self._descriptor)
            _flush(self._descriptor)
        except OSError as error:
            logger.debug("%s could not be written again: %s", self._path, error)

    def _write(self, descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, self._text)

    def holder(self) -> str:
        """Return what the present or last holder wrote about itself."""
        try:
            return self._path.read_text("utf-8").strip() or "a process that has not said who it is"
        except OSError:
            return "unknown"

    def release(self) -> None:
        """Let go. The file stays: another may be waiting for it."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
