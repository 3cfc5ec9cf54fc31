"""One of everything on a platform, and for every route a request that works on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring import Mainspring
from mainspring.control.callbacks import make_secret
from mainspring.control.keys import KeyService
from mainspring.control.operations import Bulk, OperationService
from mainspring.control.scheduler import SchedulerService
from mainspring.control.webhooks import WebhookService
from mainspring.model.events import Event
from mainspring.model.execution import Actor, Execution, Move, Status
from mainspring.model.node import DispatcherNode, HandlerRow, WorkerNode
from mainspring.model.nouns import Noun
from mainspring.model.outcome import Failed
from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.moves.webhooks import a_delivery
from mainspring.ports.store import Tx


@dataclass(frozen=True)
class Seed:
    """What stands on a platform, by the names of path parameters; ``marker`` is in every text that could leak."""

    platform_id: str
    marker: str
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """A request that works: which seed fills its path, its body, its query."""

    path: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


async def seeded(app: Mainspring, platform_id: str, *, with_key: bool = True) -> Seed:
    """Put one of everything on a platform; without a key, callers from this machine stay admins."""
    await app.open()
    marker = f"marker-of-{platform_id}"
    service = SchedulerService(app.store, platform_id=platform_id, actor=marker)
    fields = {"type": "cron", "handler": f"{marker}:run", "description": marker, "labels": {"m": marker}}
    for name in ("nightly", "weekly", "other"):
        await service.create_job(
            {"name": f"{marker}-{name}", **fields, "schedule": {"cron": "0 9 * * *"}, "payload": {"m": marker}}
        )
    await service.pause_job(f"{marker}-other", reason=marker)
    await service.update_job(f"{marker}-nightly", {"priority": 7})
    await service.put_calendar(f"{marker}-calendar", {})
    event = (await service.handle_event("order.paid", {"m": marker}, id=marker, source="api")).event
    live, dead, dead2, ended, waiting = await service.enqueue(
        [EnqueueRequest(f"{marker}:run", {"m": marker}) for _ in range(5)]
    )

    def work(tx: Tx) -> None:
        make_secret(tx)
        now = tx.now
        for execution in (dead, dead2, ended):
            _fail(tx, _started(tx, execution, now), marker)
        tx.dead_letters.resolve(ended.id, status="discarded", reason=marker)
        started = _started(tx, waiting, now)
        held = {"deadline_at": now + timedelta(hours=1), "external_ref": marker}
        tx.executions.move(
            [Move(started.id, Status.RUNNING, Status.WAITING, Actor.WORKER, fence=started.fence, set=held)]
        )
        tx.nodes.announce(
            [HandlerRow(f"{marker}-handler", "function", now, description=marker, platform_id=platform_id)]
        )
        tx.nodes.put_worker(WorkerNode("w-1", "host", 1, now, now, "0", {"default": 1}, ("a",)))
        tx.nodes.put_dispatcher(DispatcherNode("d-1", "host", 1, now, now, "0", "2026a"))

    await app.store.write(work)
    hooks = WebhookService(app.store, platform_id=platform_id, actor=marker)
    hook = (await hooks.create("https://127.0.0.1:1/", ["order.*"], description=marker)).webhook
    owed = await app.store.write(lambda tx: _delivered(tx, hook, marker))
    keys = KeyService(app.store, platform_id=platform_id, actor=marker)
    key_id = (await keys.create(role="viewer", name=marker)).key.id if with_key else "none"
    operations = OperationService(app.store, platform_id=platform_id, actor=marker)
    first = await operations.submit(Bulk(Noun.JOBS, "resume", ids=(live.id, dead.id, dead2.id), per_second=1))
    # Its next step is far away: nothing changes by itself while a test looks.
    running = replace(first, next_at=first.next_at + timedelta(days=1))
    await app.store.write(lambda tx: tx.admin.put_operation(running))
    ids = {
        "job": f"{marker}-nightly",
        "paused_job": f"{marker}-other",
        "live": live.id,
        "dead": dead.id,
        "dead2": dead2.id,
        "ended": ended.id,
        "waiting": waiting.id,
        "event_id": event.id,
        "handler": f"{marker}-handler",
        "name": f"{marker}-calendar",
        "key_id": key_id,
        "operation_id": running.id,
        "webhook_id": hook.id,
        "delivery_id": owed.id,
    }
    return Seed(platform_id, marker, ids)


def _delivered(tx: Tx, hook: Webhook, marker: str) -> WebhookDelivery:
    event = Event(tx.new_id(), "order.paid", hook.platform_id, tx.now, data={"m": marker})
    done = replace(a_delivery(tx, hook, event, DeliveryState.DELIVERED), ended_at=tx.now, attempts=1)
    tx.webhooks.owe([done])
    return done


def _started(tx: Tx, execution: Execution, now: datetime) -> Execution:
    values = {"fence": 1, "attempt": 1, "started_at": now, "worker_id": "w-1", "lease_until": now + timedelta(hours=1)}
    tx.executions.move([Move(execution.id, Status.QUEUED, Status.RUNNING, Actor.WORKER, set=values)])
    found = tx.executions.get(execution.id)
    assert found is not None
    return found


def _fail(tx: Tx, execution: Execution, marker: str) -> None:
    error = {"type": "RuntimeError", "message": marker, "traceback": marker}
    settle_attempts(tx, [Ended(execution, Failed(error, retryable=False))], Actor.WORKER)


_EVERY = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T12:00:00Z"}

#: operation id -> a request that works on a `Seed`. A test holds this to the route table.
ASKS: Mapping[str, Ask] = {
    "live": Ask(),
    "ready": Ask(),
    "get_me": Ask(),
    "get_meta": Ask(),
    "get_openapi": Ask(),
    "preview_schedule": Ask(body={"schedule": {"cron": "0 9 * * *"}}),
    "list_jobs": Ask(),
    "create_job": Ask(body={"name": "fresh", "type": "manual", "handler": "h"}),
    "bulk_jobs": Ask(body={"action": "resume", "filter": "status = paused"}),
    "get_job": Ask({"job": "job"}),
    "put_job": Ask(
        {"job": "job"},
        lambda seed: {"name": seed.ids["job"], "type": "manual", "handler": "h"},
        headers={"If-Match": "*"},
    ),
    "update_job": Ask({"job": "job"}, {"priority": 2}),
    "archive_job": Ask({"job": "job"}),
    "pause_job": Ask({"job": "job"}, {"reason": "why"}),
    "resume_job": Ask({"job": "paused_job"}),
    "trigger_job": Ask({"job": "job"}),
    "skip_occurrence": Ask({"job": "job"}, {"reason": "why"}),
    "backfill_job": Ask({"job": "job"}, _EVERY),
    "revert_job": Ask({"job": "job"}, {"revision": 1}),
    "list_revisions": Ask({"job": "job"}),
    "next_runs": Ask({"job": "job"}),
    "list_occurrences": Ask({"job": "job"}),
    "list_job_executions": Ask({"job": "job"}),
    "get_stats": Ask({"job": "job"}),
    "get_heatmap": Ask({"job": "job"}),
    "explain": Ask({"job": "job"}),
    "list_executions": Ask(),
    "enqueue": Ask(body={"handler": "h"}),
    "enqueue_many": Ask(body={"executions": [{"handler": "h"}]}),
    "bulk_executions": Ask(body={"action": "cancel", "filter": "status = queued", "params": {"reason": "why"}}),
    "get_execution": Ask({"execution_id": "live"}),
    "wait_for_execution": Ask({"execution_id": "dead"}),
    "list_attempts": Ask({"execution_id": "dead"}),
    "get_logs": Ask({"execution_id": "live"}),
    "explain_an_execution": Ask({"execution_id": "live"}),
    "cancel_execution": Ask({"execution_id": "live"}),
    "retry_execution": Ask({"execution_id": "ended"}),
    "redrive_execution": Ask({"execution_id": "dead2"}),
    "get_callback": Ask({"execution_id": "waiting"}),
    "receive_callback": Ask({"execution_id": "waiting"}, {"status": "success"}),
    "list_dead_letters": Ask(),
    "group_dead_letters": Ask(),
    "bulk_dead_letters": Ask(body={"action": "discard", "filter": "status = open", "params": {"reason": "why"}}),
    "get_dead_letter": Ask({"execution_id": "dead"}),
    "redrive_dead_letter": Ask({"execution_id": "dead"}),
    "discard_dead_letter": Ask({"execution_id": "dead"}, {"reason": "why"}),
    "list_events": Ask(),
    "publish_event": Ask(body={"type": "order.paid", "id": "fresh"}),
    "test_match": Ask(body={"event": {"type": "order.paid"}, "schedule": {"events": ["order.*"]}}),
    "get_event": Ask({"event_id": "event_id"}),
    "list_handlers": Ask(),
    "get_handler": Ask({"handler": "handler"}),
    "list_workers": Ask(),
    "list_dispatchers": Ask(),
    "list_queues": Ask(),
    "list_limits": Ask(),
    "put_platform_limit": Ask(body={"max_jobs": 1000}),
    "put_limit": Ask({"scope": "=queue", "name": "=default"}, {"max_running": 5}),
    "list_calendars": Ask(),
    "get_calendar": Ask({"name": "name"}),
    "delete_calendar": Ask({"name": "name"}),
    "put_calendar": Ask({"name": "name"}, {"dates": {"2026-04-23": "a holiday"}}),
    "stream_events": Ask(),
    "stream_logs": Ask({"execution_id": "dead"}),
    "get_overview": Ask(),
    "get_healthz": Ask(),
    "scrape_metrics": Ask(),
    "get_watermark": Ask(),
    "get_metrics": Ask(),
    "health_check": Ask(),
    "get_timeseries": Ask(),
    "stream_overview": Ask(),
    "list_webhooks": Ask(),
    "create_webhook": Ask(body={"url": "https://hooks.example.com/fresh", "events": ["order.*"]}),
    "get_webhook": Ask({"webhook_id": "webhook_id"}),
    "update_webhook": Ask({"webhook_id": "webhook_id"}, {"description": "fresh"}),
    "delete_webhook": Ask({"webhook_id": "webhook_id"}),
    "enable_webhook": Ask({"webhook_id": "webhook_id"}, {"url": "https://hooks.example.com/moved"}),
    "disable_webhook": Ask({"webhook_id": "webhook_id"}, {"reason": "why"}),
    "rotate_webhook_secret": Ask({"webhook_id": "webhook_id"}),
    "post_test_event": Ask({"webhook_id": "webhook_id"}),
    "list_deliveries": Ask({"webhook_id": "webhook_id"}),
    "get_delivery": Ask({"webhook_id": "webhook_id", "delivery_id": "delivery_id"}),
    "redeliver": Ask({"webhook_id": "webhook_id", "delivery_id": "delivery_id"}),
    "get_findings": Ask(),
    "export_record": Ask({"kind": "=executions"}),
    "list_keys": Ask(),
    "create_key": Ask(body={"role": "viewer"}),
    "get_key": Ask({"key_id": "key_id"}),
    "rotate_key": Ask({"key_id": "key_id"}),
    "revoke_key": Ask({"key_id": "key_id"}),
    "list_audit": Ask(),
    "get_usage": Ask(),
    "list_operations": Ask(),
    "get_operation": Ask({"operation_id": "operation_id"}),
    "pause_operation": Ask({"operation_id": "operation_id"}),
    "resume_operation": Ask({"operation_id": "operation_id"}),
    "cancel_operation": Ask({"operation_id": "operation_id"}),
    "list_platforms": Ask(),
    "create_platform": Ask(body={"id": "fresh"}),
    "get_platform": Ask(),
    "update_platform": Ask(body={"description": "fresh"}),
}

#: What answers without end; asked for with care.
STREAMING = frozenset({"stream_events", "stream_overview"})
#: Routes that write nothing though they are no GET.
HARMLESS = frozenset({"preview_schedule", "test_match"})


def filled(path: str, ask: Ask, seed: Seed, *, platform_id: str | None = None) -> str:
    """Return a route's path with a seed's names in it."""
    for parameter, which in ask.path.items():
        value = which[1:] if which.startswith("=") else seed.ids[which]
        path = path.replace(f"{{{parameter}}}", value)
    return path.replace("{platform_id}", platform_id or seed.platform_id)


def body_of(ask: Ask, seed: Seed) -> Any:
    """Return a request's body."""
    return ask.body(seed) if callable(ask.body) else ask.body
