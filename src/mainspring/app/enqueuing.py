"""Enqueues of one process: those that come while one is under way go together in the next transaction.

Alone, an enqueue is written at once. Under load a batch forms by itself: many callers cost one commit, and each still
returns only once its own execution is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mainspring.errors import StoreUnavailableError
from mainspring.model.execution import Execution
from mainspring.moves.enqueue import EnqueueRequest, enqueue, enqueue_at_once
from mainspring.ports.store import Store, Tx, Work

#: Most enqueues in one transaction.
BATCH = 500

_Waiting = tuple[EnqueueRequest, "asyncio.Future[Execution]"]


class Enqueues:
    """Enqueues as transactions of their own. Remembers which platforms have limits, to ask for these first."""

    def __init__(self) -> None:
        self._limited: set[str] = set()

    def work(self, requests: Sequence[EnqueueRequest]) -> Work[list[Execution]]:
        """Return the work of enqueuing these: in one round trip where that can be, and in two where it cannot."""
        platform_ids = {request.platform_id for request in requests}

        def work(tx: Tx) -> list[Execution]:
            if self._limited.isdisjoint(platform_ids) and (made := enqueue_at_once(tx, requests)):
                return made
            made = enqueue(tx, requests)
            for platform_id in platform_ids:
                (self._limited.add if tx.platforms.limits(platform_id) else self._limited.discard)(platform_id)
            return made

        return work


class Enqueuer:
    """Enqueues for the callers of one event loop."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, enqueues: Enqueues) -> None:
        self._store, self._loop, self._enqueues = store, loop, enqueues
        self._waiting: list[_Waiting] = []
        self._flight: asyncio.Task[None] | None = None

    def serves(self, store: Store, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether it enqueues into this store for this loop."""
        return self._store is store and self._loop is loop

    async def enqueue(self, request: EnqueueRequest) -> Execution:
        """Make one execution; durable when this returns. Raises what `enqueue` of it alone would raise."""
        future: asyncio.Future[Execution] = self._loop.create_future()
        self._waiting.append((request, future))
        if self._flight is None or self._flight.done():
            # A task of its own: a caller that is cancelled takes nobody else's enqueue with it.
            self._flight = self._loop.create_task(self._fly(), name="mainspring:enqueue")
        return await future

    async def _fly(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            batch = [one for one in batch if not one[1].cancelled()]
            await self._write(batch)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        requests = [request for request, _ in batch]
        try:
            made = await self._store.write(self._enqueues.work(requests))
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, StoreUnavailableError):
                # One of them is refused, and which one only shows when each goes by itself.
                for one in batch:
                    await self._write([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), execution in zip(batch, made, strict=True):
                if not future.done():
                    future.set_result(execution)
