"""Writes a run's tables into the page about performance, between its two marks, and the picture beside it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.catalogue import BY_NAME
from benchmarks.errors import BenchmarkError
from benchmarks.figures import QUIET, Figures, number
from benchmarks.plot import throughput
from benchmarks.ratios import Ratio

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "operate" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "throughput.svg"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

#: What the page shows of each workload, and how its columns are called there.
SHOWN = {
    "w1": {
        "enqueue_per_s": "enqueue/s",
        "drain_per_s": "drain/s, 1 worker",
        "drain_per_s_2": "drain/s, 2 workers",
        "worker_cpu_us": "worker CPU µs/job",
        "server_cpu_us": "server CPU µs/job",
        "enqueue_one_per_s": "one at a time/s",
        "enqueue_32_per_s": "by 32 callers/s",
    },
    "w2": {"p50_ms": "p50 ms", "p95_ms": "p95 ms", "p99_ms": "p99 ms"},
    "w3": {"fired_share": "fired", "p50_ms": "p50 ms", "p99_ms": "p99 ms", "max_ms": "max ms"},
    "w5": {
        "idle_mib": "idle MiB",
        "growth_percent": "growth %",
        "jobs": "after jobs",
        "dispatcher_mib": "dispatcher MiB",
    },
    "history": {
        "executions": "ended executions",
        "empty_drain_per_s": "drain/s, empty",
        "drain_per_s": "drain/s, with them",
    },
    "kill": {"lost": "lost", "recovered_s": "all recorded after s", "run_again": "run again"},
    "next": {
        "compiled_per_s": "compiled/s",
        "compiled_over_croniter": "over croniter",
        "compiled_over_cronsim": "over cronsim",
        "anew_per_s": "parsed anew/s",
        "anew_over_croniter": "over croniter",
        "anew_over_cronsim": "over cronsim",
    },
    "embedded": {
        "executions_per_s": "executions/s",
        "cpu_us": "CPU µs each",
        "late_p50_ms": "late p50 ms",
        "late_p99_ms": "late p99 ms",
    },
}
TITLES = {
    "w1": "Throughput (W1)",
    "w2": "Enqueue to handler start, idle worker (W2)",
    "w3": "Lateness of a schedule of one second (W3)",
    "w4": "Many schedules (W4)",
    "w5": "Memory (W5)",
    "history": "With a long history",
    "kill": "One of two workers killed",
    "embedded": "Enqueue and work at once, one process on SQLite",
    "next": "Next runs of cron expressions, one core",
}


def write(figures: Figures, found: Sequence[Ratio]) -> None:
    """Put this run's figures in place of the ones before."""
    text = PAGE.read_text()
    if BEGIN not in text or END not in text:
        raise BenchmarkError(f"{PAGE.relative_to(ROOT)} has lost the marks {BEGIN} and {END}")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{measured(figures, found)}\n{END}{after}")
    if "w1" in figures.rounds:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(throughput(figures))


def measured(figures: Figures, found: Sequence[Ratio]) -> str:
    """Return the tables of a run: what machine, the ratios, then each workload."""
    parts = [_machine(), _ratios(found)]
    parts += [f"### {TITLES[name]}\n\n{_workload(figures, name)}" for name in TITLES if name in figures.rounds]
    if figures.disturbed:
        parts.append(f"Others used more than {QUIET:g} cores meanwhile: {', '.join(figures.disturbed)}.")
    if figures.left_out:
        parts.append("Left out: " + "; ".join(f"{what} ({why})" for what, why in figures.left_out.items()) + ".")
    return "\n\n".join(parts) + "\n"


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count()
    system, python = f"{platform.system()} {platform.machine()}", platform.python_version()
    return (
        f"{cores} cores, {memory:.0f} GiB, {system}, Python {python}. "
        "Clients, workers and servers share these cores. Median, with the range of the rounds in brackets; "
        "what has none was measured once."
    )


def _ratios(found: Sequence[Ratio]) -> str:
    rows = []
    for ratio in found:
        aim, sign = ratio.aim, "≤" if ratio.aim.lower_is_better else "≥"
        reached = "moonshot" if ratio.reaches(aim.moonshot) else "yes" if ratio.reaches(aim.target) else "no"
        reached = "to be measured again" if ratio.disturbed else reached
        other = f"{number(ratio.other)} ({ratio.against})" if ratio.other else ""
        value = f"{number(ratio.value)} {aim.unit}"
        rows.append(
            [aim.what, number(ratio.ours), other, value, f"{sign} {aim.target:g}", f"{sign} {aim.moonshot:g}", reached]
        )
    return _table(["what", "ours", "other side", "value", "target", "moonshot", "reached"], rows)


def _workload(figures: Figures, workload: str) -> str:
    peers = figures.rounds[workload]
    shown = SHOWN.get(workload)
    if shown is None:  # many names and few peers: one row for each name
        names = list(dict.fromkeys(name for found in peers.values() for name in found))
        rows = [[f"`{name}`", *(figures.told(workload, peer, name) for peer in peers)] for name in names]
        return _table(["", *peers], rows)
    if workload == "next":
        measured, rows = figures.by_subject(workload, next(iter(peers)))
        return _table(["expression", *(shown[name] for name in measured)], [[f"`{row[0]}`", *row[1:]] for row in rows])
    names = [name for name in shown if any(name in found for found in peers.values())]
    rows = [[peer, *(figures.told(workload, peer, name) for name in names)] for peer in peers]
    columns = ["", *(shown[name] for name in names)]
    if workload == "w1":
        columns, rows = [*columns, "kept of a job that succeeded"], [[*row, BY_NAME[row[0]].keeps] for row in rows]
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines)
