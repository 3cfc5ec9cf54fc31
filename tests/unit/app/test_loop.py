"""What is done with a process that is ours, and not with anyone else's."""

import asyncio
import contextlib
import gc
import sys

import psutil
import pytest

from mainspring.app.loop import rest_in_memory, run_loop, until_stopped


async def rest() -> int:
    rest_in_memory()
    return gc.get_freeze_count()


def test_what_is_loaded_is_spared_the_collector_in_a_process_of_ours_alone():
    assert asyncio.run(rest()) == 0
    try:
        assert run_loop(rest()) > 1_000
    finally:
        gc.unfreeze()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give memory back in ways of their own")
def test_what_loading_no_longer_needs_is_given_back_in_a_process_of_ours():
    process = psutil.Process()

    async def given_back() -> int:
        before = process.memory_info().rss
        rest_in_memory()
        return before - process.memory_info().rss

    loaded = [b"x" * 100_000 for _ in range(400)]
    del loaded[::2]  # what stays between keeps the heap from shrinking by itself
    try:
        assert asyncio.run(given_back()) < 1_000_000
        assert run_loop(given_back()) > 10_000_000
    finally:
        gc.unfreeze()
    assert len(loaded) == 200


async def test_what_is_beside_is_left_when_stopped() -> None:
    stop, told = asyncio.Event(), []

    @contextlib.asynccontextmanager
    async def beside():
        told.append("in")
        stop.set()
        yield
        told.append("out")

    await until_stopped(stop, beside)
    assert told == ["in", "out"]


async def test_a_stop_does_not_wait_for_what_is_still_being_loaded() -> None:
    stop, told = asyncio.Event(), []

    @contextlib.asynccontextmanager
    async def beside():
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append("broken off")
        yield

    await asyncio.wait_for(until_stopped(stop, beside), 30)
    assert told == ["broken off"]


async def test_what_cannot_be_beside_is_said() -> None:
    taken = bool(asyncio.current_task())

    @contextlib.asynccontextmanager
    async def beside():
        if taken:
            raise OSError("the port is taken")
        yield

    with pytest.raises(OSError, match="taken"):
        await until_stopped(asyncio.Event(), beside)
