"""`status`: how it goes, on one screen."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.output import print_one, table
from mainspring.cli.target import Client, Target
from mainspring.cli.times import away, span, stamp
from mainspring.control.counted import shown
from mainspring.control.status import Status, collect_status
from mainspring.control.transport import collect_transport

SIGNS = {"pass": "✓", "warn": "!", "fail": "✗"}


def status(
    *,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="", show_default=False)] = False,
    target: Target | None = None,
) -> None:
    """Show how it goes: health, queues, workers, what fails, what comes next.

    Args:
        watch: Show it again every two seconds, until Ctrl-C.
    """
    target = target or Target()

    async def work(client: Client) -> Status:
        platform_id = client.scheduler.platform_id
        found = await client.scheduler.read(lambda tx: collect_status(tx, platform_id))
        return replace(found, transport=await collect_transport(client.app.store, client.app.transport))

    while True:
        found = target.run(work)
        if watch and target.output == "table":
            print("\x1b[2J\x1b[H", end="")
        print_one(target.output, found.to_wire(), told(found))
        if not watch:
            return
        time.sleep(2)


def told(found: Status) -> str:
    """Return the screen."""
    counts = found.metrics["executions"]
    words = ("running", "queued", "pending", "retrying", "waiting")
    more = found.metrics["at_least"]
    live = ", ".join(f"{shown(counts.get(word, 0), f'executions.{word}', more)} {word}" for word in words)
    jobs, letters = (shown(found.metrics[name], name, more) for name in ("jobs", "dead_letters"))
    parts = [
        f"{SIGNS[found.health.status]} {found.sentence}",
        "",
        f"At            {stamp(found.now, found.timezone)}",
        f"Executions    {live}",
        f"Jobs          {jobs}" + (f", {len(found.paused)} paused" if found.paused else ""),
        f"Dead letters  {letters} open",
        f"Late          decisions {_lag(found, 'decision_lag_s')}, queues {_lag(found, 'queue_lag_s')}, "
        f"events {_lag(found, 'outbox_lag_s')}",
    ]
    if found.queues:
        rows = [
            [q.name, q.occupied, q.slots, q.limit, span(found.now - q.oldest_queued_at) if q.oldest_queued_at else None]
            for q in found.queues
        ]
        parts += ["", table(["QUEUE", "QUEUED OR RUNNING", "SLOTS", "LIMIT", "OLDEST WAITS"], rows)]
    parts += _transport(found)
    nodes = [[w.id, f"{w.host}:{w.pid}", w.status, w.running, away(w.seen_at, found.now)] for w in found.workers]
    nodes += [[d.id, f"{d.host}:{d.pid}", d.status, None, away(d.seen_at, found.now)] for d in found.dispatchers]
    if nodes:
        parts += ["", table(["NODE", "PROCESS", "STATUS", "RUNNING", "SEEN"], nodes)]
    if found.failing:
        rows = [[f.name, f.consecutive_failures, stamp(f.last_run_at, f.timezone)] for f in found.failing[:10]]
        parts += ["", table(["FAILING", "IN A ROW", "LAST RUN"], rows)]
    if found.upcoming:
        rows = [
            [u.name, away(u.at, found.now).removeprefix("in ") if u.at > found.now else "now", stamp(u.at, u.timezone)]
            for u in found.upcoming
        ]
        parts += ["", table(["NEXT", "IN", "AT"], rows)]
    if found.health.status != "pass":
        parts += ["", "mainspring doctor says what mends it."]
    return "\n".join(parts)


def _transport(found: Status) -> list[str]:
    """Return the streams work waits in; nothing where the database itself wakes the workers."""
    figures = found.transport
    if figures is None or figures.kind == "database":
        return []
    told = ["", *figures.problems]
    if figures.reachable:
        told.append(f"Transport     {figures.server or 'Redis'}")
    if figures.streams:
        rows = [
            [s.name, s.entries, s.pending, s.unread, s.consumers, away(s.oldest_at, found.now) if s.oldest_at else None]
            for s in figures.streams
        ]
        told += ["", table(["STREAM", "ENTRIES", "BEING TRIED", "UNREAD", "READERS", "OLDEST"], rows)]
    return told


def _lag(found: Status, name: str) -> str:
    seconds = float(found.metrics[name])
    return span(seconds) if seconds else "none"
