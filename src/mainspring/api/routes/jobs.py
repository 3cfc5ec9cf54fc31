"""Jobs: what runs, when and how; and all that is asked about one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Body, Path, Query
from starlette.responses import Response

from mainspring.api.call import Call, Changing, IfMatch, PageQuery, Reading, Reply, revision_of
from mainspring.api.problems import ApiError
from mainspring.api.routing import Routes
from mainspring.api.shapes import base, jobs, work
from mainspring.api.show import (
    as_utc,
    aware,
    changed_job,
    decision_row,
    etag,
    execution_row,
    job_row,
    job_rows,
    operation_row,
    refuse_hidden,
)
from mainspring.control.explain import explain_job
from mainspring.control.figures import heatmap, job_stats
from mainspring.control.fleet import next_runs as runs_of
from mainspring.control.operations import Bulk, OperationService
from mainspring.control.rows import backfill_rows
from mainspring.control.scheduler import SchedulerService
from mainspring.errors import ValidationError
from mainspring.model.filters import Compare
from mainspring.model.nouns import Noun
from mainspring.model.redact import redacted
from mainspring.model.wire import DEFINITION_FIELDS, instant
from mainspring.moves.jobs import existing
from mainspring.ports.store import Tx

routes = Routes("jobs", "/api/v1/platforms/{platform_id}/jobs")

JobName = Annotated[str, Path(min_length=1, max_length=128, description="A job's name or id.")]
#: Most instants one question looks at.
_INSTANTS = 500


@routes.on("GET", "", scope="jobs:read", answers=base.Page[jobs.Job])
async def list_jobs(call: Reading, query: PageQuery) -> Response:
    """List jobs by name; archived ones only where the filter asks for a status."""
    return await call.page(Noun.JOBS, query, lambda tx, rows: job_rows(call, tx, rows))


@routes.on("POST", "", scope="jobs:write", answers=jobs.ChangedJob, status=201)
async def create_job(call: Changing, body: jobs.NewJob) -> Response:
    """Create a job. What it does not name comes from its handler's defaults."""
    fields = body.model_dump(mode="json", exclude_unset=True)
    fields = {name: value for name, value in fields.items() if value is not None}
    refuse_hidden(fields.get("payload"))
    return await call.change(
        SchedulerService, lambda service: service.create_job(fields), lambda done: changed_job(call, done, 201)
    )


@routes.on("POST", ":bulk", scope="jobs:run", answers=work.Operation, status=202)
async def bulk_jobs(call: Changing, body: work.BulkRequest) -> Response:
    """Pause, resume, trigger or archive many jobs as one operation."""
    if body.action == "archive":
        call.require("jobs:write", "archiving")
    return await submit(call, Noun.JOBS, body)


@routes.on("GET", "/{job}", scope="jobs:read", answers=jobs.Job)
async def get_job(call: Reading, job: JobName) -> Response:
    """Show a job by name or id."""

    def found(tx: Tx) -> Reply:
        one = existing(tx, call.platform_id, job)
        return Reply(job_row(call, one, tx.jobs.stats([one.id]).get(one.id)), etag=etag(one))

    return call.answer(await call.read(found))


@routes.on("PUT", "/{job}", scope="jobs:write", answers=jobs.ChangedJob)
async def put_job(call: Changing, job: JobName, body: jobs.NewJob, if_match: IfMatch = None) -> Response:
    """Create a job or replace its definition whole; If-Match says which revision, or `*`."""
    if if_match is None:
        raise ApiError(
            428, "precondition_required", 'send If-Match: "rN" with the revision it replaces, or If-Match: *'
        )
    if body.name != job:
        raise ValidationError(f"must be {job[:60]!r}, as in the path", field="name")
    fields = body.model_dump(mode="json", exclude_unset=True)
    refuse_hidden(fields.get("payload"))
    whole: dict[str, Any] = {name: fields.get(name) for name in DEFINITION_FIELDS}

    async def act(service: SchedulerService) -> Any:
        given = {name: value for name, value in fields.items() if value is not None}
        return await service.replace_job(whole, given, expected_revision=revision_of(if_match))

    return await call.change(SchedulerService, act, lambda done: changed_job(call, done, 201 if done.created else 200))


@routes.on("PATCH", "/{job}", scope="jobs:write", answers=jobs.ChangedJob)
async def update_job(
    call: Changing,
    job: JobName,
    body: Annotated[jobs.JobChanges, Body(media_type="application/json")],
    if_match: IfMatch = None,
) -> Response:
    """Change the fields named, as a merge patch; null returns one to its default."""
    changes = body.model_dump(mode="json", exclude_unset=True)
    refuse_hidden(changes.get("payload"))
    return await call.change(
        SchedulerService,
        lambda service: service.update_job(job, changes, expected_revision=revision_of(if_match)),
        lambda done: changed_job(call, done),
    )


