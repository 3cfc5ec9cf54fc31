"""What a run found, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import OF, Figures, number
from benchmarks.ratios import Ratio

#: Figures in one table.
COLUMNS = 5
#: Where nobody says how wide it is, such as in a pipe.
WIDTH = 140


def console() -> Console:
    """Return where tables go: as wide as the terminal, or wide enough for a file."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def show(figures: Figures, found: Sequence[Ratio], console: Console) -> None:
    """Print the figures of each workload, the ratios, and who was left out."""
    for workload in figures.rounds:
        for table in _workload(figures, workload):
            console.print(table)
    if found:
        console.print(_ratios(found))
    if figures.disturbed:
        console.print(f"Others used the machine while these ran, so measure them again: {', '.join(figures.disturbed)}")
    for peer, reason in figures.left_out.items():
        console.print(f"left out: {peer}: {reason}", markup=False, highlight=False)


def _workload(figures: Figures, workload: str) -> list[Table]:
    """Tables of a workload: a few figures each, so that a row stays a line."""
    peers = figures.rounds[workload]
    names = list(dict.fromkeys(name for found in peers.values() for name in found))
    if any(OF in name for name in names):
        return [_subjects(figures, workload, peer) for peer in peers]
    return [_part(figures, workload, names[begin : begin + COLUMNS]) for begin in range(0, len(names), COLUMNS)]


def _subjects(figures: Figures, workload: str, peer: str) -> Table:
    measured, rows = figures.by_subject(workload, peer)
    table = Table("of", title=f"{workload}, {peer}: median [least-greatest]", title_justify="left")
    for name in measured:
        table.add_column(name, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _part(figures: Figures, workload: str, names: Sequence[str]) -> Table:
    table = Table("peer", title=f"{workload}: median [least-greatest]", title_justify="left")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for peer, found in figures.rounds[workload].items():
        if any(name in found for name in names):
            table.add_row(peer, *(figures.told(workload, peer, name) for name in names))
    return table


def _ratios(found: Sequence[Ratio]) -> Table:
    table = Table(title="what we set ourselves: ratios of this run", title_justify="left")
    table.add_column("what")
    for name in ("ours", "other side", "value", "target", "moonshot"):
        table.add_column(name, justify="right")
    for ratio in found:
        aim = ratio.aim
        colour = "yellow" if ratio.disturbed else "green" if ratio.reaches(aim.target) else "red"
        other = f"{number(ratio.other)} {ratio.against}" if ratio.other else ""
        bound = "≤ " if aim.lower_is_better else "≥ "
        table.add_row(
            aim.what,
            number(ratio.ours),
            other,
            f"[{colour}]{number(ratio.value)} {aim.unit}[/]",
            f"{bound}{aim.target:g}",
            f"{bound}{aim.moonshot:g}",
        )
    return table
