"""The event loop of a process that is ours from its start to its end: `Mainspring.run` and the commands."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

#: New objects after which the garbage collector looks at them. Its own 700 are some thirty attempts, which it walks for
#: nothing: what an attempt leaves holds no rings.
YOUNG = 10_000

#: Whether the process is ours.
_ours = ContextVar("mainspring_process", default=False)


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end in a new loop and return what it returns: uvloop's where that is installed.

    What a handler left behind does not hold up the end: a thread it waited for with `asyncio.to_thread` may never come
    back, and its execution was released or fenced off already.
    """
    _share_one_heap()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_with_unjoined_threads(main))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's way to make a loop; None, which means asyncio's own, where the extra ``speed`` is missing."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def rest_in_memory() -> None:
    """Spare the garbage collector what has been loaded so far, and give back the memory that loading no longer needs.

    Else each full collection walks the libraries again, and those take a third of a busy worker's time. And the files
    they came from, each read whole and let go, may leave holes in the heap: up to four MiB in a worker. Does nothing in
    a loop that is not `run_loop`'s: whoever's process it is decides.
    """
    if _ours.get():
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)
        trim = _glibc("malloc_trim")
        if trim is not None:
            trim(ctypes.c_size_t(0))


#: glibc's number for the most heaps of a process, in `malloc.h`.
_M_ARENA_MAX = -8


def _share_one_heap() -> None:
    """Let all threads allocate from one heap.

    glibc gives each a heap of its own, to spare them a lock. Here they seldom run at once, and what each leaves unused
    is memory: of what a worker grew by over many jobs that was half. ``MALLOC_ARENA_MAX`` in the environment decides
    otherwise, and other C libraries have nothing to decide.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:  # noqa: TID251 - glibc's variable, not a setting
        mallopt(_M_ARENA_MAX, 1)


def _glibc(name: str) -> Any:
    """Return a function that glibc has beyond the standard; None where the C library is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


async def until_stopped(stop: asyncio.Event, beside: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    """Hold ``beside`` open until ``stop`` is set; where it is still being entered then, it is broken off."""
    entered = False

    async def hold() -> None:
        nonlocal entered
        async with beside():
            entered = True
            rest_in_memory()
            await stop.wait()

    holding, stopping = asyncio.ensure_future(hold()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((holding, stopping), return_when=asyncio.FIRST_COMPLETED)
        if entered or not stop.is_set():
            await holding
    finally:
        for task in (holding, stopping):
            task.cancel()
        await asyncio.gather(holding, stopping, return_exceptions=True)


async def _with_unjoined_threads(main: Coroutine[Any, Any, T]) -> T:
    _ours.set(True)
    asyncio.get_running_loop().set_default_executor(_UnjoinedThreads(thread_name_prefix="mainspring-default"))
    return await main


class _UnjoinedThreads(ThreadPoolExecutor):
    """Threads nobody waits for when the loop closes."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