@routes.on("DELETE", "/{job}", scope="jobs:write", answers=jobs.ChangedJob)
async def archive_job(call: Changing, job: JobName, if_match: IfMatch = None) -> Response:
    """Archive a job: it is decided no more, its name is free, its history stays."""
    return await call.change(
        SchedulerService,
        lambda service: service.delete_job(job, expected_revision=revision_of(if_match)),
        lambda done: changed_job(call, done),
    )


@routes.on("POST", "/{job}:pause", scope="jobs:run", answers=jobs.ChangedJob)
async def pause_job(call: Changing, job: JobName, body: jobs.Pause, if_match: IfMatch = None) -> Response:
    """Stop deciding a job's instants until it is resumed, or until an instant."""
    call.expect(job, if_match)
    return await call.change(
        SchedulerService,
        lambda service: service.pause_job(job, reason=body.reason, until=as_utc(body.until)),
        lambda done: changed_job(call, done),
    )


@routes.on("POST", "/{job}:resume", scope="jobs:run", answers=jobs.ChangedJob)
async def resume_job(
    call: Changing, job: JobName, body: jobs.Resume | None = None, if_match: IfMatch = None
) -> Response:
    """Decide a paused job again."""
    call.expect(job, if_match)
    catch_up = body.catch_up if body is not None else False
    return await call.change(
        SchedulerService,
        lambda service: service.resume_job(job, catch_up=catch_up),
        lambda done: changed_job(call, done),
    )


@routes.on("POST", "/{job}:trigger", scope="jobs:run", answers=work.Execution, status=201)
async def trigger_job(
    call: Changing, job: JobName, body: jobs.Trigger | None = None, if_match: IfMatch = None
) -> Response:
    """Run a job now, under its policies."""
    call.expect(job, if_match)
    asked = body or jobs.Trigger()
    if asked.payload is not None:
        call.require("jobs:write", "a payload of one's own changes what the job does")
        refuse_hidden(asked.payload)
    return await call.change(
        SchedulerService,
        lambda service: service.trigger_job(
            job, payload=asked.payload, overlap=asked.overlap, idempotency_key=asked.idempotency_key
        ),
        lambda made: Reply(execution_row(call, made), 201),
    )


@routes.on("POST", "/{job}:skip", scope="jobs:run", answers=jobs.Decision)
async def skip_occurrence(call: Changing, job: JobName, body: jobs.Skip, if_match: IfMatch = None) -> Response:
    """Pass over the next instant of a job."""
    call.expect(job, if_match)
    at = as_utc(body.occurrence) if isinstance(body.occurrence, datetime) else None
    return await call.change(
        SchedulerService,
        lambda service: service.skip_occurrence(job, reason=body.reason, at=at),
        lambda made: Reply(decision_row(made)),
    )


@routes.on("POST", "/{job}:backfill", scope="jobs:run", answers=work.BackfillOperation, status=202)
async def backfill_job(call: Changing, job: JobName, body: jobs.Backfill, if_match: IfMatch = None) -> Response:
    """Run a job's past instants; the answer tells what becomes of the first of them."""
    call.expect(job, if_match)
    if body.payload is not None:
        call.require("jobs:write", "a payload of one's own changes what the job does")
        refuse_hidden(body.payload)
    since, until = body.since.astimezone(UTC), body.until.astimezone(UTC)

    def present(done: Any) -> Reply:
        operation, instants = done
        return Reply(operation_row(call, operation) | {"instants": backfill_rows(instants)}, 202)

    return await call.change(
        OperationService,
        lambda service: service.backfill(
            job,
            since=since,
            until=until,
            reprocess=body.reprocess,
            payload=body.payload,
            per_second=body.per_second,
        ),
        present,
    )


@routes.on("POST", "/{job}:revert", scope="jobs:write", answers=jobs.ChangedJob)
async def revert_job(call: Changing, job: JobName, body: jobs.Revert, if_match: IfMatch = None) -> Response:
    """Let a former revision's definition hold again, as a new revision."""
    return await call.change(
        SchedulerService,
        lambda service: service.revert_job(job, body.revision, expected_revision=revision_of(if_match)),
        lambda done: changed_job(call, done),
    )


