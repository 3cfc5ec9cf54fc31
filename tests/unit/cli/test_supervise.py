"""The supervisor of several workers."""

import asyncio
import sys

from mainspring.cli.supervise import Supervisor


async def test_a_worker_that_has_ended_and_is_not_yet_missed_is_told_nothing() -> None:
    ended = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "")
    await ended.wait()
    supervisor = Supervisor([sys.executable], 1)
    supervisor._children[0] = ended
    supervisor._signalled()
    assert supervisor._stop.is_set()
