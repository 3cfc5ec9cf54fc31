"""`logs`: the lines of one execution, or of a job's executions one after the other."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.exits import Exit
from mainspring.cli.job_zones import read_zones
from mainspring.cli.output import clean, print_json, print_lines, say
from mainspring.cli.target import Client, Target
from mainspring.cli.times import stamp
from mainspring.errors import NotFoundError
from mainspring.model.execution import Execution, LogLine
from mainspring.model.wire import record_to_wire
from mainspring.ports.store import ExecutionQuery

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
    return target.run(lambda client: _Reader(client, target, name, after).read(follow))


class _Reader:
    def __init__(self, client: Client, target: Target, name: str, after: int) -> None:
        self._service, self._target, self._name, self._after = client.scheduler, target, name, after
        self._zone = "UTC"
        self._kept: list[LogLine] = []

    async def read(self, follow: bool) -> int:
        execution, of_job = await self._find()
        while True:
            if execution is not None:
                execution = await self._drain(execution)
            if not follow or (execution is not None and execution.status.terminal and not of_job):
                break
            if of_job and (execution is None or execution.status.terminal):
                following = await self._newer(execution)
                if following is not None:
                    execution, self._after = following, 0
                    say(f"-- execution {execution.id}")
                    continue
            await asyncio.sleep(POLL)
        if self._target.output == "json":
            print_json({"data": [record_to_wire(line) for line in self._kept], "next_page_token": None})
        return Exit.DONE

    async def _find(self) -> tuple[Execution | None, bool]:
        """Return the execution meant, and whether a job was named rather than it."""
        platform_id = self._service.platform_id
        try:
            found: Execution | None = (await self._service.get_execution(self._name)).execution
            job_id, of_job = found.job_id if found else None, False
        except NotFoundError:
            job = (await self._service.get_job(self._name)).job
            newest = await self._service.list_executions(ExecutionQuery(limit=1), job=job.id)
            found, job_id, of_job = next(iter(newest), None), job.id, True
            say(f"{job.name} has no execution yet" if found is None else f"-- execution {found.id}")
        zones = await self._service.read(lambda tx: read_zones(tx, platform_id, [job_id]))
        self._zone = zones.of(job_id)
        return found, of_job

    async def _drain(self, execution: Execution) -> Execution:
        """Print what is new; return the execution as it was before that look, so that no last line is lost."""
        known = (await self._service.get_execution(execution.id)).execution
        while lines := await self._service.logs(execution.id, after=self._after, limit=BATCH):
            self._after = lines[-1].line
            self._print(lines)
            if len(lines) < BATCH:
                break
        return known

    async def _newer(self, last: Execution | None) -> Execution | None:
        """Return the next execution of the job after the one read last."""
        found = await self._service.list_executions(ExecutionQuery(limit=50), job=self._name)
        newer = [e for e in found if last is None or e.id > last.id]
        return newer[-1] if newer else None

    def _print(self, lines: list[LogLine]) -> None:
        if self._target.output == "jsonl":
            print_lines(record_to_wire(line) for line in lines)
        elif self._target.output == "json":
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
