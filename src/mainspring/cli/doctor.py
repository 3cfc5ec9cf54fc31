"""`doctor`: check everything, from the database up; each finding names the command that mends it."""

from __future__ import annotations

import re
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import DatabaseMissingError, Exit
from mainspring.cli.output import clean, print_lines, print_whole
from mainspring.cli.target import Opened, Target
from mainspring.cli.urls import masked, sqlite_path
from mainspring.client import asks
from mainspring.client.problems import ServerUnreachableError
from mainspring.control.doctor import Finding, Grade, examine, worst
from mainspring.control.doctor_activity import ActivityBounds
from mainspring.control.doctor_fleet import examine_fleet
from mainspring.errors import ForbiddenError, MainspringError, SchemaError, UnauthorizedError

SIGNS = {Grade.OK: "✓", Grade.NOTE: "·", Grade.WARNING: "!", Grade.ERROR: "✗"}

#: The first SQLite without the race of two connections on one write-ahead log.
WAL_SOUND = (3, 51, 3)


def doctor(
    *,
    strict: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    transactions_older_than: str = "1m",
    target: Target | None = None,
) -> int:
    """Check everything, from the database up. Exits 10 if something is broken.

    Args:
        strict: Exit 11 for warnings too.
        transactions_older_than: Warn of transactions in PostgreSQL that have been open for so long, and of those in
            which nothing was said for half as long. A server tells of them with a key of every platform.
    """
    target = target or Target()
    bound = elapsed_ms(transactions_older_than, "transactions_older_than")

    try:
        findings = _at_server(target, bound) if target.place().server is not None else _at_database(target, bound)
    except (DatabaseMissingError, SchemaError) as error:
        fix = ("mainspring migrate",)
        findings = [Finding("database", Grade.ERROR, str(error), {}, fix)]
    except (UnauthorizedError, ForbiddenError):
        raise
    except MainspringError as error:
        findings = [Finding("database", Grade.ERROR, str(error), {}, ("check --db and mainspring config",))]
    grade = worst(findings)
    _print(target, findings, grade)
    if grade is Grade.ERROR:
        return Exit.UNHEALTHY
    return Exit.WARNINGS if strict and grade is Grade.WARNING else Exit.DONE


def _at_database(target: Target, bound: int) -> list[Finding]:
    bounds = ActivityBounds.older_than(timedelta(milliseconds=bound))

    async def work(client: Opened) -> list[Finding]:
        began = time.perf_counter()
        await client.scheduler.read(lambda tx: tx.now)
        took = time.perf_counter() - began
        platform_id, schedules = client.scheduler.platform_id, client.app.schedules
        found = await client.scheduler.read(lambda tx: examine(tx, schedules, platform_id))
        fleet = await examine_fleet(client.app.store, client.app.transport, bounds)
        return [*await _database(client, took), *fleet, *found]

    return target.run_on_store(work, what="doctor")


def _at_server(target: Target, bound: int) -> list[Finding]:
    """Ask a server what it sees: of the whole fleet with a key of every platform, else of one platform alone."""
    began = time.perf_counter()
    try:
        found = target.run(lambda desk: desk.ask(asks.get_findings(transactions_older_than_ms=bound)))
    except ServerUnreachableError as error:
        return [Finding("server", Grade.ERROR, str(error), {}, (error.fix,))]
    took = round((time.perf_counter() - began) * 1000, 1)
    url = target.place().server
    server = Finding("server", Grade.OK, f"{url} answers in {took} ms", {"url": url, "answer_ms": took})
    rest = [Finding(one.check, Grade(one.status), one.detail, one.evidence, tuple(one.fix)) for one in found.findings]
    return [server, *rest]


async def _database(client: Opened, took: float) -> list[Finding]:
    url = client.app.settings.database_url
    shown = masked(url)
    milliseconds = round(took * 1000, 1)
    found = [
        Finding(
            "database",
            Grade.OK if took < 1 else Grade.WARNING,
            f"{shown} answers in {milliseconds} ms",
            {"url": shown, "read_ms": milliseconds},
        )
    ]
    revision = await schema_revision(client)
    if revision is not None:
        found.append(Finding("schema", Grade.OK, f"at head, revision {revision}", {"revision": revision}))
    path = sqlite_path(url)
    if path is not None:
        found += [_engine(path), _sqlite()]
    return found


async def schema_revision(client: Opened) -> str | None:
    """Return the revision of the schema; None for a store that has none."""
    ask = getattr(client.app.store, "schema_version", None)
    return None if ask is None else await ask()


def _engine(path: Path) -> Finding:
    """Tell who has the file's engine lock, by what the holder wrote beside it. The lock itself is not touched."""
    try:
        holder = path.with_name(path.name + ".engine").read_text("utf-8").strip()
    except OSError:
        holder = ""
    evidence = {"holder": holder or None}
    if not holder:
        fix = ("mainspring dev module:app",)
        return Finding("engine", Grade.NOTE, "no process is the engine of this file", evidence, fix)
    if _gone(holder):
        fix = ("mainspring dev module:app",)
        return Finding("engine", Grade.WARNING, f"the last engine ended without a word: {holder}", evidence, fix)
    return Finding("engine", Grade.OK, f"the file's engine is {holder}", evidence)


def _gone(holder: str) -> bool:
    """Whether the process named is one of this machine that no longer runs."""
    import psutil

    match = re.match(r"process (\d+) on (\S+?),", holder)
    return match is not None and match[2] == socket.gethostname() and not psutil.pid_exists(int(match[1]))


def _sqlite() -> Finding:
    import sqlite3

    version = sqlite3.sqlite_version
    evidence = {"version": version}
    if sqlite3.sqlite_version_info >= WAL_SOUND:
        return Finding("sqlite", Grade.OK, f"SQLite {version}", evidence)
    sound = ".".join(map(str, WAL_SOUND))
    detail = (
        f"SQLite {version}: before {sound} a rare race of two connections can damage a write-ahead log. "
        "Mainspring keeps to one writer, and its clients never checkpoint; other programs should not write to the file"
    )
    return Finding("sqlite", Grade.NOTE, detail, evidence, (f"a Python with SQLite {sound} or newer has the fix",))


def _print(target: Target, findings: list[Finding], grade: Grade) -> None:
    if target.whole:
        print_whole(target.output, {"status": grade.value, "findings": [finding.to_wire() for finding in findings]})
    elif target.output == "jsonl":
        print_lines(finding.to_wire() for finding in findings)
    else:
        print(told(findings))


def told(findings: list[Finding]) -> str:
    """Return the findings for people, with a summary at the end."""
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{SIGNS[finding.grade]} {finding.check:<{width}}  {clean(finding.detail)}")
        if finding.grade is not Grade.OK:
            lines += [f"  {'':<{width}}    {clean(command)}" for command in finding.fix]
    counts = {grade: sum(finding.grade is grade for finding in findings) for grade in Grade}
    bad = [f"{counts[g]} {g.value}{'' if counts[g] == 1 else 's'}" for g in (Grade.ERROR, Grade.WARNING) if counts[g]]
    return "\n".join([*lines, "", ", ".join(bad) if bad else "All is well."])
