"""Python's garbage collector, kept from what a call for thousands of things makes until they are made."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
#: Threads that keep it paused.
_pausing: set[int] = set()


@contextmanager
def collecting_later() -> Iterator[None]:
    """Let the collector look for rings of objects only after this, where it does at all.

    What a bulk call makes is alive until its end: the collector walks it in vain, and with it, whenever it has grown by
    a quarter, everything the process holds. In any thread, and several at once: the last one out lets it go on.

    >>> with collecting_later():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    me = threading.get_ident()
    with _lock:
        paused = me not in _pausing and (bool(_pausing) or gc.isenabled())
        if paused:
            gc.disable()
            _pausing.add(me)
    try:
        yield
    finally:
        if paused:
            with _lock:
                _pausing.remove(me)
                if not _pausing:
                    gc.enable()
