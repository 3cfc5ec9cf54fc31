"""The built-in handlers: ordinary users of the ports, registered by default.

`Builtins` says what they work on. Nothing of it is needed: a handler that lacks its part fails and says how to set it
up. Importing this loads no driver; each part loads its own when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from mainspring.adapters.system import SystemClock
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.handlers.channels import webhook_channel
from mainspring.handlers.health import Checks, health_check
from mainspring.handlers.kb import Knowledge, kb_reindex
from mainspring.handlers.metrics import metrics_collect
from mainspring.handlers.notify import Channels, notify_send
from mainspring.handlers.traces import cleanup_old_traces
from mainspring.model.policy import RetryPolicy
from mainspring.ports.clock import Clock
from mainspring.ports.metrics import MachineProbe, MetricsSink
from mainspring.ports.store import Store
from mainspring.ports.traces import TraceStore

__all__ = ["NAMES", "Builtins", "Channels", "Checks", "Knowledge", "register_builtins", "webhook_channel"]

#: The names they are registered under.
NAMES = ("cleanup:old_traces", "health:check", "kb:reindex", "metrics:collect", "notify:send")
#: A receiver that is down for a day still gets its message: eight retries over about thirty hours.
NOTIFY_RETRY = RetryPolicy(
    max_retries=8,
    retry_delay=timedelta(seconds=5),
    backoff_multiplier=5,
    max_retry_delay=timedelta(hours=12),
)


def _psutil_probe() -> MachineProbe:
    from mainspring.adapters.machine import PsutilProbe

    return PsutilProbe()


@dataclass(frozen=True)
class Builtins:
    """What the built-in handlers work on.

    Args:
        knowledge: The knowledge bases of ``kb:reindex``.
        traces: Where ``cleanup:old_traces`` deletes.
        channels: Where ``notify:send`` sends.
        checks: What ``health:check`` asks besides the database.
        metrics: Where ``metrics:collect`` stores; None: its result is all there is.
        probe: Makes what measures the machine.
        platform_id: Only jobs of this platform may use the built-in handlers; None: those of any.
    """

    knowledge: Knowledge = field(default_factory=Knowledge)
    traces: TraceStore | None = None
    channels: Channels = field(default_factory=Channels)
    checks: Checks = field(default_factory=Checks)
    metrics: MetricsSink | None = None
    probe: Callable[[], MachineProbe] = _psutil_probe
    platform_id: str | None = None


def register_builtins(
    registry: JobHandlerRegistry,
    builtins: Builtins | None = None,
    *,
    store: Callable[[], Store] | None = None,
    clock: Clock | None = None,
) -> None:
    """Register the five built-in handlers.

    Args:
        registry: Where to; code that wants one of the names for itself gets a `ConflictError`.
        builtins: What they work on; by default nothing.
        store: Returns the open store: ``health:check`` asks it and remembers in it, ``metrics:collect`` reads it.
        clock: This process's clock.
    """
    parts, now = builtins or Builtins(), clock or SystemClock()

    def register(name: str, handler: Callable[..., object], *, timeout: str, retry: RetryPolicy | int) -> None:
        registry.register_handler(name, handler, timeout=timeout, retry=retry, platform_id=parts.platform_id)

    register("kb:reindex", kb_reindex(parts.knowledge), timeout="30m", retry=2)
    register("cleanup:old_traces", cleanup_old_traces(parts.traces, now), timeout="10m", retry=2)
    register("notify:send", notify_send(parts.channels, now), timeout="1m", retry=NOTIFY_RETRY)
    register("health:check", health_check(parts.checks, store, now), timeout="2m", retry=0)
    collect = metrics_collect(parts.probe, parts.metrics, store, now)
    register("metrics:collect", collect, timeout="1m", retry=1)
