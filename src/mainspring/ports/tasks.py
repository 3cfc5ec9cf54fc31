"""Ending tasks that may be talking to a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and return once all of them have ended; what they raise is nobody's business any more.

    More than once where needed: a cancellation that meets an answer just arriving may be swallowed on the way
    (``asyncio.wait_for`` before Python 3.12 does).
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)
