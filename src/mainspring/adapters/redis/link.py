"""Whether Redis can be reached: one place that knows, and one loop that tries again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mainspring.adapters.redis.commands import call
from mainspring.adapters.redis.connection import AWAY, server_warnings
from mainspring.adapters.redis.streams import DISPATCH
from mainspring.ports.tasks import end

logger = logging.getLogger("mainspring")

#: Seconds before the first and the later tries to reach the server again.
FIRST_TRY, LAST_TRY = 0.05, 5.0
#: Seconds between two signs of life of a server nobody talks to: a half-open connection is found before it matters.
SIGN_OF_LIFE = 10.0


class Link:
    """The state of one connection to a server, believed to be up until something fails. For one event loop."""

    def __init__(self, client: Redis, random: random.Random, lost: Callable[[], None]) -> None:
        self._client, self._random, self._lost = client, random, lost
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._up.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the last thing tried worked, or nothing was tried yet."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="mainspring:redis-link")

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            await end([self._task])

    def failed(self, error: BaseException) -> None:
        """Note that the server could not be reached: whoever waits for it waits, and one loop tries again."""
        if self.up:
            logger.warning("Redis cannot be reached, workers poll the database meanwhile: %s", _told(error))
            self._up.clear()
            self._down.set()
            self._lost()

    async def wait_up(self) -> None:
        """Return once the server can be reached."""
        await self._up.wait()

    async def _watch(self) -> None:
        warned = await self._look()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._down.wait(), SIGN_OF_LIFE)
            if self._down.is_set():
                await self._come_back()
                warned = warned or await self._look()
            else:
                await self._probe()

    async def _probe(self) -> bool:
        """Ask for a sign of life that a replica cannot give: a write that changes nothing."""
        try:
            await call(self._client, "XDEL", DISPATCH, "0-0")
        except AWAY as error:
            self.failed(error)
            return False
        except RedisError as error:  # it answers, so it is there
            logger.debug("Redis refuses a sign of life: %s", error)
        return True

    async def _come_back(self) -> None:
        tries = 0
        while True:
            # Jittered, or a whole fleet would knock at the same instant.
            pause = min(FIRST_TRY * 2**tries, LAST_TRY) * self._random.uniform(0.5, 1.0)
            tries = min(tries + 1, 16)
            await asyncio.sleep(pause)
            # A new connection, so that a name that now leads to another server leads us there.
            await self._client.connection_pool.disconnect()
            if await self._probe():
                break
        logger.warning("Redis can be reached again")
        self._down.clear()
        self._up.set()

    async def _look(self) -> bool:
        """Say what is wrong with the server for our use; False where it could not be asked."""
        try:
            for warning in await server_warnings(self._client):
                logger.warning("%s", warning)
        except AWAY as error:
            self.failed(error)
            return False
        except RedisError as error:  # an ACL may hide it
            logger.debug("Redis does not tell about itself: %s", error)
        return True


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
