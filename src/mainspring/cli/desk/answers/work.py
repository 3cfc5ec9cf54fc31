"""What a database's desk answers about executions, dead letters and bulk operations."""

from __future__ import annotations

from typing import Any

from mainspring.cli.desk.answers.kept import answers
from mainspring.cli.desk.store import CONTENT, StoreDesk
from mainspring.client.ask import Ask
from mainspring.control import rows
from mainspring.control.explain import explain_execution
from mainspring.control.letter_groups import letter_groups
from mainspring.control.operation_steps import run_step
from mainspring.control.operations import Bulk, operation_to_wire
from mainspring.errors import NotFoundError
from mainspring.model.execution import Execution
from mainspring.model.nouns import Noun
from mainspring.model.redact import redacted
from mainspring.ports.store import Tx


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
