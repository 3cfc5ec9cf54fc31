"""For users' tests and ours: a whole Mainspring on a clock that stands still until told, and virtual time itself."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mainspring.testing.assertions import Ledger, Runs
    from mainspring.testing.attempts import Performed, aperform, perform
    from mainspring.testing.clock import ManualClock
    from mainspring.testing.clock_changes import ClockChange, dst
    from mainspring.testing.environments import Environment, SyncEnvironment, environment
    from mainspring.testing.loop import DeadlockError, LivelockError, VirtualClock, VirtualLoop

__all__ = [
    "ClockChange",
    "DeadlockError",
    "Environment",
    "Ledger",
    "LivelockError",
    "ManualClock",
    "Performed",
    "Runs",
    "SyncEnvironment",
    "VirtualClock",
    "VirtualLoop",
    "aperform",
    "dst",
    "environment",
    "perform",
]

# Loaded on first use: pytest imports this package for its plugin in every run, also where no test needs it.
_HOME = {
    "ClockChange": "clock_changes",
    "DeadlockError": "loop",
    "Environment": "environments",
    "Ledger": "assertions",
    "LivelockError": "loop",
    "ManualClock": "clock",
    "Performed": "attempts",
    "Runs": "assertions",
    "SyncEnvironment": "environments",
    "VirtualClock": "loop",
    "VirtualLoop": "loop",
    "aperform": "attempts",
    "dst": "clock_changes",
    "environment": "environments",
    "perform": "attempts",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
