"""What every kind of schedule can be asked besides its instants: how it is told to people, and what they may not mean.

All of it is worked out when asked for, because the dispatcher never asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mainspring.schedule.rules import Rule


class Shape(Protocol):
    """A schedule object of one kind, checked."""

    @property
    def rule(self) -> Rule:
        """The instants it names."""
        ...

    @property
    def follows_wall_clock(self) -> bool:
        """Whether new zone data can move its instants."""
        ...

    def sentence(self) -> str:
        """Return it in plain English."""
        ...

    def warnings(self) -> Iterator[str]:
        """Yield what its author may not have meant; one text may come twice."""
        ...
