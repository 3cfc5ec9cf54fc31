"""Every workload for every peer, round after round: all of them, then all again, so that a slow minute hits all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.catalogue import Peer
from benchmarks.environment import interpreter
from benchmarks.errors import BenchmarkError, PeerFailedError, PeerUnavailableError
from benchmarks.figures import Figures
from benchmarks.run import Run
from benchmarks.workloads import embedded, footprint, history, kill, latency, lateness, next_runs, schedules, throughput


@dataclass(frozen=True)
class Workload:
    """One thing measured, and who can be measured on it."""

    name: str
    title: str
    measure: Callable[[Peer, Run], dict[str, float]]
    takes: Callable[[Peer], bool]


WORKLOADS = (
    Workload("w1", "throughput", throughput.measure, lambda peer: peer.finishes),
    Workload("w2", "idle latency", latency.measure, lambda peer: peer.serves),
    Workload("w3", "lateness of a schedule", lateness.measure, lambda peer: peer.schedules),
    Workload("w4", "many schedules", schedules.measure, lambda peer: peer.schedules),
    Workload("w5", "memory", footprint.measure, lambda peer: peer.serves and peer.finishes and not peer.fills_itself),
    Workload("history", "with ended executions", history.measure, lambda peer: peer.is_ours),
    Workload("kill", "a worker killed", kill.measure, lambda peer: peer.is_ours and not peer.embedded),
    Workload("embedded", "one process on SQLite", embedded.measure, lambda peer: peer.name == "ours-sqlite"),
    Workload("next", "next runs of cron expressions", next_runs.measure, lambda peer: peer.name == "ours-sqlite"),
)


def chosen_workloads(names: Sequence[str]) -> list[Workload]:
    """Return the workloads of these names; all of them for no names."""
    known = [workload.name for workload in WORKLOADS]
    for name in names:
        if name not in known:
            raise BenchmarkError(f"no workload is named {name!r}: there are {', '.join(known)}")
    return [workload for workload in WORKLOADS if not names or workload.name in names]


def measure(
    workloads: Sequence[Workload], peers: Sequence[Peer], run: Run, *, rounds: int, say: Callable[[str], None]
) -> Figures:
    """Measure; a peer that cannot be installed, or fails, is left out with the reason."""
    figures = Figures()
    able = [peer for peer in peers if _is_there(peer, figures, say)]
    for number in range(1, rounds + 1):
        for workload in workloads:
            for peer in filter(workload.takes, able):
                if (what := f"{workload.name} {peer.name}") not in figures.left_out:
                    say(f"round {number} of {rounds}: {workload.title}, {peer.name}")
                    _measure(what, workload, peer, run, figures, say)
    return figures


def _measure(what: str, workload: Workload, peer: Peer, run: Run, figures: Figures, say: Callable[[str], None]) -> None:
    try:
        found = workload.measure(peer, run)
    except PeerFailedError as error:
        figures.left_out[what] = f"{error}".splitlines()[0]
        say(f"  left out: {error}")
        return
    figures.add(workload.name, peer.name, found)
    say("  " + ", ".join(f"{name} {figures.told(workload.name, peer.name, name)}" for name in found))


def _is_there(peer: Peer, figures: Figures, say: Callable[[str], None]) -> bool:
    try:
        interpreter(peer)
    except PeerUnavailableError as error:
        figures.left_out[peer.name] = str(error)
        say(f"{peer.name} is left out: {error}")
        return False
    return True
