"""`dead-letters` (also `dead`): list, redrive, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from mainspring.cli import job_fields
from mainspring.cli.exits import Exit, UsageError, code_of, error_to_wire
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.moments import read_at
from mainspring.cli.output import page_size, print_json, print_lines, print_one, print_page, say, short, table
from mainspring.cli.target import Client, Target
from mainspring.cli.times import stamp
from mainspring.control.dead_letters import DeadLetterService, LetterFilter, Matching, Worked
from mainspring.errors import MainspringError
from mainspring.model.execution import DeadLetter, Failure
from mainspring.model.wire import execution_to_wire, record_to_wire

FILTER = Group("Which of them, instead of ids", sort_key=50)
Ids = Annotated[list[str], Parameter(negative="")]


def list_dead_letters(
    *,
    status: Literal["open", "redriven", "discarded", "all"] = "open",
    job: str | None = None,
    handler: str | None = None,
    fingerprint: str | None = None,
    after: str | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """List dead letters, newest first.

    Args:
        status: Only these.
        job: Only those of this job, by name or id.
        handler: Only those of this handler.
        fingerprint: Only those that failed alike.
        after: Start behind this id: the one a page ended with.
        limit: How many.
    """
    target = target or Target()
    size = page_size(limit)

    async def work(client: Client) -> tuple[list[DeadLetter], JobZones]:
        found = await client.scheduler.list_dead_letters(
            status=None if status == "all" else status,
            job=job,
            handler=handler,
            fingerprint=fingerprint,
            before_id=after,
            limit=size + 1,
        )
        platform_id, ids = client.scheduler.platform_id, [letter.job_id for letter in found]
        return found, await client.scheduler.read(lambda tx: read_zones(tx, platform_id, ids))

    found, zones = target.run(work)
    page = found[:size]
    print_page(
        target.output,
        [record_to_wire(letter) for letter in page],
        table(["EXECUTION", "JOB", "STATUS", "FAILURE", "SINCE", "ALIKE", "ERROR"], [_row(e, zones) for e in page]),
        following=page[-1].execution_id if len(found) > size else None,
        empty="No dead letters.",
    )


@Parameter(name="*", group=FILTER)
@dataclass(frozen=True)
class Which:
    """Dead letters by what they have in common, instead of by their ids."""

    job: str | None = None
    """Of this job, by name or id."""

    handler: str | None = None
    """Of this handler."""

    failure: Literal["error", "timeout", "lost", "poisoned", "invalid_payload"] | None = None
    """That failed so."""

    fingerprint: str | None = None
    """That failed alike."""

    since: str | None = None
    """That died at or after this: RFC 3339, or a wall time in the job's zone, else the platform's."""

    until: str | None = None
    """That died before it."""

    all: Annotated[bool, Parameter(negative="")] = False
    """Every one there is."""

    limit: int = 1000
    """At most so many."""

    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Only count them, and show what is alike."""

    @property
    def named(self) -> bool:
        """Whether anything was said, so that no ids are asked for."""
        return replace(self, limit=1000, dry_run=False) != Which() or self.dry_run

    async def filter(self, client: Client) -> LetterFilter:
        """Return the filter, its times read."""
        since = await read_at(client, self.job, self.since, "--since")
        until = await read_at(client, self.job, self.until, "--until")
        failure = None if self.failure is None else Failure(self.failure)
        return LetterFilter(self.job, self.handler, failure, self.fingerprint, since, until)


def redrive(
    execution_ids: Ids | None = None,
    /,
    *,
    which: Which | None = None,
    payload: str | None = None,
    rate: float | None = None,
    target: Target | None = None,
) -> int:
    """Run dead letters again, each as a new execution, and close them: these, or all that a filter matches.

    Args:
        execution_ids: Ids of their executions.
        which: What they have in common.
        payload: A JSON object, or @FILE, instead of their own; with ids only.
        rate: How many a second may start; at once by default. With a filter only.
    """
    target, which = target or Target(), which or Which()
    if execution_ids and not which.named:
        if rate is not None:
            raise UsageError("--rate goes with a filter, not with ids")
        body = job_fields.read_object(payload, "--payload") if payload is not None else None
        return _each(target, execution_ids, partial(_redrive_one, body))
    _by_filter_only(execution_ids, which)
    if payload is not None:
        raise UsageError("--payload goes with ids, not with a filter")

    async def work(client: Client) -> Worked | Matching:
        service = DeadLetterService(client.app.store, platform_id=client.scheduler.platform_id)
        if which.dry_run:
            return await service.matching(await which.filter(client))
        return await service.redrive(await which.filter(client), limit=which.limit, rate=rate, everything=which.all)

    return _told(target, target.run(work), "redriven")


