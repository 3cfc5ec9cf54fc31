"""Mainspring: a durable job scheduler and execution engine. Jobs run when due, once, and ``explain`` says why.

>>> from mainspring import Mainspring
>>> ms = Mainspring("sqlite:///jobs.db")
>>> @ms.cron("0 9 * * MON-FRI", tz="Europe/Istanbul", retry=3, timeout="5m")
... async def daily_report(region: str = "tr") -> int:
...     return len(region)
>>> daily_report.name
'daily_report'
"""

from typing import TYPE_CHECKING, Any

from mainspring._version import __version__

if TYPE_CHECKING:
    from mainspring.app import Handle, Mainspring, Run
    from mainspring.app.secrets import secret
    from mainspring.control.scheduler import SchedulerService
    from mainspring.engine.context import Context, current
    from mainspring.engine.dispatcher import DispatchStats, JobDispatcherWorker
    from mainspring.engine.job_executor import (
        ExecutionResult,
        JobExecutionContext,
        JobExecutionRequest,
        JobExecutorService,
    )
    from mainspring.engine.registry import JobHandlerRegistry
    from mainspring.errors import MainspringError
    from mainspring.model.events import Event
    from mainspring.model.execution import Execution
    from mainspring.model.outcome import Fail, Retry, Snooze
    from mainspring.model.policy import RetryPolicy

__all__ = [
    "Context",
    "DispatchStats",
    "Event",
    "Execution",
    "ExecutionResult",
    "Fail",
    "Handle",
    "JobDispatcherWorker",
    "JobExecutionContext",
    "JobExecutionRequest",
    "JobExecutorService",
    "JobHandlerRegistry",
    "Mainspring",
    "MainspringError",
    "Retry",
    "RetryPolicy",
    "Run",
    "SchedulerService",
    "Snooze",
    "__version__",
    "current",
    "secret",
]

# Where each name lives. Loaded on first use, so that `mainspring --help` and `preview` need not load the engine.
_HOME = {
    "Context": "engine.context",
    "DispatchStats": "engine.dispatcher",
    "Event": "model.events",
    "Execution": "model.execution",
    "ExecutionResult": "engine.job_executor",
    "Fail": "model.outcome",
    "Handle": "app",
    "JobDispatcherWorker": "engine.dispatcher",
    "JobExecutionContext": "engine.job_executor",
    "JobExecutionRequest": "engine.job_executor",
    "JobExecutorService": "engine.job_executor",
    "JobHandlerRegistry": "engine.registry",
    "Mainspring": "app",
    "MainspringError": "errors",
    "Retry": "model.outcome",
    "RetryPolicy": "model.policy",
    "Run": "app",
    "SchedulerService": "control.scheduler",
    "Snooze": "model.outcome",
    "current": "engine.context",
    "secret": "app.secrets",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
