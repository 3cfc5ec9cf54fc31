"""What executions leave behind for people: their logs, and the dead letters of those given up on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from mainspring.adapters.memory.execution_rows import ExecutionRows
from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.errors import ConflictError
from mainspring.model.chain import Chained
from mainspring.model.execution import DeadLetter, LogLine
from mainspring.ports.store import LetterQuery


class MemoryLogTable:
    """`LogTable` in lists: line ``n`` is item ``n - 1``."""

    def __init__(self, journal: Journal, executions: ExecutionRows) -> None:
        self._journal = journal
        self._executions = executions
        self._logs: dict[str, list[LogLine]] = {}

    def append(self, execution_id: str, lines: Sequence[LogLine], *, fence: int | None, cap: int) -> int | None:
        execution = self._executions.all.get(execution_id)
        if execution is None or fence not in (None, execution.fence):
            return None
        kept = self._logs.get(execution_id)
        if kept is None:
            kept = []
            self._journal.put(self._logs, execution_id, kept)
        first = len(kept) + 1
        fitting = lines[: max(0, cap - len(kept))]
        numbered = [replace(line, execution_id=execution_id, line=first + i) for i, line in enumerate(fitting)]
        self._journal.extend(kept, each_isolated(numbered))
        return len(kept)

    def read(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        return each_isolated(self._logs.get(execution_id, [])[after : after + limit])

    def forget(self, execution_id: str) -> None:
        """Delete the log of an execution."""
        self._journal.drop(self._logs, execution_id)


class MemoryDeadLetterTable:
    """`DeadLetterTable` in a dictionary."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._letters: dict[str, DeadLetter] = {}

    def add(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            if letter.execution_id in self._letters:
                raise ConflictError(f"execution {letter.execution_id} has a dead letter already")
            self._journal.put(self._letters, letter.execution_id, isolated(letter))

    def every(self) -> Iterable[DeadLetter]:
        """Return every dead letter there is."""
        return self._letters.values()

    def open_ids(self) -> set[str]:
        """Return the executions that are open dead letters."""
        return {letter.execution_id for letter in self._letters.values() if letter.status == "open"}

    def get(self, execution_id: str, *, lock: bool = False) -> DeadLetter | None:
        letter = self._letters.get(execution_id)
        return None if letter is None else isolated(letter)

    def hold(self, execution_ids: Sequence[str]) -> None:
        """Nothing to do: one transaction runs at a time."""

    def find(
        self,
        platform_id: str,
        *,
        status: str | None = "open",
        job_id: str | None = None,
        handler: str | None = None,
        fingerprint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        found = [
            letter
            for letter in self._letters.values()
            if letter.platform_id == platform_id
            and status in (None, letter.status)
            and job_id in (None, letter.job_id)
            and handler in (None, letter.handler)
            and fingerprint in (None, letter.fingerprint)
            and (before_id is None or letter.execution_id < before_id)
        ]
        return each_isolated(sorted(found, key=lambda letter: letter.execution_id, reverse=True)[:limit])

    def open(
        self, platform_id: str, query: LetterQuery, *, after_id: str | None = None, limit: int, lock: bool = False
    ) -> list[DeadLetter]:
        def wanted(letter: DeadLetter) -> bool:
            return (
                letter.platform_id == platform_id
                and letter.status == "open"
                and (after_id is None or letter.execution_id > after_id)
                and query.job_id in (None, letter.job_id)
                and query.handler in (None, letter.handler)
                and query.failure in (None, letter.failure)
                and query.fingerprint in (None, letter.fingerprint)
                and (query.since is None or letter.created_at >= query.since)
                and (query.until is None or letter.created_at < query.until)
            )

        found = sorted(filter(wanted, self._letters.values()), key=lambda letter: letter.execution_id)
        return each_isolated(found[:limit])

    def resolve(
        self, execution_id: str, *, status: str, reason: str | None = None, redriven_as: str | None = None
    ) -> bool:
        letter = self._letters.get(execution_id)
        if letter is None or letter.status != "open":
            return False
        at = self._journal.now
        closed = replace(letter, status=status, resolved_at=at, reason=reason, redriven_as=redriven_as)
        self._journal.put(self._letters, execution_id, closed)
        return True

    def count(self, platform_id: str, most: int) -> int:
        mine = (letter for letter in self._letters.values() if letter.platform_id == platform_id)
        return min(sum(letter.status == "open" for letter in mine), most)


class MemoryChainTable:
    """`ChainTable` in a dictionary."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._links: dict[tuple[str, str], Chained] = {}

    def add(self, links: Sequence[Chained]) -> None:
        for link in links:
            if (link.execution_id, link.job) in self._links:
                raise ConflictError(f"execution {link.execution_id} has started {link.job} already")
            self._journal.put(self._links, (link.execution_id, link.job), link)

    def of(self, execution_id: str) -> list[Chained]:
        return sorted((x for x in self._links.values() if x.execution_id == execution_id), key=lambda x: x.job)

    def delete(self, before: datetime, limit: int) -> int:
        old = sorted(key for key, link in self._links.items() if link.at < before)[:limit]
        for key in old:
            self._journal.drop(self._links, key)
        return len(old)
