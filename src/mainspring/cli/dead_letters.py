"""`dead-letters` (also `dead`): list, groups, redrive, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from mainspring.cli import job_fields
from mainspring.cli.desk import Desk
from mainspring.cli.exits import Exit, UsageError, code_of, error_to_wire
from mainspring.cli.filters import compared, equals, narrowed
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.moments import read_at
from mainspring.cli.output import columns, print_lines, print_one, print_whole, say, short, table
from mainspring.cli.pages import Listed, print_listing
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.cli.waiting import wait_for_operation
from mainspring.client import asks
from mainspring.client.shape import Page
from mainspring.client.shapes import DeadLetter, Operation
from mainspring.errors import MainspringError

#: Most letters one command acts on.
MOST = 1000
FILTER = Group("Which of them, instead of ids", sort_key=50)
Ids = Annotated[list[str], Parameter(negative="")]


def list_dead_letters(
    *,
    status: Literal["open", "redriven", "discarded", "all"] = "open",
    job: str | None = None,
    handler: str | None = None,
    fingerprint: str | None = None,
    listed: Listed | None = None,
    target: Target | None = None,
) -> None:
    """List dead letters, newest first.

    Args:
        status: Only these.
        job: Only those of this job, by name or id.
        handler: Only those of this handler.
        fingerprint: Only those that failed alike.
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()

    async def work(desk: Desk) -> tuple[Page[DeadLetter], JobZones]:
        conditions = (
            None if status == "all" else equals("status", status),
            await _of_job(desk, job),
            equals("handler", handler),
            equals("fingerprint", fingerprint),
        )
        page = await desk.ask(asks.list_dead_letters(**listed.query(*conditions)))
        ids = [letter.wire.get("job_id") for letter in page]
        return page, await read_zones(desk, ids) if target.for_people else JobZones()

    page, zones = target.run(work)
    headers = ("EXECUTION", "JOB", "STATUS", "FAILURE", "SINCE", "ALIKE", "ERROR")
    print_listing(target, listed, page, headers, lambda one: _row(one, zones), empty="No dead letters.")


