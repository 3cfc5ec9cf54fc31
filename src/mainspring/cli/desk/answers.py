"""What a database's desk answers: one function for each ask, from `control` alone.

The names are those of the OpenAPI document. A test asks server and database the same and compares.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.cli.desk.store import CONTENT, Answer, StoreDesk
from mainspring.client.ask import Ask
from mainspring.control import fleet, rows
from mainspring.control.doctor import examine, worst
from mainspring.control.explain import explain_execution, explain_job
from mainspring.control.figures import job_stats, last_hour
from mainspring.control.keys import MadeKey, key_to_wire
from mainspring.control.letter_groups import letter_groups
from mainspring.control.operations import Bulk, operation_to_wire, run_step
from mainspring.control.platforms import existing_platform, platform_to_wire
from mainspring.control.status import collect_status
from mainspring.control.transport import collect_transport
from mainspring.control.watermark import read_watermark
from mainspring.control.webhooks import NewSecret, delivery_to_wire, post_trial, webhook_to_wire
from mainspring.errors import NotFoundError
from mainspring.model.execution import Execution
from mainspring.model.filters import Compare
from mainspring.model.node import Limit
from mainspring.model.nouns import Noun
from mainspring.model.policy import Overlap
from mainspring.model.redact import redacted
from mainspring.model.wire import instant
from mainspring.moves.jobs import existing
from mainspring.ports.store import Tx

ANSWERS: dict[str, Answer] = {}


def answers(function: Answer) -> Answer:
    """Keep a function as the answer to the ask of its name."""
    ANSWERS[function.__name__] = function
    return function


def _revision(ask: Ask[Any]) -> int | None:
    return int(ask.if_match[2:-1]) if ask.if_match and ask.if_match != "*" else None


def _at(value: Any) -> datetime | None:
    """Return an instant of a body, as it stands in UTC."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.astimezone(UTC) if isinstance(found, datetime) else None


# -- jobs --------------------------------------------------------------------------------------------------------


@answers
async def list_jobs(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.JOBS, ask, lambda tx, found: rows.job_rows(tx, found, content=CONTENT))


@answers
async def get_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    view = await desk.scheduler.get_job(ask.values["job"])
    return rows.job_row(view.job, view.stats, content=CONTENT)


@answers
async def create_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    fields = {name: value for name, value in (ask.body or {}).items() if value is not None}
    rows.refuse_hidden(fields.get("payload"))
    return rows.changed_row(await desk.scheduler.create_job(fields), content=CONTENT)


@answers
async def update_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    changes = ask.body or {}
    rows.refuse_hidden(changes.get("payload"))
    done = await desk.scheduler.update_job(ask.values["job"], changes, expected_revision=_revision(ask))
    return rows.changed_row(done, content=CONTENT)


@answers
async def archive_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    done = await desk.scheduler.delete_job(ask.values["job"], expected_revision=_revision(ask))
    return rows.changed_row(done, content=CONTENT)


@answers
async def pause_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    done = await desk.scheduler.pause_job(ask.values["job"], reason=body["reason"], until=_at(body.get("until")))
    return rows.changed_row(done, content=CONTENT)


@answers
async def resume_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    done = await desk.scheduler.resume_job(ask.values["job"], catch_up=bool((ask.body or {}).get("catch_up")))
    return rows.changed_row(done, content=CONTENT)


@answers
async def trigger_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    rows.refuse_hidden(body.get("payload"))
    made = await desk.scheduler.trigger_job(
        ask.values["job"],
        payload=body.get("payload"),
        overlap=Overlap(body["overlap"]) if body.get("overlap") else None,
        idempotency_key=body.get("idempotency_key"),
    )
    return rows.execution_row(made, content=CONTENT)


