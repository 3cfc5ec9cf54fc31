"""Figures of several rounds: the median, and the range they were found in."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: In a name, between what is measured and what it is measured of: ``anew_per_s: 0 9 * * 1-5``.
OF = ": "

#: Cores that others may use while something is measured.
QUIET = 0.5


def percentile(values: Sequence[float], which: int) -> float:
    """Return a percentile of at least two values.

    >>> percentile([1.0, 2.0, 3.0], 50)
    2.0
    """
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1]


@dataclass
class Figures:
    """What was found, by workload, peer and name, once for each round; and who was left out, and why."""

    rounds: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def disturbed(self) -> list[str]:
        """What was measured while everyone else used more than `QUIET` cores, as workload and peer."""
        return [
            f"{workload} {peer}"
            for workload, peers in self.rounds.items()
            for peer, names in peers.items()
            if statistics.median(names.get("others_cores", [0.0])) > QUIET
        ]

    def add(self, workload: str, peer: str, found: Mapping[str, float]) -> None:
        """Add what one round found."""
        place = self.rounds.setdefault(workload, {}).setdefault(peer, {})
        for name, value in found.items():
            place.setdefault(name, []).append(value)

    def median(self, workload: str, peer: str, name: str) -> float | None:
        """Return the median over the rounds; None where nothing was measured."""
        values = self.rounds.get(workload, {}).get(peer, {}).get(name)
        return statistics.median(values) if values else None

    def told(self, workload: str, peer: str, name: str) -> str:
        """Return the median with its range, for people."""
        values = self.rounds.get(workload, {}).get(peer, {}).get(name)
        if not values:
            return ""
        middle = number(statistics.median(values))
        return middle if len(values) == 1 else f"{middle} [{number(min(values))}-{number(max(values))}]"

    def by_subject(self, workload: str, peer: str) -> tuple[list[str], list[list[str]]]:
        """Return what was measured of several subjects, and a row for each: the subject, then the figures told.

        No rows where the workload's names speak of no subjects.
        """
        names = [name.partition(OF) for name in self.rounds.get(workload, {}).get(peer, {}) if OF in name]
        measured = list(dict.fromkeys(what for what, _, _ in names))
        subjects = dict.fromkeys(subject for _, _, subject in names)
        rows = [[one, *(self.told(workload, peer, f"{what}{OF}{one}") for what in measured)] for one in subjects]
        return measured, rows

    def read(self, written: Mapping[str, Any]) -> None:
        """Add what `as_json` wrote: of all its rounds the least, the median and the greatest."""
        for workload, peers in written.items():
            for peer, found in peers.items():
                place = self.rounds.setdefault(workload, {}).setdefault(peer, {})
                for name, (least, greatest) in found["ranges"].items():
                    place[name] = [found[name]] if least == greatest else [least, found[name], greatest]

    def as_json(self) -> dict[str, Any]:
        """Return medians by workload, peer and name; beside them under ``ranges`` the least and the greatest."""
        return {
            workload: {peer: _medians(names) for peer, names in peers.items()}
            for workload, peers in self.rounds.items()
        }


def _medians(names: Mapping[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {name: round(statistics.median(values), 4) for name, values in names.items()}
    found["ranges"] = {name: [round(min(values), 4), round(max(values), 4)] for name, values in names.items()}
    return found


def number(value: float) -> str:
    """Return a number with the digits that mean something.

    >>> [number(value) for value in (23456.7, 123.4, 12.34, 0.1234)]
    ['23,457', '123', '12.3', '0.12']
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
