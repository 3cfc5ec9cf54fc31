"""Dead letters: executions given up on, one by one, by what went wrong, or many at once."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from mainspring.api.call import Changing, PageQuery, Reading, Reply
from mainspring.api.routes.executions import ExecutionId, own_payload
from mainspring.api.routes.jobs import submit
from mainspring.api.routing import Routes
from mainspring.api.shapes import base, work
from mainspring.api.show import execution_row
from mainspring.control.letter_groups import letter_groups
from mainspring.control.scheduler import SchedulerService
from mainspring.errors import NotFoundError
from mainspring.model.nouns import Noun
from mainspring.model.redact import redacted
from mainspring.model.wire import record_to_wire
from mainspring.ports.store import Tx

routes = Routes("dead letters", "/api/v1/platforms/{platform_id}/dead-letters")


@routes.on("GET", "", scope="deadletters:read", answers=base.Page[work.DeadLetter])
async def list_dead_letters(call: Reading, query: PageQuery) -> Response:
    """List dead letters, newest first; the closed ones among them."""
    return await call.page(Noun.DEAD_LETTERS, query, lambda tx, rows: [redacted(record_to_wire(row)) for row in rows])


@routes.on("GET", "/groups", scope="deadletters:read", answers=work.LetterGroups)
async def group_dead_letters(call: Reading) -> Response:
    """Group open dead letters by what went wrong, the largest group first."""
    groups, complete = await call.read(lambda tx: letter_groups(tx, call.platform_id))
    return call.answer(Reply({"data": [redacted(group.to_wire()) for group in groups], "complete": complete}))


@routes.on("POST", ":bulk", scope="deadletters:write", answers=work.Operation, status=202)
async def bulk_dead_letters(call: Changing, body: work.BulkRequest) -> Response:
    """Redrive or discard many dead letters as one operation."""
    return await submit(call, Noun.DEAD_LETTERS, body)


@routes.on("GET", "/{execution_id}", scope="deadletters:read", answers=work.DeadLetter)
async def get_dead_letter(call: Reading, execution_id: ExecutionId) -> Response:
    """Show one dead letter."""
    return call.answer(Reply(await call.read(lambda tx: _letter(tx, call.platform_id, execution_id))))


@routes.on("POST", "/{execution_id}:redrive", scope="deadletters:write", answers=work.Execution, status=201)
async def redrive_dead_letter(call: Changing, execution_id: ExecutionId, body: work.Again | None = None) -> Response:
    """Run a dead letter's execution again, as a new one, and close the letter."""
    payload = own_payload(call, body)
    return await call.change(
        SchedulerService,
        lambda service: service.redrive(execution_id, payload=payload),
        lambda made: Reply(execution_row(call, made), 201),
    )


@routes.on("POST", "/{execution_id}:discard", scope="deadletters:write", answers=None, status=204)
async def discard_dead_letter(call: Changing, execution_id: ExecutionId, body: work.Because) -> Response:
    """Close a dead letter without running it."""
    return await call.change(
        SchedulerService,
        lambda service: service.discard(execution_id, reason=body.reason),
        lambda _: Reply(status=204),
    )


def _letter(tx: Tx, platform_id: str, execution_id: str) -> dict[str, Any]:
    letter = tx.dead_letters.get(execution_id)
    if letter is None or letter.platform_id != platform_id:
        raise NotFoundError("dead letter", execution_id)
    found: dict[str, Any] = redacted(record_to_wire(letter))
    return found