def group_dead_letters(*, target: Target | None = None) -> None:
    """Show what is open by what went wrong, the largest group first."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.group_dead_letters()))
    rows = [
        [one.count, one.fingerprint, one.handler, stamp(one.oldest_at), short(_error_told(one.error), 100)]
        for one in found.data
    ]
    told = table(["COUNT", "ALIKE", "HANDLER", "SINCE", "ERROR"], rows, columns()) if rows else "No dead letters."
    print_one(target.output, found.wire, told if found.complete else f"{told}\nThere are more than were looked at.")


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

    async def letters(self, desk: Desk) -> tuple[list[DeadLetter], bool]:
        """Return the open letters that match, the oldest first and at most ``limit``, and whether there are more."""
        if not 1 <= self.limit <= MOST:
            raise UsageError(f"--limit must be from 1 to {MOST}, got {self.limit}")
        since = await read_at(desk, self.job, self.since, "--since")
        until = await read_at(desk, self.job, self.until, "--until")
        where = narrowed(
            "status = open",
            await _of_job(desk, self.job),
            equals("handler", self.handler),
            equals("failure", self.failure),
            equals("fingerprint", self.fingerprint),
            compared("created_at", ">=", since),
            compared("created_at", "<", until),
        )
        found: list[DeadLetter] = []
        token: str | None = None
        while len(found) <= self.limit:
            page = await desk.ask(
                asks.list_dead_letters(filter=where, sort="execution_id", page_size=500, page_token=token)
            )
            found += page.data
            token = page.next_page_token
            if token is None:
                break
        return found[: self.limit], len(found) > self.limit


def redrive(
    execution_ids: Ids | None = None,
    /,
    *,
    which: Which | None = None,
    payload: str | None = None,
    rate: int | None = None,
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

    return _by_filter(target, which, "redrive", "redriven", {"per_second": rate})


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

    return _by_filter(target, which, "discard", "discarded", {"params": {"reason": reason}})


async def _redrive_one(body: dict[str, Any] | None, desk: Desk, execution_id: str) -> tuple[Mapping[str, Any], str]:
    again: Any = job_fields.given_only({"payload": body})
    execution = await desk.ask(asks.redrive_dead_letter(execution_id, **again))
    return execution.wire, f"{execution_id} runs again as {execution.id}"


async def _discard_one(reason: str, desk: Desk, execution_id: str) -> tuple[Mapping[str, Any], str]:
    await desk.ask(asks.discard_dead_letter(execution_id, reason=reason))
    return {"execution_id": execution_id, "status": "discarded", "reason": reason}, f"{execution_id} is discarded"


async def _of_job(desk: Desk, job: str | None) -> str | None:
    return None if job is None else equals("job_id", (await desk.ask(asks.get_job(job))).id)


def _by_filter_only(execution_ids: list[str] | None, which: Which) -> None:
    if execution_ids:
        raise UsageError("name dead letters by their ids or by a filter, not by both")
    if not which.named:
        raise UsageError("which dead letters?", fix="Name ids, or a filter such as --job NAME, or --all")


def _by_filter(target: Target, which: Which, action: str, word: str, options: Mapping[str, Any]) -> int:
    """Do it to all that match, as one operation, and wait until it is over; for a dry run only say which those are."""

    async def work(desk: Desk) -> tuple[list[DeadLetter], bool, Operation | None]:
        found, more = await which.letters(desk)
        if which.dry_run or not found:
            return found, more, None
        ids = [letter.execution_id for letter in found]
        begun = await desk.ask(asks.bulk_dead_letters(action=action, ids=ids, **_given(options)))
        return found, more, await wait_for_operation(desk, begun.id)

    found, more, operation = target.run(work)
    if which.dry_run:
        alike = _alike(found)
        rows = [[one["count"], one["fingerprint"], one["handler"], short(one["error"], 100)] for one in alike]
        text = f"{len(found)}{' at least' if more else ''} would be {word}"
        told = f"{text}\n\n{table(['COUNT', 'ALIKE', 'HANDLER', 'ERROR OF THE OLDEST'], rows, columns())}"
        print_one(target.output, {"count": len(found), "more": more, "alike": alike}, told if rows else text)
        return Exit.DONE
    done, failed = (operation.done, operation.failed) if operation is not None else (0, 0)
    wire = {"count": done, "failed": failed, "more": more, "operation": operation.wire if operation else None}
    print_one(target.output, wire, f"{done} {word}" + (f", {failed} failed" if failed else ""))
    for error in operation.errors[:5] if operation is not None else ():
        say(f"error: {error['id']}: {error['message']}")
    if more:
        say("There are more: repeat the command, or raise --limit")
    return Exit.PARTIAL if failed else Exit.DONE


def _given(options: Mapping[str, Any]) -> Any:
    return job_fields.given_only(options)


def _alike(letters: Sequence[DeadLetter]) -> list[dict[str, Any]]:
    """Group letters by how they failed, the largest group first; the oldest speaks for its group."""
    groups: dict[str, dict[str, Any]] = {}
    for letter in letters:
        error = _error_told(letter.error) or ""
        fresh = {"fingerprint": letter.fingerprint, "count": 0, "handler": letter.handler, "error": error}
        groups.setdefault(letter.fingerprint, fresh)["count"] += 1
    return sorted(groups.values(), key=lambda one: -int(one["count"]))


def _error_told(error: Mapping[str, Any] | None) -> str | None:
    return f"{error.get('type')}: {error.get('message')}" if error else None


def _each(
    target: Target,
    execution_ids: list[str],
    one: Callable[[Desk, str], Awaitable[tuple[Mapping[str, Any], str]]],
) -> int:
    """Do it for each id; one that fails does not keep the others from it. The only one's error is the command's own."""

    async def work(desk: Desk) -> tuple[list[Mapping[str, Any]], list[MainspringError]]:
        done: list[Mapping[str, Any]] = []
        failed: list[MainspringError] = []
        for execution_id in execution_ids:
            try:
                wire, text = await one(desk, execution_id)
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
    if target.whole:
        data: Any = done[0] if len(execution_ids) == 1 else {"data": done, "errors": [error_to_wire(e) for e in failed]}
        print_whole(target.output, data)
    elif target.output == "jsonl":
        print_lines(done)
    if not failed:
        return Exit.DONE
    return Exit.PARTIAL if done else code_of(failed[0])


def _row(letter: DeadLetter, zones: JobZones) -> list[Any]:
    return [
        letter.execution_id,
        letter.job_name or letter.handler,
        letter.status,
        letter.failure,
        stamp(letter.created_at, zones.of(letter.job_id)),
        letter.fingerprint,
        short(_error_told(letter.error), 100),
    ]