def discard(
    execution_ids: Ids | None = None, /, *, reason: str, which: Which | None = None, target: Target | None = None
) -> int:
    """Close dead letters without running them: these, or all that a filter matches.

    Args:
        execution_ids: Ids of their executions.
        reason: Why; kept with them.
        which: What they have in common.
    """
    target, which = target or Target(), which or Which()
    if execution_ids and not which.named:
        return _each(target, execution_ids, partial(_discard_one, reason))
    _by_filter_only(execution_ids, which)

    async def work(client: Client) -> Worked | Matching:
        service = DeadLetterService(client.app.store, platform_id=client.scheduler.platform_id)
        if which.dry_run:
            return await service.matching(await which.filter(client))
        return await service.discard(await which.filter(client), reason=reason, limit=which.limit, everything=which.all)

    return _told(target, target.run(work), "discarded")


async def _redrive_one(body: dict[str, Any] | None, client: Client, execution_id: str) -> tuple[dict[str, Any], str]:
    execution = await client.scheduler.redrive(execution_id, payload=body)
    return execution_to_wire(execution), f"{execution_id} runs again as {execution.id}"


async def _discard_one(reason: str, client: Client, execution_id: str) -> tuple[dict[str, Any], str]:
    await client.scheduler.discard(execution_id, reason=reason)
    return {"execution_id": execution_id, "status": "discarded", "reason": reason}, f"{execution_id} is discarded"


def _by_filter_only(execution_ids: list[str] | None, which: Which) -> None:
    if execution_ids:
        raise UsageError("name dead letters by their ids or by a filter, not by both")
    if not which.named:
        raise UsageError("which dead letters?", fix="Name ids, or a filter such as --job NAME, or --all")


def _told(target: Target, done: Worked | Matching, word: str) -> int:
    if isinstance(done, Matching):
        more = " at least" if done.more else ""
        rows = [[one.count, one.fingerprint, one.handler, short(one.error, 100)] for one in done.alike]
        text = f"{done.count}{more} would be {word}"
        told = f"{text}\n\n{table(['COUNT', 'ALIKE', 'HANDLER', 'ERROR OF THE OLDEST'], rows)}" if rows else text
        print_one(target.output, done.to_wire(), told)
        return Exit.DONE
    print_one(target.output, done.to_wire(), f"{len(done.done)} {word}")
    if done.skipped:
        say(f"{len(done.skipped)} are left: their executions are past their retention")
    if done.more:
        say("There are more: repeat the command, or raise --limit")
    return Exit.PARTIAL if done.skipped else Exit.DONE


def _each(
    target: Target,
    execution_ids: list[str],
    one: Callable[[Client, str], Awaitable[tuple[dict[str, Any], str]]],
) -> int:
    """Do it for each id; one that fails does not keep the others from it. The only one's error is the command's own."""

    async def work(client: Client) -> tuple[list[dict[str, Any]], list[MainspringError]]:
        done, failed = [], []
        for execution_id in execution_ids:
            try:
                wire, text = await one(client, execution_id)
            except MainspringError as error:
                if len(execution_ids) == 1:
                    raise
                failed.append(error)
                say(f"error: {error}")
                continue
            done.append(wire)
            if target.output == "table":
                print(text)
        return done, failed

    done, failed = target.run(work)
    if target.output == "json":
        data: Any = done[0] if len(execution_ids) == 1 else {"data": done, "errors": [error_to_wire(e) for e in failed]}
        print_json(data)
    elif target.output == "jsonl":
        print_lines(done)
    if not failed:
        return Exit.DONE
    return Exit.PARTIAL if done else code_of(failed[0])


def _row(letter: DeadLetter, zones: JobZones) -> list[Any]:
    error = letter.error or {}
    return [
        letter.execution_id,
        letter.job_name or letter.handler,
        letter.status,
        letter.failure.value,
        stamp(letter.created_at, zones.of(letter.job_id)),
        letter.fingerprint,
        short(f"{error.get('type')}: {error.get('message')}", 100) if error else None,
    ]
