"""How it goes, told from progress and never from a process being up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

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


def collect_metrics(tx: Tx, platform_id: str) -> dict[str, Any]:
    """Return live counts by status, open dead letters, lags in seconds, and how many nodes are alive."""
    due, queued = tx.jobs.next_due_at(), tx.executions.queued_handlers(1000)
    oldest_queued = min((at for _, _, at in queued), default=None)
    oldest_event = tx.outbox.oldest_unpublished_at()
    counts = tx.executions.counts(platform_id)
    return {
        "executions": counts,
        "jobs": tx.jobs.count(platform_id),
        "dead_letters": tx.dead_letters.count(platform_id),
        "decision_lag_s": _age(tx, due),
        "queue_lag_s": _age(tx, oldest_queued),
        "outbox_lag_s": _age(tx, oldest_event),
        "workers": len([w for w in tx.nodes.workers(seen_since=tx.now - ALIVE) if w.status != "stopped"]),
        "dispatchers": len([d for d in tx.nodes.dispatchers(seen_since=tx.now - ALIVE) if d.status != "stopped"]),
    }


def check_health(tx: Tx, platform_id: str) -> Health:
    """Judge the health: decisions, queue and outbox by their lag; nodes by whether any is alive."""
    metrics = collect_metrics(tx, platform_id)
    checks: dict[str, Mapping[str, Any]] = {}
    for name in ("decision_lag_s", "queue_lag_s", "outbox_lag_s"):
        lag = metrics[name]
        status = "fail" if lag > FAIL.total_seconds() else "warn" if lag > WARN.total_seconds() else "pass"
        checks[name] = {"status": status, "observed": round(lag, 3)}
    checks["dispatchers"] = {"status": "pass" if metrics["dispatchers"] else "fail", "observed": metrics["dispatchers"]}
    checks["workers"] = {"status": "pass" if metrics["workers"] else "warn", "observed": metrics["workers"]}
    found = {check["status"] for check in checks.values()}
    return Health("fail" if "fail" in found else "warn" if "warn" in found else "pass", checks)


def _age(tx: Tx, at: Any) -> float:
    return max(0.0, (tx.now - at).total_seconds()) if at is not None else 0.0
