"""`logs`: the lines of one execution, or of a job's executions one after the other."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.desk import Desk
from mainspring.cli.exits import Exit
from mainspring.cli.filters import equals
from mainspring.cli.job_zones import read_zones
from mainspring.cli.output import clean, print_lines, print_whole, say
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.cli.waiting import ended
from mainspring.client import asks
from mainspring.client.shapes import Execution, LogLine
from mainspring.errors import NotFoundError

#: Seconds between two looks, and lines taken in one.
POLL, BATCH = 0.5, 1000


def logs(
    name: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="", show_default=False)] = False,
    after: int = 0,
    target: Target | None = None,
) -> int:
    """Show or follow the log of an execution, or of a job's newest execution.

    With --follow an execution is followed to its end, a job through all its executions until Ctrl-C.

    Args:
        name: An execution's id, or a job's name or id.
        follow: Go on as lines come.
        after: Start behind this line.
    """
    return show_logs(target or Target(), name, follow=follow, after=after)


def show_logs(target: Target, name: str, *, follow: bool, after: int) -> int:
    """Print log lines; with ``follow`` go on."""
    return target.run(lambda desk: _Reader(desk, target, name, after).read(follow))


class _Reader:
    def __init__(self, desk: Desk, target: Target, name: str, after: int) -> None:
        self._desk, self._target, self._name, self._after = desk, target, name, after
        self._zone = "UTC"
        self._kept: list[LogLine] = []

    async def read(self, follow: bool) -> int:
        execution, of_job = await self._find()
        while True:
            if execution is not None:
                execution = await self._drain(execution)
            if not follow or (execution is not None and ended(execution) and not of_job):
                break
            if of_job and (execution is None or ended(execution)):
                following = await self._newer(execution)
                if following is not None:
                    execution, self._after = following, 0
                    say(f"-- execution {execution.id}")
                    continue
            await asyncio.sleep(POLL)
        if self._target.whole:
            print_whole(self._target.output, {"data": [line.wire for line in self._kept], "next_page_token": None})
        return Exit.DONE

    async def _find(self) -> tuple[Execution | None, bool]:
        """Return the execution meant, and whether a job was named rather than it."""
        try:
            found: Execution | None = await self._desk.ask(asks.get_execution(self._name))
            job_id, of_job = found.job_id if found else None, False
        except NotFoundError:
            job = await self._desk.ask(asks.get_job(self._name))
            found, job_id, of_job = next(iter(await self._newest(job.id, 1)), None), job.id, True
            say(f"{job.name} has no execution yet" if found is None else f"-- execution {found.id}")
        if self._target.for_people:
            self._zone = (await read_zones(self._desk, [job_id])).of(job_id)
        return found, of_job

    async def _drain(self, execution: Execution) -> Execution:
        """Print what is new; return the execution as it was before that look, so that no last line is lost."""
        known = await self._desk.ask(asks.get_execution(execution.id))
        while lines := (await self._desk.ask(asks.get_logs(execution.id, after=self._after, limit=BATCH))).lines:
            self._after = lines[-1].line
            self._print(lines)
            if len(lines) < BATCH:
                break
        return known

    async def _newest(self, job_id: str, count: int) -> list[Execution]:
        # Naming the id keeps the list from being narrowed to the last days: a job's newest may be older.
        query = f'{equals("job_id", job_id)} AND id != ""'
        return (await self._desk.ask(asks.list_executions(filter=query, page_size=count))).data

    async def _newer(self, last: Execution | None) -> Execution | None:
        """Return the next execution of the job after the one read last."""
        job_id = last.job_id if last is not None else (await self._desk.ask(asks.get_job(self._name))).id
        newer = [e for e in await self._newest(str(job_id), 50) if last is None or e.id > last.id]
        return newer[-1] if newer else None

    def _print(self, lines: list[LogLine]) -> None:
        if self._target.output == "jsonl":
            print_lines(line.wire for line in lines)
        elif self._target.whole:
            self._kept += lines
        else:
            for line in lines:
                print(told(line, self._zone), flush=True)


def told(line: LogLine, zone: str) -> str:
    """Return a log line as people read it, its fields behind it; a traceback among them follows below."""
    fields = dict(line.fields)
    traceback = fields.pop("traceback", None)
    extra = "".join(f" {key}={clean(value)}" for key, value in fields.items())
    text = f"{stamp(line.at, zone)}  {line.level:<7}  {clean(line.message)}{extra}"
    if traceback:
        from mainspring.cli.executions import printable

        text += "\n" + "\n".join(f"    {row}" for row in printable(str(traceback)).splitlines())
    return text
