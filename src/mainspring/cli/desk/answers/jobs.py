"""What a database's desk answers about jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mainspring.cli.desk.answers.kept import answers, instant_of, revision_of
from mainspring.cli.desk.store import CONTENT, StoreDesk
from mainspring.client.ask import Ask
from mainspring.control import fleet, rows
from mainspring.control.explain import explain_job
from mainspring.control.figures import job_stats
from mainspring.control.operations import operation_to_wire
from mainspring.model.filters import Compare
from mainspring.model.nouns import Noun
from mainspring.model.policy import Overlap
from mainspring.model.redact import redacted
from mainspring.model.wire import instant
from mainspring.moves.jobs import existing
from mainspring.ports.store import Tx


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
    done = await desk.scheduler.update_job(ask.values["job"], changes, expected_revision=revision_of(ask))
    return rows.changed_row(done, content=CONTENT)


@answers
async def archive_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    done = await desk.scheduler.delete_job(ask.values["job"], expected_revision=revision_of(ask))
    return rows.changed_row(done, content=CONTENT)


@answers
async def pause_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    done = await desk.scheduler.pause_job(ask.values["job"], reason=body["reason"], until=instant_of(body.get("until")))
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
    at = None if body.get("occurrence", "next") == "next" else instant_of(body["occurrence"])
    return rows.decision_row(await desk.scheduler.skip_occurrence(ask.values["job"], reason=body["reason"], at=at))


@answers
async def backfill_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = dict(ask.body or {})
    rows.refuse_hidden(body.get("payload"))
    since, until = instant_of(body.pop("from")), instant_of(body.pop("to"))
    assert since is not None
    assert until is not None
    operation, instants = await desk.operations.backfill(ask.values["job"], since=since, until=until, **body)
    return operation_to_wire(operation) | {"instants": rows.backfill_rows(instants)}


@answers
async def revert_job(desk: StoreDesk, ask: Ask[Any]) -> Any:
    revision = (ask.body or {})["revision"]
    done = await desk.scheduler.revert_job(ask.values["job"], revision, expected_revision=revision_of(ask))
    return rows.changed_row(done, content=CONTENT)


@answers
async def list_revisions(desk: StoreDesk, ask: Ask[Any]) -> Any:
    def found(tx: Tx) -> Any:
        one = existing(tx, desk.platform_id, ask.values["job"])
        kept = tx.jobs.revisions(one.id, before=ask.query.get("before"), limit=ask.query.get("page_size") or 50)
        return [
            {"revision": number, "at": instant(at), "actor": actor, "definition": redacted(definition)}
            for number, at, actor, definition in kept
        ]

    return {"data": await desk.read(found)}


@answers
async def next_runs(desk: StoreDesk, ask: Ask[Any]) -> Any:
    job, count = ask.values["job"], ask.query.get("count") or 10
    start, end = instant_of(ask.query.get("from")), instant_of(ask.query.get("to"))
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
