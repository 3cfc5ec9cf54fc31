"""Events from outside: accepted once, listed, and tried on a schedule."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from starlette.responses import Response

from mainspring.api.call import Changing, PageQuery, Reading, Reply
from mainspring.api.routing import Routes
from mainspring.api.shapes import base, work
from mainspring.api.show import event_row, refuse_hidden
from mainspring.control.match import match_event
from mainspring.control.rows import published_row
from mainspring.control.scheduler import SchedulerService
from mainspring.errors import NotFoundError, ValidationError
from mainspring.model.events import Event
from mainspring.model.nouns import Noun
from mainspring.moves.events import Published, check_event
from mainspring.ports.store import Tx
from mainspring.schedule import validate_event_schedule

routes = Routes("events", "/api/v1/platforms/{platform_id}/events")


@routes.on("GET", "", scope="events:read", answers=base.Page[work.Event])
async def list_events(call: Reading, query: PageQuery) -> Response:
    """List accepted events, newest first; of the last 7 days unless the filter names at."""
    content = "payload" in query.include.split(",")
    return await call.page(Noun.EVENTS, query, lambda tx, rows: [event_row(call, row, content=content) for row in rows])


@routes.on("POST", "", scope="events:write", answers=work.PublishedEvent, status=201)
async def publish_event(call: Changing, body: work.NewEvent) -> Response:
    """Accept an event once by source and id, and run the event jobs it matches."""
    refuse_hidden(body.data, "data")
    return await call.change(
        SchedulerService,
        lambda service: service.handle_event(
            body.type, body.data, id=body.id, source=body.source, subject=body.subject
        ),
        _published,
    )


@routes.on("POST", ":test", scope="events:read", answers=work.MatchResult)
async def test_match(call: Reading, body: work.MatchTest) -> Response:
    """Tell whether an event would start a job with a schedule, and if not, why not; nothing is stored."""
    given = body.event
    if (body.job is None) == (body.schedule is None):
        raise ValidationError("give a job or a schedule, not both", field="job")

    def tried(tx: Tx) -> dict[str, Any]:
        event = Event(given.id or "test", given.type, call.platform_id, tx.now, given.source, given.subject, given.data)
        if body.job is not None:
            return match_event(tx, call.state.schedules, body.job, event).to_wire()
        check_event(event)
        objection = validate_event_schedule(body.schedule or {}).objection(event)
        if objection is None:
            return {"job": None, "matches": True, "why": "type and filter match", "path": None}
        return {"job": None, "matches": False, "why": objection.why, "path": objection.path}

    return call.answer(Reply(await call.read(tried)))


@routes.on("GET", "/{event_id}", scope="events:read", answers=work.Event)
async def get_event(
    call: Reading,
    event_id: Annotated[str, Path(min_length=1, max_length=256)],
    source: Annotated[str, Query(min_length=1, max_length=256)] = "api",
) -> Response:
    """Show an accepted event by its source and id."""
    event = await call.read(lambda tx: tx.inbox.get(call.platform_id, source, event_id))
    if event is None:
        raise NotFoundError("event", f"{source}#{event_id}")
    return call.answer(Reply(event_row(call, event)))


def _published(done: Published) -> Reply:
    return Reply(published_row(done), 200 if done.duplicate else 201)
