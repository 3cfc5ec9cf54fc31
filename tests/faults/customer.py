"""A customer that asks for work at a steady rate, each piece under a key of its own, until it is acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

from mainspring import Mainspring
from mainspring.errors import StoreUnavailableError
from mainspring.moves.enqueue import EnqueueRequest


class Customer:
    """Asks from a thread; what was acknowledged must be there for ever, and once."""

    def __init__(
        self,
        url: str,
        *,
        rate: float,
        settings: Mapping[str, Any],
        batch: int = 5,
        platform: str = "default",
        seconds: float = 0.0,
    ) -> None:
        self._url, self._rate, self._batch, self._platform = url, rate, batch, platform
        self._seconds, self._settings = seconds, settings
        self._opened, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="customer", daemon=True)
        #: Execution id by key.
        self.acknowledged: dict[str, str] = {}
        #: Calls that failed and were repeated.
        self.repeated = 0
        #: Seconds the slowest call took until it was acknowledged.
        self.slowest = 0.0
        self._problem: BaseException | None = None
        self._given_up = False

    def start(self) -> Customer:
        """Return once it can ask: what goes wrong from here on is the trial's own doing, and asked for again."""
        self._thread.start()
        assert self._opened.wait(60), "the customer found no way in"
        if self._problem is not None:
            raise self._problem
        return self

    def stop(self, within: float = 60.0) -> None:
        """Stop asking; what was asked last is asked on until it is acknowledged."""
        self._stopping.set()
        self._thread.join(within)
        if self._problem is not None:
            raise self._problem
        assert not self._thread.is_alive(), f"a call was not acknowledged within {within} s"

    def abandon(self) -> None:
        """Stop without waiting for anything to be acknowledged."""
        self._given_up = True
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(35)

    def _run(self) -> None:
        try:
            asyncio.run(self._ask())
        except BaseException as error:
            self._problem = error
        finally:
            self._opened.set()

    async def _ask(self) -> None:
        app = Mainspring(self._url, platform=self._platform, **self._settings)
        await app.open()
        self._opened.set()
        service, number = app.scheduler(actor="customer"), 0
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                numbers = range(number, number + self._batch)
                number += self._batch
                requests = [
                    EnqueueRequest("work", {"n": n, "seconds": self._seconds}, idempotency_key=f"{self._platform}-{n}")
                    for n in numbers
                ]
                made = await self._until_acknowledged(service, requests)
                for request, execution in zip(requests, made, strict=False):
                    self.acknowledged[str(request.idempotency_key)] = execution.id
                took = time.monotonic() - began
                self.slowest = max(self.slowest, took)
                await asyncio.sleep(max(0.0, self._batch / self._rate - took))
        finally:
            await app.close()

    async def _until_acknowledged(self, service, requests):
        while not self._given_up:
            try:
                async with asyncio.timeout(30):
                    return await service.enqueue(requests)
            except (StoreUnavailableError, TimeoutError):
                self.repeated += 1
                await asyncio.sleep(0.1)
        return []
