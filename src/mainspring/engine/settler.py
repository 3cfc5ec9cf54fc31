"""Record how attempts ended, and what those that still run have said."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mainspring.engine.executor import Attempt, Stop
from mainspring.engine.service import BACKOFF, BACKOFF_CAP
from mainspring.errors import StoreUnavailableError
from mainspring.model.execution import Actor, Execution, LogLine
from mainspring.model.log_events import about
from mainspring.model.outcome import Outcome
from mainspring.moves.end import Ended, settle_attempts
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")

#: Seconds between two looks whether something is still to be started, and how many of them settling makes way for.
LOOK, LOOKS = 0.005, 4

#: Attempts that ended, and how.
Batch = Sequence[tuple[Attempt, Outcome]]


class Settler:
    """Settles attempts in the order in which they ended, all that wait in one transaction.

    Batches form by themselves while one is under way, and nothing is dropped because the store is away.
    ``on_settled`` is called in the loop with each batch and the ids of those whose fence still held.

    While ``makes_way`` says that work is still to be started in this process, outcomes gather: until there is a batch
    of them, and for `LOOK` times `LOOKS` seconds at most.
    """

    def __init__(
        self,
        store: Store,
        random: random.Random,
        *,
        batch: int,
        log_lines: int,
        on_settled: Callable[[Batch, set[str]], None],
        makes_way: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._random, self._batch, self._log_lines = store, random, batch, log_lines
        self._on_settled, self._makes_way = on_settled, makes_way
        self._ended: deque[tuple[Attempt, Outcome]] = deque()
        self._some_ended = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many attempts have ended and are not under way to the store."""
        return len(self._ended)

    def put(self, attempt: Attempt, outcome: Outcome) -> None:
        """Take an attempt that has ended."""
        self._ended.append((attempt, outcome))
        self._some_ended.set()

    async def run(self) -> None:
        """Settle what has ended, for ever."""
        failures = 0
        batch: list[tuple[Attempt, Outcome]] = []
        while True:
            if not batch and not self._ended:
                self._some_ended.clear()
                await self._some_ended.wait()
            await self._make_way(len(batch))
            while self._ended and len(batch) < self._batch:
                batch.append(self._ended.popleft())
            try:
                await self._settle(batch)
            except Exception as error:
                # The handlers' work is done and its results wait.
                failures += 1
                if failures == 1 or not isinstance(error, StoreUnavailableError):
                    told, count = "settling %d attempts failed, trying again: %s", len(batch)
                    unsettled = about("attempt.unsettled", count=count)
                    logger.warning(told, count, error, exc_info=True, extra=unsettled)
                await asyncio.sleep(min(BACKOFF * 2 ** (failures - 1), BACKOFF_CAP))
                continue
            failures = 0
            batch = []

    async def _make_way(self, waiting: int) -> None:
        """Let outcomes gather while work is still to be started."""
        for _ in range(LOOKS):
            if waiting + len(self._ended) >= self._batch or not self._makes_way():
                return
            await asyncio.sleep(LOOK)

    async def _settle(self, batch: Batch) -> None:
        draws = [self._random.random() for _ in batch]
        lines = [attempt.words.take_lines() for attempt, _ in batch]
        progress = [attempt.words.take_progress() for attempt, _ in batch]

        def work(tx: Tx) -> set[str]:
            ended = [
                Ended(_as_known(attempt), outcome, draw) for (attempt, outcome), draw in zip(batch, draws, strict=True)
            ]
            if any(one is not None for one in progress):
                if len(batch) > 1:
                    tx.executions.hold([attempt.execution.id for attempt, _ in batch])
                # Before the end: progress is taken only from what runs.
                _store_progress(tx, [(attempt, said) for (attempt, _), said in zip(batch, progress, strict=True)])
            accepted = settle_attempts(tx, ended, Actor.WORKER)
            # With the end, or not at all: after a lost answer the same lines would be stored once more.
            for (attempt, _), said in zip(batch, lines, strict=True):
                if said and attempt.execution.id in accepted:
                    _store_lines(tx, attempt.execution, said, self._log_lines)
            return accepted

        try:
            accepted = await self._store.write(work)
        except BaseException:
            for (attempt, _), said, newest in zip(batch, lines, progress, strict=True):
                attempt.words.give_back(said, newest)
            raise
        self._on_settled(batch, accepted)

    async def flush(self, running: Iterable[Attempt]) -> None:
        """Store progress and log lines of what still runs."""
        said = [(attempt, attempt.words.take_lines(), attempt.words.take_progress()) for attempt in running]
        said = [one for one in said if one[1] or one[2] is not None]
        if not said:
            return

        def work(tx: Tx) -> None:
            tx.executions.hold([attempt.execution.id for attempt, _, _ in said])
            for attempt, lines, _ in said:
                _store_lines(tx, attempt.execution, lines, self._log_lines)
            _store_progress(tx, [(attempt, progress) for attempt, _, progress in said])

        try:
            await self._store.write(work)
        except BaseException:
            for attempt, lines, progress in said:
                attempt.words.give_back(lines, progress)
            raise


def _store_lines(tx: Tx, execution: Execution, lines: list[tuple[str, str, Mapping[str, object]]], cap: int) -> None:
    if not lines:
        return
    rows = [
        LogLine(execution.id, 0, tx.now, level, message, dict(fields), execution.attempt)
        for level, message, fields in lines
    ]
    tx.logs.append(execution.id, rows, fence=execution.fence, cap=cap)


def _store_progress(tx: Tx, said: Iterable[tuple[Attempt, Mapping[str, Any] | None]]) -> None:
    tx.executions.put_progress(
        [
            (attempt.execution.id, attempt.execution.fence, {**progress, "at": tx.now.isoformat()})
            for attempt, progress in said
            if progress is not None
        ]
    )


def _as_known(attempt: Attempt) -> Execution:
    """The execution as claimed, with the cancel this worker has heard of since."""
    if attempt.stopping is Stop.CANCEL and attempt.execution.cancel_requested_at is None:
        return attempt.execution.changed(cancel_requested_at=attempt.execution.started_at)
    return attempt.execution
