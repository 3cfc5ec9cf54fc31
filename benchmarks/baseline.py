"""The guard: what an execution costs us over what the bare statements cost, against what it did before.

Both sides are measured in the same run on the same machine, so that the ratio travels. It is no part of the tests: it
takes minutes and wants a machine to itself. `baseline.json` says how far a ratio may fall behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figures

FILE = Path(__file__).parent / "baseline.json"
#: What is measured for it.
WORKLOADS = ("w1",)
PEERS = ("ours-sqlite", "ours-postgres", "ours-postgres-redis", "ceiling", "ceiling-sqlite")
#: Our peers and the ceiling above each.
SIDES = (("ours-sqlite", "ceiling-sqlite"), ("ours-postgres", "ceiling"), ("ours-postgres-redis", "ceiling"))
#: Figures, and whether more of it is worse.
FIGURES = (("drain_per_s", False), ("enqueue_per_s", False), ("cpu_us", True))


@dataclass(frozen=True)
class Held:
    """One ratio to the ceiling, now and in the baseline."""

    name: str
    now: float
    before: float | None
    tolerance: float
    more_is_worse: bool

    @property
    def holds(self) -> bool:
        """Whether it has not fallen behind by more than the tolerance; what is not in the baseline holds."""
        if self.before is None:
            return True
        if self.more_is_worse:
            return self.now <= self.before * (1 + self.tolerance)
        return self.now >= self.before * (1 - self.tolerance)

    def __str__(self) -> str:
        before = "new" if self.before is None else f"{self.before:.3f} in the baseline"
        verdict = "holds" if self.holds else f"has fallen behind by more than {self.tolerance:.0%}"
        return f"{self.name}: {self.now:.3f}, {before}: {verdict}"


def compare(figures: Figures, path: Path = FILE) -> list[Held]:
    """Return each ratio of the run beside the baseline's; raise `BenchmarkError` where there is nothing to compare."""
    kept = _read(path)
    if not kept["ratios"]:
        raise BenchmarkError(f"{path.name} holds no ratios yet: make one with --write-baseline on a machine to itself")
    found = [
        Held(name, value, kept["ratios"].get(name), kept["tolerance"], more_is_worse)
        for name, value, more_is_worse in _ratios(figures)
    ]
    if not found:
        raise BenchmarkError("nothing to compare: neither ours nor the ceiling beside it could be measured")
    return found


def write(figures: Figures, path: Path = FILE) -> None:
    """Make what this run found the baseline; ratios it did not measure, and the tolerance, stay."""
    kept = _read(path)
    kept["ratios"] |= {name: round(value, 3) for name, value, _ in _ratios(figures)}
    path.write_text(json.dumps(kept, indent=2) + "\n")


def _read(path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"tolerance": 0.2, "ratios": {}}
    return kept


def _ratios(figures: Figures) -> Iterator[tuple[str, float, bool]]:
    for ours, ceiling in SIDES:
        for name, more_is_worse in FIGURES:
            one, other = figures.median("w1", ours, name), figures.median("w1", ceiling, name)
            if one and other:
                yield f"{name}, {ours} / {ceiling}", one / other, more_is_worse