@routes.on("GET", "/{job}/revisions", scope="jobs:read", answers=base.Listed[jobs.Revision])
async def list_revisions(
    call: Reading,
    job: JobName,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Revisions with a lower number.")] = None,
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """List a job's definitions, newest first."""

    def found(tx: Tx) -> list[dict[str, Any]]:
        one = existing(tx, call.platform_id, job)
        revisions = tx.jobs.revisions(one.id, before=before, limit=page_size)
        return [
            {"revision": number, "at": instant(at), "actor": actor, "definition": _definition(call, definition)}
            for number, at, actor, definition in revisions
        ]

    return call.answer(Reply({"data": await call.read(found)}))


@routes.on("GET", "/{job}/next", scope="jobs:read", answers=jobs.NextRuns)
async def next_runs(
    call: Reading,
    job: JobName,
    count: Annotated[int, Query(ge=1, le=_INSTANTS)] = 10,
    since: Annotated[base.Moment | None, Query(alias="from")] = None,
    until: Annotated[base.Moment | None, Query(alias="to")] = None,
) -> Response:
    """List the instants a job's schedule names from now on, or within a range that may be past."""
    start, end = aware(since, "from"), aware(until, "to")

    def found(tx: Tx) -> dict[str, Any]:
        return runs_of(tx, call.state.schedules, call.platform_id, job, count=count, start=start, end=end)

    return call.answer(Reply(await call.read(found)))


@routes.on("GET", "/{job}/occurrences", scope="jobs:read", answers=base.Page[jobs.Decision])
async def list_occurrences(call: Reading, job: JobName, query: PageQuery) -> Response:
    """List what became of each due instant of a job: the ledger."""
    return await call.page(
        Noun.DECISIONS, query, lambda tx, rows: [decision_row(row) for row in rows], _of_job(call, job)
    )


@routes.on("GET", "/{job}/executions", scope="executions:read", answers=base.Page[work.Execution])
async def list_job_executions(call: Reading, job: JobName, query: PageQuery) -> Response:
    """List a job's executions, newest first."""
    content = "payload" in query.include.split(",")
    return await call.page(
        Noun.EXECUTIONS,
        query,
        lambda tx, rows: [execution_row(call, row, content=content) for row in rows],
        _of_job(call, job),
    )


def _of_job(call: Call, job: str) -> Callable[[Tx], Compare]:
    return lambda tx: Compare("job_id", "=", existing(tx, call.platform_id, job).id)


@routes.on("GET", "/{job}/stats", scope="metrics:read", answers=jobs.Stats)
async def get_stats(
    call: Reading, job: JobName, range_ms: Annotated[int, Query(ge=60_000, le=366 * 86_400_000)] = 7 * 86_400_000
) -> Response:
    """Tell how a job went: outcomes, durations, start delays, its real cadence."""
    span = timedelta(milliseconds=range_ms)
    return call.answer(Reply(await call.read(lambda tx: job_stats(tx, call.platform_id, job, span))))


@routes.on("GET", "/{job}/heatmap", scope="metrics:read", answers=jobs.Heatmap)
async def get_heatmap(
    call: Reading,
    job: JobName,
    since: Annotated[base.Moment | None, Query(alias="from")] = None,
    until: Annotated[base.Moment | None, Query(alias="to")] = None,
    tz: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Count a job's executions by day and hour of a zone."""

    def found(tx: Tx) -> dict[str, Any]:
        end = aware(until, "to") or tx.now
        start = aware(since, "from") or end - timedelta(days=28)
        return heatmap(tx, call.platform_id, job, start, end, tz)

    return call.answer(Reply(await call.read(found)))


@routes.on("GET", "/{job}/explain", scope="jobs:read", answers=jobs.Explanation)
async def explain(
    call: Reading,
    job: JobName,
    at: Annotated[str | None, Query(max_length=64)] = None,
    event: Annotated[
        str | None, Query(max_length=600, description="Of an event job: an event's id, or source#id.")
    ] = None,
) -> Response:
    """Say why a job did (not) run at an instant, at a wall time of its zone, or with an event."""
    told = await call.read(lambda tx: explain_job(tx, call.state.schedules, call.platform_id, job, at, event=event))
    return call.answer(Reply(redacted(told.to_wire())))


async def submit(call: Call, noun: Noun, body: work.BulkRequest) -> Response:
    """Submit a bulk action and answer with its operation."""
    bulk = Bulk(
        noun,
        body.action,
        body.filter,
        tuple(body.ids or ()),
        body.params,
        body.per_second,
        body.stop_after_errors,
        body.expected_count,
        body.tolerance,
    )
    return await call.change(
        OperationService,
        lambda service: service.submit(bulk),
        lambda operation: Reply(operation_row(call, operation), 202),
    )


def _definition(call: Call, definition: Any) -> dict[str, Any]:
    shown = redacted(definition)
    return shown if call.sees_payloads else {**shown, "payload": None}
