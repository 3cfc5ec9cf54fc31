"""Executions: the work that jobs, triggers and enqueues made."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mainspring.api.call import Call, Changing, PageQuery, Reading, Reply, encoded
from mainspring.api.guard import PUBLIC, Guard
from mainspring.api.routes.jobs import submit
from mainspring.api.routing import Routes
from mainspring.api.shapes import base, jobs, work
from mainspring.api.show import as_utc, decision_row, execution_row, refuse_hidden
from mainspring.api.streams import Streams
from mainspring.control.callbacks import Signed, callback_secret, check_callback, settle_callback
from mainspring.control.executions import ExecutionView
from mainspring.control.explain import explain_execution
from mainspring.control.rows import log_row
from mainspring.control.scheduler import SchedulerService
from mainspring.errors import NotFoundError, UnauthorizedError
from mainspring.model.execution import Execution
from mainspring.model.nouns import Noun
from mainspring.model.redact import redacted
from mainspring.model.wire import instant, record_to_wire, retry_from_wire
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.store import Tx

routes = Routes("executions", "/api/v1/platforms/{platform_id}/executions")

ExecutionId = Annotated[str, Path(min_length=1, max_length=64, description="An execution's id.")]


@routes.on("GET", "", scope="executions:read", answers=base.Page[work.Execution])
async def list_executions(call: Reading, query: PageQuery) -> Response:
    """List executions, newest first; of the last 7 days unless the filter names created_at."""
    content = "payload" in query.include.split(",")
    return await call.page(
        Noun.EXECUTIONS, query, lambda tx, rows: [execution_row(call, row, content=content) for row in rows]
    )


@routes.on("POST", "", scope="executions:create", answers=work.Execution, status=201)
async def enqueue(call: Changing, body: work.NewExecution) -> Response:
    """Make an execution of a handler, without a job."""
    return await call.change(
        SchedulerService,
        lambda service: service.enqueue([_request(body)]),
        lambda made: Reply(execution_row(call, made[0]), 201),
    )


@routes.on("POST", ":batch", scope="executions:create", answers=base.Listed[work.Execution], status=201)
async def enqueue_many(call: Changing, body: work.NewExecutions) -> Response:
    """Make up to 1,000 executions; all of them or none."""
    return await call.change(
        SchedulerService,
        lambda service: service.enqueue([_request(one) for one in body.executions]),
        lambda made: Reply({"data": [execution_row(call, one, content=False) for one in made]}, 201),
    )


@routes.on("POST", ":bulk", scope="executions:write", answers=work.Operation, status=202)
async def bulk_executions(call: Changing, body: work.BulkRequest) -> Response:
    """Cancel or retry many executions as one operation."""
    return await submit(call, Noun.EXECUTIONS, body)


@routes.on("GET", "/{execution_id}:wait", scope="executions:read", answers=work.Execution)
async def wait_for_execution(
    call: Reading,
    execution_id: ExecutionId,
    timeout_ms: Annotated[int, Query(ge=0, le=60_000, description="Longest time until the answer.")] = 30_000,
) -> Response:
    """Answer with an execution as soon as it has ended, or as it is after the timeout."""
    seconds = timeout_ms / 1000
    call.request.state.allow(seconds + 30)

    async def look() -> tuple[Execution, bool]:
        found = await call.read(lambda tx: _existing(tx, call, execution_id))
        return found, found.status.terminal

    streams: Streams = call.request.app.state.streams
    found = await streams.until(
        call.principal.id, call.platform_id, lambda event: event.subject == execution_id, look, seconds
    )
    return call.answer(Reply(execution_row(call, found)))


@routes.on("GET", "/{execution_id}", scope="executions:read", answers=work.ExecutionWithAttempts)
async def get_execution(call: Reading, execution_id: ExecutionId) -> Response:
    """Show an execution with its attempts and the decision that made it."""

    def found(tx: Tx) -> ExecutionView:
        execution = _existing(tx, call, execution_id)
        attempts = tuple(tx.executions.attempts(execution_id))
        return ExecutionView(execution, attempts, tx.decisions.of_execution(execution_id))

    view = await call.read(found)
    body = execution_row(call, view.execution)
    body["attempts"] = [redacted(record_to_wire(attempt)) for attempt in view.attempts]
    body["decision"] = decision_row(view.decision) if view.decision is not None else None
    return call.answer(Reply(body))


@routes.on("GET", "/{execution_id}/attempts", scope="executions:read", answers=base.Listed[work.Attempt])
async def list_attempts(call: Reading, execution_id: ExecutionId) -> Response:
    """List the ended attempts of an execution that were not its successful first."""

    def found(tx: Tx) -> list[dict[str, Any]]:
        _existing(tx, call, execution_id)
        return [redacted(record_to_wire(attempt)) for attempt in tx.executions.attempts(execution_id)]

    return call.answer(Reply({"data": await call.read(found)}))


@routes.on("GET", "/{execution_id}/logs", scope="logs:read", answers=work.Log)
async def get_logs(
    call: Reading,
    execution_id: ExecutionId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Lines with a higher number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Response:
    """Read an execution's log lines by number."""

    def found(tx: Tx) -> dict[str, Any]:
        execution = _existing(tx, call, execution_id)
        lines = tx.logs.read(execution_id, after=after, limit=limit)
        return {
            "lines": [log_row(line) for line in lines],
            "last": lines[-1].line if lines else after,
            "ended": execution.status.terminal and len(lines) < limit,
        }

    return call.answer(Reply(await call.read(found)))


