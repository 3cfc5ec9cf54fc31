"""What is done with a process that is ours, and not with anyone else's."""

import asyncio
import gc

from mainspring.app.loop import rest_in_memory, run_loop


async def rest() -> int:
    rest_in_memory()
    return gc.get_freeze_count()


def test_what_is_loaded_is_spared_the_collector_in_a_process_of_ours_alone():
    assert asyncio.run(rest()) == 0
    try:
        assert run_loop(rest()) > 1_000
    finally:
        gc.unfreeze()
