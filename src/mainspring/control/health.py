"""How it goes, told from progress and never from a process being up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mainspring.control.counted import BOUND, capped
from mainspring.ports.store import Tx

#: How recently a node must have been seen to count as alive: three heartbeats.
ALIVE = timedelta(seconds=15)
#: A lag beyond which health is `warn`, and beyond which it is `fail`.
WARN, FAIL = timedelta(seconds=10), timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Health:
    """``status`` is pass, warn or fail; ``checks`` say why, each with its own status and what was observed."""

    status: str
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """Lags beyond which health is `warn`, and beyond which it is `fail`."""

    warn: timedelta = WARN
    fail: timedelta = FAIL


#: The checks by their names here, and as `component:measurement` in ``application/health+json``.
CHECKS = {
    "decision_lag_s": ("scheduler:decisionLag", "s", "how long the oldest due instant has waited for its decision"),
    "queue_lag_s": ("queue:oldestUnclaimed", "s", "how long the oldest queued execution has waited for a worker"),
    "outbox_lag_s": ("outbox:oldestUnpublished", "s", "how long the oldest event has waited to be published"),
    "dispatchers": ("dispatchers:alive", "processes", "dispatchers seen within 15 seconds"),
    "workers": ("workers:alive", "processes", "workers seen within 15 seconds"),
}


def collect_metrics(tx: Tx, platform_id: str) -> dict[str, Any]:
    """Return live counts by status, open dead letters, lags in seconds, and how many nodes are alive.

    Nothing is counted beyond 10,000; what is more is named in ``at_least``, such as ``executions.pending``.
    """
    most = BOUND + 1
    executions, more = capped(tx.executions.counts(platform_id, most))
    jobs, letters = tx.jobs.count(platform_id, most), tx.dead_letters.count(platform_id, most)
    others, more_others = capped({"jobs": jobs, "dead_letters": letters})
    return {
        "executions": executions,
        **others,
        "at_least": [*(f"executions.{status}" for status in more), *more_others],
        **_progress(tx, platform_id),
    }


def check_health(tx: Tx, platform_id: str | None = None, limits: HealthLimits | None = None) -> Health:
    """Judge the health of a platform or the fleet: decisions, queue and outbox by their lag, nodes by being alive."""
    limits, checks = limits or HealthLimits(), dict[str, Mapping[str, Any]]()
    for name, observed in _progress(tx, platform_id).items():
        if name in ("dispatchers", "workers"):
            # Without workers nothing is lost yet: what is decided waits.
            status = "pass" if observed else "fail" if name == "dispatchers" else "warn"
        else:
            lag = timedelta(seconds=observed)
            status = "fail" if lag > limits.fail else "warn" if lag > limits.warn else "pass"
        checks[name] = {"status": status, "observed": round(observed, 3)}
    found = {check["status"] for check in checks.values()}
    return Health("fail" if "fail" in found else "warn" if "warn" in found else "pass", checks)


def health_to_wire(health: Health, *, version: str, at: str | None) -> dict[str, Any]:
    """Return the document of ``application/health+json``: it names no tenant, host or process.

    Source: I. Nadareishvili, "Health Check Response Format for HTTP APIs" (an expired draft, the best-known shape).
    """
    checks = {}
    for name, check in health.checks.items():
        key, unit, meaning = CHECKS[name]
        checks[key] = [
            {
                "status": check["status"],
                "observedValue": check["observed"],
                "observedUnit": unit,
                "time": at,
                **({} if check["status"] == "pass" else {"output": meaning}),
            }
        ]
    return {"status": health.status, "version": version, "serviceId": "mainspring", "checks": checks}


def _progress(tx: Tx, platform_id: str | None) -> dict[str, Any]:
    undecided = tx.jobs.undecided_at(platform_id)
    queued = tx.executions.queued_handlers(1000, platform_id=platform_id)
    return {
        "decision_lag_s": _age(tx, undecided),
        "queue_lag_s": _age(tx, min((at for _, _, at in queued), default=None)),
        "outbox_lag_s": _age(tx, tx.outbox.oldest_unpublished_at()),
        "workers": len([w for w in tx.nodes.workers(seen_since=tx.now - ALIVE) if w.status != "stopped"]),
        "dispatchers": len([d for d in tx.nodes.dispatchers(seen_since=tx.now - ALIVE) if d.status != "stopped"]),
    }


def _age(tx: Tx, at: datetime | None) -> float:
    return max(0.0, (tx.now - at).total_seconds()) if at is not None else 0.0