@answers
async def skip_occurrence(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    at = None if body.get("occurrence", "next") == "next" else _at(body["occurrence"])
    return rows.decision_row(await desk.scheduler.skip_occurrence(ask.values["job"], reason=body["reason"], at=at))


@answers
async def backfill_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = dict(ask.body or {})
    rows.refuse_hidden(body.get("payload"))
    since, until = _at(body.pop("from")), _at(body.pop("to"))
    assert since is not None
    assert until is not None
    operation, instants = await desk.operations.backfill(ask.values["job"], since=since, until=until, **body)
    return operation_to_wire(operation) | {"instants": rows.backfill_rows(instants)}


@answers
async def revert_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    revision = (ask.body or {})["revision"]
    done = await desk.scheduler.revert_job(ask.values["job"], revision, expected_revision=_revision(ask))
    return rows.changed_row(done, content=CONTENT)


@answers
async def list_revisions(desk: StoreDesk, ask: Ask[Any]) -> Any:
    def found(tx: Tx) -> Any:
        kept = tx.jobs.revisions(existing(tx, desk.platform_id, ask.values["job"]).id)
        return [
            {"revision": number, "at": instant(at), "actor": actor, "definition": redacted(definition)}
            for number, at, actor, definition in kept
        ]

    return {"data": await desk.read(found)}


@answers
async def next_runs(desk: StoreDesk, ask: Ask[Any]) -> Any:
    job, count = ask.values["job"], ask.query.get("count") or 10
    start, end = _at(ask.query.get("from")), _at(ask.query.get("to"))
    return await desk.read(
        lambda tx: fleet.next_runs(tx, desk.app.schedules, desk.platform_id, job, count=count, start=start, end=end)
    )


@answers
async def list_occurrences(desk: StoreDesk, ask: Ask[Any]) -> Any:
    job_id = await desk.read(lambda tx: existing(tx, desk.platform_id, ask.values["job"]).id)
    return await desk.page(
        Noun.DECISIONS, ask, lambda tx, found: [rows.decision_row(row) for row in found], Compare("job_id", "=", job_id)
    )


@answers
async def get_stats(desk: StoreDesk, ask: Ask[Any]) -> Any:
    span = timedelta(milliseconds=ask.query.get("range_ms") or 7 * 86_400_000)
    return await desk.read(lambda tx: job_stats(tx, desk.platform_id, ask.values["job"], span))


@answers
async def explain(desk: StoreDesk, ask: Ask[Any]) -> Any:
    job, at, event = ask.values["job"], ask.query.get("at"), ask.query.get("event")
    told = await desk.read(lambda tx: explain_job(tx, desk.app.schedules, desk.platform_id, job, at, event=event))
    return redacted(told.to_wire())


# -- executions and dead letters ---------------------------------------------------------------------------------


def _existing_execution(desk: StoreDesk, tx: Tx, ask: Ask[Any]) -> Execution:
    execution_id = ask.values["execution_id"]
    found = tx.executions.get(execution_id)
    if found is None or found.platform_id != desk.platform_id:
        raise NotFoundError("execution", execution_id)
    return found


@answers
async def list_executions(desk: StoreDesk, ask: Ask[Any]) -> Any:
    content = "payload" in (ask.query.get("include") or "")
    return await desk.page(
        Noun.EXECUTIONS, ask, lambda tx, found: [rows.execution_row(row, content=content) for row in found]
    )


@answers
async def get_execution(desk: StoreDesk, ask: Ask[Any]) -> Any:
    view = await desk.scheduler.get_execution(ask.values["execution_id"])
    return rows.execution_row(view.execution, content=CONTENT) | {
        "attempts": [rows.record_row(attempt) for attempt in view.attempts],
        "decision": rows.decision_row(view.decision) if view.decision is not None else None,
    }


@answers
async def get_logs(desk: StoreDesk, ask: Ask[Any]) -> Any:
    after, limit = ask.query.get("after") or 0, ask.query.get("limit") or 500

    def found(tx: Tx) -> Any:
        execution = _existing_execution(desk, tx, ask)
        lines = tx.logs.read(execution.id, after=after, limit=limit)
        return {
            "lines": [rows.log_row(line) for line in lines],
            "last": lines[-1].line if lines else after,
            "ended": execution.status.terminal and len(lines) < limit,
        }

    return await desk.read(found)


@answers
async def explain_an_execution(desk: StoreDesk, ask: Ask[Any]) -> Any:
    told = await desk.read(lambda tx: explain_execution(tx, desk.platform_id, ask.values["execution_id"]))
    return redacted(told.to_wire())


@answers
async def cancel_execution(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    done = await desk.scheduler.cancel_execution(
        ask.values["execution_id"], reason=body.get("reason", "cancelled"), force=bool(body.get("force"))
    )
    return rows.execution_row(done, content=CONTENT)


@answers
async def retry_execution(desk: StoreDesk, ask: Ask[Any]) -> Any:
    payload = (ask.body or {}).get("payload")
    rows.refuse_hidden(payload)
    made = await desk.scheduler.retry_execution(ask.values["execution_id"], payload=payload)
    return rows.execution_row(made, content=CONTENT)


@answers
async def list_dead_letters(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.DEAD_LETTERS, ask, lambda tx, found: [rows.record_row(row) for row in found])


@answers
async def group_dead_letters(desk: StoreDesk, ask: Ask[Any]) -> Any:
    groups, complete = await desk.read(lambda tx: letter_groups(tx, desk.platform_id))
    return {"data": [redacted(group.to_wire()) for group in groups], "complete": complete}


@answers
async def redrive_dead_letter(desk: StoreDesk, ask: Ask[Any]) -> Any:
    payload = (ask.body or {}).get("payload")
    rows.refuse_hidden(payload)
    made = await desk.scheduler.redrive(ask.values["execution_id"], payload=payload)
    return rows.execution_row(made, content=CONTENT)


@answers
async def discard_dead_letter(desk: StoreDesk, ask: Ask[Any]) -> Any:
    await desk.scheduler.discard(ask.values["execution_id"], reason=(ask.body or {})["reason"])


# -- operations --------------------------------------------------------------------------------------------------


async def _submit(desk: StoreDesk, noun: Noun, ask: Ask[Any]) -> Any:
    body = dict(ask.body or {})
    body["ids"] = tuple(body.get("ids") or ())
    return operation_to_wire(await desk.operations.submit(Bulk(noun, **body)))


@answers
async def bulk_jobs(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _submit(desk, Noun.JOBS, ask)


@answers
async def bulk_executions(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _submit(desk, Noun.EXECUTIONS, ask)


@answers
async def bulk_dead_letters(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _submit(desk, Noun.DEAD_LETTERS, ask)


@answers
async def list_operations(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.OPERATIONS, ask, lambda tx, found: [operation_to_wire(row) for row in found])


@answers
async def get_operation(desk: StoreDesk, ask: Ask[Any]) -> Any:
    # Servers do the steps of operations. Where none may be running, whoever asks how far one is does some of them.
    await run_step(desk.app.store, desk.app.schedules)
    return operation_to_wire(await desk.operations.get(ask.values["operation_id"]))


@answers
async def pause_operation(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return operation_to_wire(await desk.operations.pause(ask.values["operation_id"]))


@answers
async def resume_operation(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return operation_to_wire(await desk.operations.resume(ask.values["operation_id"]))


@answers
async def cancel_operation(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return operation_to_wire(await desk.operations.cancel(ask.values["operation_id"]))


# -- events ------------------------------------------------------------------------------------------------------


@answers
async def list_events(desk: StoreDesk, ask: Ask[Any]) -> Any:
    content = "payload" in (ask.query.get("include") or "")
    return await desk.page(Noun.EVENTS, ask, lambda tx, found: [rows.event_row(row, content=content) for row in found])


@answers
async def publish_event(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    rows.refuse_hidden(body.get("data"), "data")
    done = await desk.scheduler.handle_event(
        body["type"],
        body.get("data"),
        id=body.get("id"),
        source=body.get("source", "api"),
        subject=body.get("subject"),
    )
    return rows.published_row(done)


@answers
async def test_match(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    event = body["event"]
    found = await desk.scheduler.match_event(
        body["job"],
        event["type"],
        event.get("data"),
        id=event.get("id") or "test",
        source=event.get("source", "api"),
        subject=event.get("subject"),
    )
    return found.to_wire()


# -- webhooks ----------------------------------------------------------------------------------------------------


def _made_webhook(made: NewSecret) -> Any:
    return webhook_to_wire(made.webhook) | {"secret": made.secret}


@answers
async def list_webhooks(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": [webhook_to_wire(webhook) for webhook in await desk.webhooks.find()]}


@answers
async def create_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return _made_webhook(await desk.webhooks.create(**(ask.body or {})))


@answers
async def delete_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    await desk.webhooks.delete(ask.values["webhook_id"])


@answers
async def enable_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return webhook_to_wire(await desk.webhooks.enable(ask.values["webhook_id"], url=(ask.body or {}).get("url")))


@answers
async def disable_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return webhook_to_wire(await desk.webhooks.disable(ask.values["webhook_id"], reason=(ask.body or {})["reason"]))


@answers
async def rotate_webhook_secret(desk: StoreDesk, ask: Ask[Any]) -> Any:
    overlap = timedelta(milliseconds=(ask.body or {}).get("overlap_ms", 86_400_000))
    return _made_webhook(await desk.webhooks.rotate(ask.values["webhook_id"], keep=overlap))


@answers
async def post_test_event(desk: StoreDesk, ask: Ask[Any]) -> Any:
    from mainspring.app.wiring import webhook_sender

    test = await desk.webhooks.prepare_test(ask.values["webhook_id"])
    posted = await post_trial(test, webhook_sender(desk.app.settings, desk.app.parts))
    return {"reception": posted.reception.value, "detail": posted.detail}


@answers
async def list_deliveries(desk: StoreDesk, ask: Ask[Any]) -> Any:
    webhook_id = ask.values["webhook_id"]
    await desk.webhooks.get(webhook_id)
    fixed = Compare("webhook_id", "=", webhook_id)
    return await desk.page(
        Noun.WEBHOOK_DELIVERIES, ask, lambda tx, found: [delivery_to_wire(row) for row in found], fixed
    )


# -- the fleet ---------------------------------------------------------------------------------------------------


@answers
async def list_handlers(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(lambda tx: fleet.handler_rows(tx, desk.platform_id))}


@answers
async def get_handler(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: fleet.handler_row(tx, desk.platform_id, ask.values["handler"]))


@answers
async def list_workers(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(fleet.worker_rows)}


@answers
async def list_dispatchers(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(fleet.dispatcher_rows)}


@answers
async def list_queues(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": (await desk.read(lambda tx: collect_status(tx, desk.platform_id).to_wire()))["queues"]}


@answers
async def get_overview(desk: StoreDesk, ask: Ask[Any]) -> Any:
    def found(tx: Tx) -> Any:
        return collect_status(tx, desk.platform_id), last_hour(tx, desk.platform_id)

    status, hour = await desk.read(found)
    transport = await collect_transport(desk.app.store, desk.app.transport)
    # Streams are the whole fleet's, all platforms' queues among them: told to whoever has the database alone.
    shown = status if transport.kind == "database" else replace(status, transport=transport)
    return shown.to_wire() | {"last_hour": hour}


@answers
async def get_watermark(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: read_watermark(tx, desk.platform_id).to_wire())


@answers
async def get_metrics(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return dict(await desk.scheduler.get_metrics())


@answers
async def get_findings(desk: StoreDesk, ask: Ask[Any]) -> Any:
    found = await desk.read(lambda tx: examine(tx, desk.app.schedules, desk.platform_id))
    return {"status": worst(found).value, "findings": [finding.to_wire() for finding in found]}


@answers
async def list_limits(desk: StoreDesk, ask: Ask[Any]) -> Any:
    limits = await desk.read(lambda tx: tx.platforms.limits(desk.platform_id))
    return {"data": [fleet.limit_row(limit) for limit in limits]}


@answers
async def put_limit(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _put_limit(desk, ask, ask.values["scope"], ask.values["name"])


@answers
async def put_platform_limit(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await _put_limit(desk, ask, "platform", "")


async def _put_limit(desk: StoreDesk, ask: Ask[Any], scope: str, name: str) -> Any:
    limit = Limit(desk.platform_id, scope, name, **{"rate_per": 1.0, **(ask.body or {})})
    await desk.scheduler.put_limit(limit)
    return fleet.limit_row(limit)


@answers
async def list_calendars(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": await desk.read(lambda tx: fleet.calendar_rows(tx, desk.platform_id))}


@answers
async def get_calendar(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: fleet.existing_calendar(tx, desk.platform_id, ask.values["name"]))


@answers
async def put_calendar(desk: StoreDesk, ask: Ask[Any]) -> Any:
    name = ask.values["name"]
    dates = fleet.calendar_dates(name, ask.body or {})
    await desk.scheduler.put_calendar(name, dates)
    return fleet.calendar_row(name, frozenset(dates))


# -- what keepers look after -------------------------------------------------------------------------------------


def _made(made: MadeKey) -> Any:
    return key_to_wire(made.key) | {"secret": made.text}


@answers
async def list_keys(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.KEYS, ask, lambda tx, found: [key_to_wire(row) for row in found])


@answers
async def create_key(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = dict(ask.body or {})
    return _made(await desk.keys.create(**{**body, "expires_at": _at(body.get("expires_at"))}))


@answers
async def rotate_key(desk: StoreDesk, ask: Ask[Any]) -> Any:
    overlap = timedelta(milliseconds=(ask.body or {}).get("overlap_ms", 86_400_000))
    return _made(await desk.keys.rotate(ask.values["key_id"], overlap=overlap))


@answers
async def revoke_key(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return key_to_wire(await desk.keys.revoke(ask.values["key_id"]))


@answers
async def list_audit(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.page(Noun.AUDIT, ask, lambda tx, found: [rows.audit_row(row) for row in found])


@answers
async def get_platform(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.read(lambda tx: platform_to_wire(existing_platform(tx, desk.platform_id)))


@answers
async def get_usage(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return await desk.platforms.usage()
