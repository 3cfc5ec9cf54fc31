"""Who tells what Python's logging says: a handler of ours in place of those that write to the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told_by(handler: logging.Handler, level: str) -> Iterator[None]:
    """Let a handler stand in for those that write to the terminal while the block runs; others, such as files, stay."""
    root = logging.getLogger()
    ours = (sys.stdout, sys.stderr)
    taken = [one for one in root.handlers if isinstance(one, logging.StreamHandler) and one.stream in ours]
    before = root.level
    for one in taken:
        root.removeHandler(one)
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        for one in taken:
            root.addHandler(one)
        root.setLevel(before)
