"""Everything a server can be asked, each as data: see `mainspring.client.ask`.

Made from the OpenAPI document by `./dev openapi`: change the routes, not this file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

from mainspring.client.ask import Ask, ListQuery, list_of, nothing, page_of, renamed, tag
from mainspring.client.shape import Page
from mainspring.client.shapes import (
    Again,
    Attempt,
    AuditEntry,
    Backfill,
    BackfillOperation,
    Because,
    BulkRequest,
    Calendar,
    CalendarDates,
    CallbackTarget,
    Cancel,
    ChangedJob,
    DeadLetter,
    Decision,
    Delivery,
    DeliveryWithBody,
    Disable,
    Dispatcher,
    Enable,
    Event,
    Execution,
    ExecutionWithAttempts,
    Explanation,
    Findings,
    Handler,
    Health,
    Heatmap,
    Job,
    JobChanges,
    Key,
    LetterGroups,
    Limit,
    LimitBounds,
    Log,
    MadeKey,
    MadeWebhook,
    MatchResult,
    MatchTest,
    Me,
    Meta,
    Metrics,
    NewEvent,
    NewExecution,
    NewExecutions,
    NewJob,
    NewKey,
    NewPlatform,
    NewWebhook,
    NextRuns,
    Operation,
    Overview,
    Pause,
    Platform,
    PlatformChanges,
    PostAnswer,
    Preview,
    PreviewRequest,
    PublishedEvent,
    Queue,
    Resume,
    Revert,
    Revision,
    Rotate,
    RotateSecret,
    Skip,
    Stats,
    Timeseries,
    Trigger,
    Usage,
    Watermark,
    Webhook,
    WebhookChanges,
    Worker,
)


def archive_job(
    job: str, *, dry_run: bool | None = None, if_revision: int | None = None, idempotency_key: str | None = None
) -> Ask[ChangedJob]:
    """Archive a job: it is decided no more, its name is free, its history stays."""
    return Ask(
        "archive_job",
        "DELETE",
        "/jobs/{job}",
        ChangedJob,
        {"job": job},
        query={"dry_run": dry_run},
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def backfill_job(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[Backfill],
) -> Ask[BackfillOperation]:
    """Run a job's past instants; the answer tells what becomes of the first of them."""
    return Ask(
        "backfill_job",
        "POST",
        "/jobs/{job}:backfill",
        BackfillOperation,
        {"job": job},
        query={"dry_run": dry_run},
        body=renamed(body),
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def bulk_dead_letters(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[BulkRequest]
) -> Ask[Operation]:
    """Redrive or discard many dead letters as one operation."""
    return Ask(
        "bulk_dead_letters",
        "POST",
        "/dead-letters:bulk",
        Operation,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def bulk_executions(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[BulkRequest]
) -> Ask[Operation]:
    """Cancel or retry many executions as one operation."""
    return Ask(
        "bulk_executions",
        "POST",
        "/executions:bulk",
        Operation,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def bulk_jobs(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[BulkRequest]
) -> Ask[Operation]:
    """Pause, resume, trigger or archive many jobs as one operation."""
    return Ask(
        "bulk_jobs",
        "POST",
        "/jobs:bulk",
        Operation,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def cancel_execution(
    execution_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Cancel]
) -> Ask[Execution]:
    """Cancel an execution: at once where it has not started, else it is told to stop."""
    return Ask(
        "cancel_execution",
        "POST",
        "/executions/{execution_id}:cancel",
        Execution,
        {"execution_id": execution_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def cancel_operation(
    operation_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None
) -> Ask[Operation]:
    """End an operation where it is; what it has done stays done."""
    return Ask(
        "cancel_operation",
        "POST",
        "/operations/{operation_id}:cancel",
        Operation,
        {"operation_id": operation_id},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def create_job(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[NewJob]
) -> Ask[ChangedJob]:
    """Create a job. What it does not name comes from its handler's defaults."""
    return Ask(
        "create_job",
        "POST",
        "/jobs",
        ChangedJob,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def create_key(*, dry_run: bool | None = None, **body: Unpack[NewKey]) -> Ask[MadeKey]:
    """Make a key; its secret is in this answer and nowhere else."""
    return Ask("create_key", "POST", "/keys", MadeKey, query={"dry_run": dry_run}, body=body)


def create_platform(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[NewPlatform]
) -> Ask[Platform]:
    """Make a platform; for keys of every platform only."""
    return Ask(
        "create_platform",
        "POST",
        "/api/v1/platforms",
        Platform,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def create_webhook(*, dry_run: bool | None = None, **body: Unpack[NewWebhook]) -> Ask[MadeWebhook]:
    """Subscribe a URL to events; the secret that signs is in this answer and nowhere else."""
    return Ask("create_webhook", "POST", "/webhooks", MadeWebhook, query={"dry_run": dry_run}, body=body)


def delete_calendar(name: str, *, dry_run: bool | None = None, idempotency_key: str | None = None) -> Ask[None]:
    """Delete a calendar that no job's schedule names."""
    return Ask(
        "delete_calendar",
        "DELETE",
        "/calendars/{name}",
        nothing,
        {"name": name},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def delete_webhook(webhook_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None) -> Ask[None]:
    """Unsubscribe; what it is still owed goes with it."""
    return Ask(
        "delete_webhook",
        "DELETE",
        "/webhooks/{webhook_id}",
        nothing,
        {"webhook_id": webhook_id},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def disable_webhook(
    webhook_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Disable]
) -> Ask[Webhook]:
    """Deliver nothing, and owe it nothing more; what it is owed already is kept."""
    return Ask(
        "disable_webhook",
        "POST",
        "/webhooks/{webhook_id}:disable",
        Webhook,
        {"webhook_id": webhook_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def discard_dead_letter(
    execution_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Because]
) -> Ask[None]:
    """Close a dead letter without running it."""
    return Ask(
        "discard_dead_letter",
        "POST",
        "/dead-letters/{execution_id}:discard",
        nothing,
        {"execution_id": execution_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def enable_webhook(
    webhook_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Enable]
) -> Ask[Webhook]:
    """Deliver again; what was owed when it was disabled comes first."""
    return Ask(
        "enable_webhook",
        "POST",
        "/webhooks/{webhook_id}:enable",
        Webhook,
        {"webhook_id": webhook_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def enqueue(*, dry_run: bool | None = None, **body: Unpack[NewExecution]) -> Ask[Execution]:
    """Make an execution of a handler, without a job."""
    return Ask("enqueue", "POST", "/executions", Execution, query={"dry_run": dry_run}, body=body, repeatable=True)


def enqueue_many(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[NewExecutions]
) -> Ask[list[Execution]]:
    """Make up to 1,000 executions; all of them or none."""
    return Ask(
        "enqueue_many",
        "POST",
        "/executions:batch",
        list_of(Execution),
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def explain(job: str, *, at: str | None = None, event: str | None = None) -> Ask[Explanation]:
    """Say why a job did (not) run at an instant, at a wall time of its zone, or with an event."""
    return Ask("explain", "GET", "/jobs/{job}/explain", Explanation, {"job": job}, query={"at": at, "event": event})


def explain_an_execution(execution_id: str) -> Ask[Explanation]:
    """Say where an execution stands and what it waits for."""
    return Ask(
        "explain_an_execution", "GET", "/executions/{execution_id}/explain", Explanation, {"execution_id": execution_id}
    )


def get_calendar(name: str) -> Ask[Calendar]:
    """Show one calendar."""
    return Ask("get_calendar", "GET", "/calendars/{name}", Calendar, {"name": name})


def get_callback(execution_id: str) -> Ask[CallbackTarget]:
    """Tell where and with which secret a waiting execution's end is reported."""
    return Ask(
        "get_callback", "GET", "/executions/{execution_id}/callback", CallbackTarget, {"execution_id": execution_id}
    )


def get_dead_letter(execution_id: str) -> Ask[DeadLetter]:
    """Show one dead letter."""
    return Ask("get_dead_letter", "GET", "/dead-letters/{execution_id}", DeadLetter, {"execution_id": execution_id})


def get_delivery(webhook_id: str, delivery_id: str) -> Ask[DeliveryWithBody]:
    """Show a delivery with what is posted."""
    return Ask(
        "get_delivery",
        "GET",
        "/webhooks/{webhook_id}/deliveries/{delivery_id}",
        DeliveryWithBody,
        {"webhook_id": webhook_id, "delivery_id": delivery_id},
    )


def get_event(event_id: str, *, source: str | None = None) -> Ask[Event]:
    """Show an accepted event by its source and id."""
    return Ask("get_event", "GET", "/events/{event_id}", Event, {"event_id": event_id}, query={"source": source})


def get_execution(execution_id: str) -> Ask[ExecutionWithAttempts]:
    """Show an execution with its attempts and the decision that made it."""
    return Ask(
        "get_execution", "GET", "/executions/{execution_id}", ExecutionWithAttempts, {"execution_id": execution_id}
    )


def get_findings(*, transactions_older_than_ms: int | None = None) -> Ask[Findings]:
    """Check everything that can be checked from here; each finding names the command that mends it."""
    return Ask(
        "get_findings", "GET", "/doctor", Findings, query={"transactions_older_than_ms": transactions_older_than_ms}
    )


def get_handler(handler: str) -> Ask[Handler]:
    """Show a handler with the schema of its payload and its defaults."""
    return Ask("get_handler", "GET", "/handlers/{handler}", Handler, {"handler": handler})


def get_heatmap(
    job: str, *, since: datetime | str | None = None, until: datetime | str | None = None, tz: str | None = None
) -> Ask[Heatmap]:
    """Count a job's executions by day and hour of a zone."""
    return Ask(
        "get_heatmap", "GET", "/jobs/{job}/heatmap", Heatmap, {"job": job}, query={"from": since, "to": until, "tz": tz}
    )


def get_job(job: str) -> Ask[Job]:
    """Show a job by name or id."""
    return Ask("get_job", "GET", "/jobs/{job}", Job, {"job": job})


def get_key(key_id: str) -> Ask[Key]:
    """Show a key; never its secret."""
    return Ask("get_key", "GET", "/keys/{key_id}", Key, {"key_id": key_id})


def get_logs(execution_id: str, *, after: int | None = None, limit: int | None = None) -> Ask[Log]:
    """Read an execution's log lines by number."""
    return Ask(
        "get_logs",
        "GET",
        "/executions/{execution_id}/logs",
        Log,
        {"execution_id": execution_id},
        query={"after": after, "limit": limit},
    )


def get_me() -> Ask[Me]:
    """Tell who asks, and what they may."""
    return Ask("get_me", "GET", "/api/v1/me", Me)


def get_meta() -> Ask[Meta]:
    """Tell what this server is, and its limits."""
    return Ask("get_meta", "GET", "/api/v1/meta", Meta)


def get_metrics() -> Ask[Metrics]:
    """Count what lives and waits, and tell how late things are."""
    return Ask("get_metrics", "GET", "/metrics", Metrics)


def get_operation(operation_id: str) -> Ask[Operation]:
    """Show a bulk operation and how far it is."""
    return Ask("get_operation", "GET", "/operations/{operation_id}", Operation, {"operation_id": operation_id})


def get_overview() -> Ask[Overview]:
    """Tell how it goes, on one screen."""
    return Ask("get_overview", "GET", "/overview", Overview)


def get_platform() -> Ask[Platform]:
    """Show a platform."""
    return Ask("get_platform", "GET", "/api/v1/platforms/{platform_id}", Platform)


def get_stats(job: str, *, range_ms: int | None = None) -> Ask[Stats]:
    """Tell how a job went: outcomes, durations, start delays, its real cadence."""
    return Ask("get_stats", "GET", "/jobs/{job}/stats", Stats, {"job": job}, query={"range_ms": range_ms})


def get_timeseries(
    *, since: datetime | str | None = None, until: datetime | str | None = None, bucket_ms: int | None = None
) -> Ask[Timeseries]:
    """Tell how it went, span by span: outcomes, skipped instants, durations and start delays. By default an hour."""
    return Ask(
        "get_timeseries",
        "GET",
        "/stats/timeseries",
        Timeseries,
        query={"from": since, "to": until, "bucket_ms": bucket_ms},
    )


def get_usage() -> Ask[Usage]:
    """Tell what the platform holds now, beside what it may."""
    return Ask("get_usage", "GET", "/usage", Usage)


def get_watermark() -> Ask[Watermark]:
    """Tell up to when every due instant has its decision: what to poll from outside, so that silence is noticed."""
    return Ask("get_watermark", "GET", "/watermark", Watermark)


def get_webhook(webhook_id: str) -> Ask[Webhook]:
    """Show a webhook and how its receiver fares; never its secrets."""
    return Ask("get_webhook", "GET", "/webhooks/{webhook_id}", Webhook, {"webhook_id": webhook_id})


def group_dead_letters() -> Ask[LetterGroups]:
    """Group open dead letters by what went wrong, the largest group first."""
    return Ask("group_dead_letters", "GET", "/dead-letters/groups", LetterGroups)


def health_check() -> Ask[Health]:
    """Judge the health by progress: the oldest undecided instant, the oldest unclaimed execution."""
    return Ask("health_check", "GET", "/health", Health)


def list_attempts(execution_id: str) -> Ask[list[Attempt]]:
    """List the ended attempts of an execution that were not its successful first."""
    return Ask(
        "list_attempts", "GET", "/executions/{execution_id}/attempts", list_of(Attempt), {"execution_id": execution_id}
    )


def list_audit(**query: Unpack[ListQuery]) -> Ask[Page[AuditEntry]]:
    """List changes, newest first: who did what to what."""
    return Ask(
        "list_audit",
        "GET",
        "/audit",
        page_of(AuditEntry),
        query={
            **query,
        },
    )


def list_calendars() -> Ask[list[Calendar]]:
    """List the named calendars with their dates."""
    return Ask("list_calendars", "GET", "/calendars", list_of(Calendar))


def list_dead_letters(**query: Unpack[ListQuery]) -> Ask[Page[DeadLetter]]:
    """List dead letters, newest first; the closed ones among them."""
    return Ask(
        "list_dead_letters",
        "GET",
        "/dead-letters",
        page_of(DeadLetter),
        query={
            **query,
        },
    )


def list_deliveries(webhook_id: str, **query: Unpack[ListQuery]) -> Ask[Page[Delivery]]:
    """List what a webhook was owed and is, newest first, with how often each was tried and the last answer."""
    return Ask(
        "list_deliveries",
        "GET",
        "/webhooks/{webhook_id}/deliveries",
        page_of(Delivery),
        {"webhook_id": webhook_id},
        query={
            **query,
        },
    )


def list_dispatchers() -> Ask[list[Dispatcher]]:
    """List dispatcher processes, newest first."""
    return Ask("list_dispatchers", "GET", "/dispatchers", list_of(Dispatcher))


def list_events(**query: Unpack[ListQuery]) -> Ask[Page[Event]]:
    """List accepted events, newest first; of the last 7 days unless the filter names at."""
    return Ask(
        "list_events",
        "GET",
        "/events",
        page_of(Event),
        query={
            **query,
        },
    )


def list_executions(**query: Unpack[ListQuery]) -> Ask[Page[Execution]]:
    """List executions, newest first; of the last 7 days unless the filter names created_at."""
    return Ask(
        "list_executions",
        "GET",
        "/executions",
        page_of(Execution),
        query={
            **query,
        },
    )


def list_handlers() -> Ask[list[Handler]]:
    """List the handlers some node has announced, by name."""
    return Ask("list_handlers", "GET", "/handlers", list_of(Handler))


def list_job_executions(job: str, **query: Unpack[ListQuery]) -> Ask[Page[Execution]]:
    """List a job's executions, newest first."""
    return Ask(
        "list_job_executions",
        "GET",
        "/jobs/{job}/executions",
        page_of(Execution),
        {"job": job},
        query={
            **query,
        },
    )


def list_jobs(**query: Unpack[ListQuery]) -> Ask[Page[Job]]:
    """List jobs by name; archived ones only where the filter asks for a status."""
    return Ask(
        "list_jobs",
        "GET",
        "/jobs",
        page_of(Job),
        query={
            **query,
        },
    )


def list_keys(**query: Unpack[ListQuery]) -> Ask[Page[Key]]:
    """List the platform's keys, newest first; never their secrets."""
    return Ask(
        "list_keys",
        "GET",
        "/keys",
        page_of(Key),
        query={
            **query,
        },
    )


def list_limits() -> Ask[list[Limit]]:
    """List the bounds an admin has set."""
    return Ask("list_limits", "GET", "/limits", list_of(Limit))


def list_occurrences(job: str, **query: Unpack[ListQuery]) -> Ask[Page[Decision]]:
    """List what became of each due instant of a job: the ledger."""
    return Ask(
        "list_occurrences",
        "GET",
        "/jobs/{job}/occurrences",
        page_of(Decision),
        {"job": job},
        query={
            **query,
        },
    )


def list_operations(**query: Unpack[ListQuery]) -> Ask[Page[Operation]]:
    """List bulk operations, newest first."""
    return Ask(
        "list_operations",
        "GET",
        "/operations",
        page_of(Operation),
        query={
            **query,
        },
    )


def list_platforms(*, after: str | None = None, page_size: int | None = None) -> Ask[list[Platform]]:
    """List the platforms the caller may use, by id."""
    return Ask(
        "list_platforms", "GET", "/api/v1/platforms", list_of(Platform), query={"after": after, "page_size": page_size}
    )


def list_queues() -> Ask[list[Queue]]:
    """List queues with what waits and runs in them."""
    return Ask("list_queues", "GET", "/queues", list_of(Queue))


def list_revisions(job: str, *, before: int | None = None, page_size: int | None = None) -> Ask[list[Revision]]:
    """List a job's definitions, newest first."""
    return Ask(
        "list_revisions",
        "GET",
        "/jobs/{job}/revisions",
        list_of(Revision),
        {"job": job},
        query={"before": before, "page_size": page_size},
    )


def list_webhooks() -> Ask[list[Webhook]]:
    """List the platform's webhooks, oldest first; never their secrets."""
    return Ask("list_webhooks", "GET", "/webhooks", list_of(Webhook))


def list_workers() -> Ask[list[Worker]]:
    """List worker processes, newest first."""
    return Ask("list_workers", "GET", "/workers", list_of(Worker))


def next_runs(
    job: str, *, count: int | None = None, since: datetime | str | None = None, until: datetime | str | None = None
) -> Ask[NextRuns]:
    """List the instants a job's schedule names from now on, or within a range that may be past."""
    return Ask(
        "next_runs",
        "GET",
        "/jobs/{job}/next",
        NextRuns,
        {"job": job},
        query={"count": count, "from": since, "to": until},
    )


def pause_job(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[Pause],
) -> Ask[ChangedJob]:
    """Stop deciding a job's instants until it is resumed, or until an instant."""
    return Ask(
        "pause_job",
        "POST",
        "/jobs/{job}:pause",
        ChangedJob,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def pause_operation(
    operation_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None
) -> Ask[Operation]:
    """Do no further step until it is resumed."""
    return Ask(
        "pause_operation",
        "POST",
        "/operations/{operation_id}:pause",
        Operation,
        {"operation_id": operation_id},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def post_test_event(webhook_id: str, *, dry_run: bool | None = None) -> Ask[PostAnswer]:
    """Post a test event from this server, right now, and tell how it went; a dry run posts nothing."""
    return Ask(
        "post_test_event",
        "POST",
        "/webhooks/{webhook_id}:test",
        PostAnswer,
        {"webhook_id": webhook_id},
        query={"dry_run": dry_run},
    )


def preview_schedule(**body: Unpack[PreviewRequest]) -> Ask[Preview]:
    """Tell when a schedule would run, by the dispatcher's own code; nothing is stored."""
    return Ask("preview_schedule", "POST", "/api/v1/schedules:preview", Preview, body=body)


def publish_event(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[NewEvent]
) -> Ask[PublishedEvent]:
    """Accept an event once by source and id, and run the event jobs it matches."""
    return Ask(
        "publish_event",
        "POST",
        "/events",
        PublishedEvent,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def put_calendar(
    name: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[CalendarDates]
) -> Ask[Calendar]:
    """Replace a calendar's dates by dates given, an iCalendar file, or a country's public holidays."""
    return Ask(
        "put_calendar",
        "PUT",
        "/calendars/{name}",
        Calendar,
        {"name": name},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def put_job(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[NewJob],
) -> Ask[ChangedJob]:
    """Create a job or replace its definition whole; If-Match says which revision, or `*`."""
    return Ask(
        "put_job",
        "PUT",
        "/jobs/{job}",
        ChangedJob,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision) or "*",
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def put_limit(
    scope: str,
    name: str,
    *,
    dry_run: bool | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[LimitBounds],
) -> Ask[Limit]:
    """Set the bounds of a queue or of a concurrency key; all of them none removes the limit."""
    return Ask(
        "put_limit",
        "PUT",
        "/limits/{scope}/{name}",
        Limit,
        {"scope": scope, "name": name},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def put_platform_limit(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[LimitBounds]
) -> Ask[Limit]:
    """Set the bounds of the whole platform."""
    return Ask(
        "put_platform_limit",
        "PUT",
        "/limits/platform",
        Limit,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def redeliver(
    webhook_id: str, delivery_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None
) -> Ask[Delivery]:
    """Owe the event of an ended delivery once more; its id is the same, so a receiver can tell."""
    return Ask(
        "redeliver",
        "POST",
        "/webhooks/{webhook_id}/deliveries/{delivery_id}:redeliver",
        Delivery,
        {"webhook_id": webhook_id, "delivery_id": delivery_id},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def redrive_dead_letter(
    execution_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Again]
) -> Ask[Execution]:
    """Run a dead letter's execution again, as a new one, and close the letter."""
    return Ask(
        "redrive_dead_letter",
        "POST",
        "/dead-letters/{execution_id}:redrive",
        Execution,
        {"execution_id": execution_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def redrive_execution(
    execution_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Again]
) -> Ask[Execution]:
    """Run a dead letter's execution again, and close the letter."""
    return Ask(
        "redrive_execution",
        "POST",
        "/executions/{execution_id}:redrive",
        Execution,
        {"execution_id": execution_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def resume_job(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[Resume],
) -> Ask[ChangedJob]:
    """Decide a paused job again."""
    return Ask(
        "resume_job",
        "POST",
        "/jobs/{job}:resume",
        ChangedJob,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def resume_operation(
    operation_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None
) -> Ask[Operation]:
    """Go on with a paused operation."""
    return Ask(
        "resume_operation",
        "POST",
        "/operations/{operation_id}:resume",
        Operation,
        {"operation_id": operation_id},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def retry_execution(
    execution_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[Again]
) -> Ask[Execution]:
    """Run an ended execution again, as a new one that names it."""
    return Ask(
        "retry_execution",
        "POST",
        "/executions/{execution_id}:retry",
        Execution,
        {"execution_id": execution_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def revert_job(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[Revert],
) -> Ask[ChangedJob]:
    """Let a former revision's definition hold again, as a new revision."""
    return Ask(
        "revert_job",
        "POST",
        "/jobs/{job}:revert",
        ChangedJob,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def revoke_key(key_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None) -> Ask[Key]:
    """End a key at once."""
    return Ask(
        "revoke_key",
        "DELETE",
        "/keys/{key_id}",
        Key,
        {"key_id": key_id},
        query={"dry_run": dry_run},
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def rotate_key(key_id: str, *, dry_run: bool | None = None, **body: Unpack[Rotate]) -> Ask[MadeKey]:
    """Give a key a new secret; the former one holds a while longer."""
    return Ask(
        "rotate_key",
        "POST",
        "/keys/{key_id}:rotate",
        MadeKey,
        {"key_id": key_id},
        query={"dry_run": dry_run},
        body=body,
    )


def rotate_webhook_secret(
    webhook_id: str, *, dry_run: bool | None = None, **body: Unpack[RotateSecret]
) -> Ask[MadeWebhook]:
    """Give a webhook a new secret, told this once; the former one signs beside it a while longer."""
    return Ask(
        "rotate_webhook_secret",
        "POST",
        "/webhooks/{webhook_id}:rotate",
        MadeWebhook,
        {"webhook_id": webhook_id},
        query={"dry_run": dry_run},
        body=body,
    )


def skip_occurrence(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[Skip],
) -> Ask[Decision]:
    """Pass over the next instant of a job."""
    return Ask(
        "skip_occurrence",
        "POST",
        "/jobs/{job}:skip",
        Decision,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def test_match(**body: Unpack[MatchTest]) -> Ask[MatchResult]:
    """Tell whether an event would start a job with a schedule, and if not, why not; nothing is stored."""
    return Ask("test_match", "POST", "/events:test", MatchResult, body=body)


def trigger_job(
    job: str, *, dry_run: bool | None = None, if_revision: int | None = None, **body: Unpack[Trigger]
) -> Ask[Execution]:
    """Run a job now, under its policies."""
    return Ask(
        "trigger_job",
        "POST",
        "/jobs/{job}:trigger",
        Execution,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision),
        repeatable=True,
    )


def update_job(
    job: str,
    *,
    dry_run: bool | None = None,
    if_revision: int | None = None,
    idempotency_key: str | None = None,
    **body: Unpack[JobChanges],
) -> Ask[ChangedJob]:
    """Change the fields named, as a merge patch; null returns one to its default."""
    return Ask(
        "update_job",
        "PATCH",
        "/jobs/{job}",
        ChangedJob,
        {"job": job},
        query={"dry_run": dry_run},
        body=body,
        if_match=tag(if_revision),
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def update_platform(
    *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[PlatformChanges]
) -> Ask[Platform]:
    """Change a platform's zone or description, as a merge patch."""
    return Ask(
        "update_platform",
        "PATCH",
        "/api/v1/platforms/{platform_id}",
        Platform,
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def update_webhook(
    webhook_id: str, *, dry_run: bool | None = None, idempotency_key: str | None = None, **body: Unpack[WebhookChanges]
) -> Ask[Webhook]:
    """Change a webhook's URL, events or description, as a merge patch."""
    return Ask(
        "update_webhook",
        "PATCH",
        "/webhooks/{webhook_id}",
        Webhook,
        {"webhook_id": webhook_id},
        query={"dry_run": dry_run},
        body=body,
        repeatable=True,
        idempotency_key=idempotency_key,
    )


def wait_for_execution(execution_id: str, *, timeout_ms: int | None = None) -> Ask[Execution]:
    """Answer with an execution as soon as it has ended, or as it is after the timeout."""
    return Ask(
        "wait_for_execution",
        "GET",
        "/executions/{execution_id}:wait",
        Execution,
        {"execution_id": execution_id},
        query={"timeout_ms": timeout_ms},
    )
