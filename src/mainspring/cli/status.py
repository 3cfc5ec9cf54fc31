"""`status`: how it goes, on one screen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli.output import columns, print_one, table
from mainspring.cli.target import Target
from mainspring.cli.times import away, since, span, stamp
from mainspring.client import asks
from mainspring.control.counted import shown

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

    while True:
        found = target.run(lambda desk: desk.ask(asks.get_overview()))
        if watch and target.output == "table":
            print("\x1b[2J\x1b[H", end="")
        print_one(target.output, found.wire, told(found.wire))
        if not watch:
            return
        time.sleep(2)


def told(found: Mapping[str, Any]) -> str:
    """Return the screen."""
    metrics, zone, width = found["metrics"], found["timezone"], columns()
    now = _instant(found["at"])
    counts = metrics["executions"]
    words = ("running", "queued", "pending", "retrying", "waiting")
    more = metrics.get("at_least", ())
    live = ", ".join(f"{shown(counts.get(word, 0), f'executions.{word}', more)} {word}" for word in words)
    jobs, letters = (shown(metrics[name], name, more) for name in ("jobs", "dead_letters"))
    parts = [
        f"{SIGNS[found['status']]} {found['sentence']}",
        "",
        f"At            {stamp(now, zone)}",
        f"Executions    {live}",
        f"Jobs          {jobs}" + (f", {len(found['paused'])} paused" if found["paused"] else ""),
        f"Dead letters  {letters} open",
        f"Late          decisions {_lag(metrics, 'decision_lag_s')}, queues {_lag(metrics, 'queue_lag_s')}, "
        f"events {_lag(metrics, 'outbox_lag_s')}",
    ]
    if found["queues"]:
        rows = [[q["name"], q["occupied"], q["slots"], q["limit"], _waited(q, now)] for q in found["queues"]]
        parts += ["", table(["QUEUE", "QUEUED OR RUNNING", "SLOTS", "LIMIT", "OLDEST WAITS"], rows, width)]
    parts += _transport(found.get("transport"), now)
    nodes = [_node(node, now) for node in (*found["workers"], *found["dispatchers"])]
    if nodes:
        parts += ["", table(["NODE", "PROCESS", "STATUS", "RUNNING", "SEEN"], nodes, width)]
    if found["failing"]:
        rows = [
            [f["job"], f["consecutive_failures"], stamp(since(f["last_run_at"]), f["timezone"])]
            for f in found["failing"][:10]
        ]
        parts += ["", table(["FAILING", "IN A ROW", "LAST RUN"], rows, width)]
    if found["upcoming"]:
        parts += ["", table(["NEXT", "IN", "AT"], [_next(one, now) for one in found["upcoming"]], width)]
    if found["status"] != "pass":
        parts += ["", "mainspring doctor says what mends it."]
    return "\n".join(parts)


def _transport(figures: Mapping[str, Any] | None, now: datetime) -> list[str]:
    """Return the streams work waits in; nothing where the database itself wakes the workers, or a server was asked."""
    if figures is None:
        return []
    told = ["", *figures["problems"]]
    if figures["reachable"]:
        told.append(f"Transport     {figures['server'] or 'Redis'}")
    if figures["streams"]:
        rows = [
            [s["name"], s["entries"], s["pending"], s["unread"], s["consumers"], _ago(s["oldest_at"], now)]
            for s in figures["streams"]
        ]
        headers = ["STREAM", "ENTRIES", "BEING TRIED", "UNREAD", "READERS", "OLDEST"]
        told += ["", table(headers, rows, columns())]
    return told


def _ago(text: str | None, now: datetime) -> str | None:
    return None if text is None else away(_instant(text), now)


def _node(node: Mapping[str, Any], now: datetime) -> list[Any]:
    process = f"{node['host']}:{node['pid']}"
    return [node["id"], process, node["status"], node.get("running"), away(_instant(node["seen_at"]), now)]


def _waited(queue: Mapping[str, Any], now: datetime) -> str | None:
    oldest = since(queue["oldest_queued_at"])
    return span(now - oldest) if oldest is not None else None


def _next(one: Mapping[str, Any], now: datetime) -> list[Any]:
    at = _instant(one["next_run_at"])
    return [one["job"], away(at, now).removeprefix("in ") if at > now else "now", stamp(at, one["timezone"])]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _lag(metrics: Mapping[str, Any], name: str) -> str:
    seconds = float(metrics[name])
    return span(seconds) if seconds else "none"
