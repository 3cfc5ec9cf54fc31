"""Documents in a directory. It follows no link out of it, and opens nothing but plain files."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path

from mainspring.ports.knowledge import RawDocument, SourceDocument, Unreadable

#: Documents listed in one step.
PAGE = 1000

Listed = SourceDocument | Unreadable


class DirectorySource:
    """`DocumentSource` of the files below a directory; ids are paths from there, with ``/`` on every system."""

    def __init__(self, root: Path, *, endings: tuple[str, ...], max_bytes: int) -> None:
        self._root, self._max = root, max_bytes
        self._endings = tuple(ending.lower() for ending in endings)

    async def pages(self) -> AsyncIterator[Sequence[Listed]]:
        found = self._walk()
        while page := await asyncio.to_thread(lambda: list(islice(found, PAGE))):
            yield page

    async def read(self, documents: Sequence[SourceDocument]) -> Sequence[RawDocument | Unreadable | None]:
        return await asyncio.to_thread(lambda: [self._read(document.id) for document in documents])

    def _walk(self) -> Iterator[Listed]:
        # A stack of our own: the depth of a directory tree is no reason to run out of Python's.
        open_directories = [""]
        while open_directories:
            below = open_directories.pop()
            try:
                with os.scandir(self._root / below) as entries:
                    names = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if not below:
                    raise  # the collection itself is out of reach
                yield Unreadable(_shown(below), _reason(error))
                continue
            for entry in names:
                if entry.name.startswith("."):
                    continue
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    open_directories.append(path)
                elif entry.is_file(follow_symlinks=False) and entry.name.lower().endswith(self._endings):
                    yield self._listed(path, entry)

    def _listed(self, path: str, entry: os.DirEntry[str]) -> Listed:
        if _shown(path) != path:
            return Unreadable(_shown(path), "its name is not UTF-8")
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError as error:
            return Unreadable(path, _reason(error))
        if found.st_size > self._max:
            return Unreadable(path, f"it has {found.st_size} bytes, over the limit of {self._max}")
        return _document(path, found)

    def _read(self, path: str) -> RawDocument | Unreadable | None:
        try:
            if not (self._root / path).resolve().is_relative_to(self._root.resolve()):
                return Unreadable(path, "a link leads out of the directory")
            # No waiting for a pipe somebody put in the file's place, and no link followed.
            flags = (
                os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            )
            with open(os.open(self._root / path, flags), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    return Unreadable(path, "it is not a plain file")
                content = file.read(self._max + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Unreadable(path, _reason(error))
        if len(content) > self._max:
            return Unreadable(path, f"it is over the limit of {self._max} bytes")
        return RawDocument(_document(path, found), content)


def _document(path: str, found: os.stat_result) -> SourceDocument:
    return SourceDocument(path, found.st_size, str(found.st_mtime_ns))


def _shown(path: str) -> str:
    """The path as text any store can keep."""
    return path.encode("utf-8", "backslashreplace").decode()


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
