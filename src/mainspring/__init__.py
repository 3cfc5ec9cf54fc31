"""Mainspring: a durable job scheduler and execution engine. Jobs run when due, once, and ``explain`` says why.

>>> from mainspring import Mainspring
>>> ms = Mainspring("sqlite:///jobs.db")
>>> @ms.cron("0 9 * * MON-FRI", tz="Europe/Istanbul", retry=3, timeout="5m")
... async def daily_report(region: str = "tr") -> int:
...     return len(region)
>>> daily_report.name
'daily_report'
"""

from mainspring._version import __version__
from mainspring.app import Handle, Mainspring, Run
from mainspring.engine.context import Context, current
from mainspring.errors import MainspringError
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.model.outcome import Fail, Retry, Snooze
from mainspring.model.policy import RetryPolicy

__all__ = [
    "Context",
    "Event",
    "Execution",
    "Fail",
    "Handle",
    "Mainspring",
    "MainspringError",
    "Retry",
    "RetryPolicy",
    "Run",
    "Snooze",
    "__version__",
    "current",
]