@routes.on("GET", "/{execution_id}/explain", scope="executions:read", answers=jobs.Explanation)
async def explain_an_execution(call: Reading, execution_id: ExecutionId) -> Response:
    """Say where an execution stands and what it waits for."""
    told = await call.read(lambda tx: explain_execution(tx, call.platform_id, execution_id))
    return call.answer(Reply(redacted(told.to_wire())))


@routes.on("POST", "/{execution_id}:cancel", scope="executions:write", answers=work.Execution)
async def cancel_execution(call: Changing, execution_id: ExecutionId, body: work.Cancel | None = None) -> Response:
    """Cancel an execution: at once where it has not started, else it is told to stop."""
    asked = body or work.Cancel()
    return await call.change(
        SchedulerService,
        lambda service: service.cancel_execution(execution_id, reason=asked.reason, force=asked.force),
        lambda done: Reply(execution_row(call, done)),
    )


@routes.on("POST", "/{execution_id}:retry", scope="executions:write", answers=work.Execution, status=201)
async def retry_execution(call: Changing, execution_id: ExecutionId, body: work.Again | None = None) -> Response:
    """Run an ended execution again, as a new one that names it."""
    payload = own_payload(call, body)
    return await call.change(
        SchedulerService,
        lambda service: service.retry_execution(execution_id, payload=payload),
        lambda made: Reply(execution_row(call, made), 201),
    )


@routes.on("POST", "/{execution_id}:redrive", scope="deadletters:write", answers=work.Execution, status=201)
async def redrive_execution(call: Changing, execution_id: ExecutionId, body: work.Again | None = None) -> Response:
    """Run a dead letter's execution again, and close the letter."""
    payload = own_payload(call, body)
    return await call.change(
        SchedulerService,
        lambda service: service.redrive(execution_id, payload=payload),
        lambda made: Reply(execution_row(call, made), 201),
    )


@routes.on("GET", "/{execution_id}/callback", scope="executions:create", answers=work.CallbackTarget)
async def get_callback(call: Reading, execution_id: ExecutionId) -> Response:
    """Tell where and with which secret a waiting execution's end is reported."""
    execution, secret = await call.state.store().read(lambda tx: _callback(tx, call, execution_id))
    url = call.request.url.replace(query="")
    body = {
        "url": str(url.replace(path=f"/api/v1/platforms/{call.platform_id}/executions/{execution_id}:callback")),
        "secret": secret,
        "execution_id": execution_id,
        "fence": execution.fence,
        "expires_at": instant(execution.deadline_at),
    }
    return call.answer(Reply(body))


@routes.on("POST", "/{execution_id}:callback", scope=PUBLIC, answers=work.Execution)
async def receive_callback(
    request: Request, platform_id: str, execution_id: ExecutionId, body: work.CallbackBody
) -> Response:
    """Take the end of a waiting execution, signed as Standard Webhooks are; the same one again changes nothing."""
    headers = request.headers
    signed = Signed(
        headers.get("webhook-id", "")[:256],
        headers.get("webhook-timestamp", "")[:20],
        headers.get("webhook-signature", "")[:2048],
        await request.body(),
    )
    outcome = body.model_dump(mode="json")
    draw = request.app.state.random.random()
    store, sealer = request.app.state.api.store(), request.app.state.api.sealer()
    guard: Guard = request.app.state.guard
    try:  # by a read: what anybody can send writes nothing and waits for no lock
        await store.read(lambda tx: check_callback(tx, execution_id, signed, sealer))
    except UnauthorizedError:
        guard.count_stranger(request)
        raise

    def settle(tx: Tx) -> tuple[Execution, bool]:
        execution, changed = settle_callback(tx, execution_id, signed, outcome, draw, sealer)
        if execution.platform_id != platform_id:
            raise NotFoundError("execution", execution_id)
        return execution, changed

    execution, _ = await store.write(settle)
    told = {"id": execution.id, "status": execution.status.value, "finished_at": instant(execution.finished_at)}
    return Response(encoded(told), media_type="application/json")


def _callback(tx: Tx, call: Call, execution_id: str) -> tuple[Execution, str]:
    return callback_secret(tx, call.platform_id, execution_id, call.state.sealer())


def own_payload(call: Call, body: work.Again | None) -> dict[str, Any] | None:
    """Return a payload somebody wants instead of the execution's own, if they may."""
    if body is None or body.payload is None:
        return None
    call.require("jobs:write", "a payload of one's own changes what is done")
    refuse_hidden(body.payload)
    return body.payload


def _existing(tx: Tx, call: Call, execution_id: str) -> Execution:
    execution = tx.executions.get(execution_id)
    if execution is None or execution.platform_id != call.platform_id:
        raise NotFoundError("execution", execution_id)
    return execution


def _request(body: work.NewExecution) -> EnqueueRequest:
    refuse_hidden(body.payload)
    retry = body.retry.model_dump(mode="json", exclude_unset=True) if body.retry is not None else {}
    deadline = body.start_deadline_ms
    return EnqueueRequest(
        body.handler,
        body.payload,
        run_at=as_utc(body.run_at),
        priority=body.priority,
        queue=body.queue,
        concurrency_key=body.concurrency_key,
        concurrency_limit=body.concurrency_limit,
        timeout=timedelta(milliseconds=body.timeout_ms),
        retry=retry_from_wire(retry),
        isolation=body.isolation.value if body.isolation is not None else None,
        start_deadline=timedelta(milliseconds=deadline) if deadline is not None else None,
        idempotency_key=body.idempotency_key,
    )
