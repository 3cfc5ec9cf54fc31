"""Faults planted in the product, one at a time: what the auditor must be able to find.

A simulator that cannot fail proves nothing. Each of these is a mistake somebody could make in a store or in a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainspring.errors import StoreUnavailableError
from mainspring.model.decision import Decision
from mainspring.model.events import Event, PendingEvent
from mainspring.model.execution import Move, Status
from mainspring.model.job import JobCursor
from tests.simulation.world import World

Plant = Callable[[World], None]


def _tables(world: World) -> Any:
    return world.tables


def ignores_the_fence(world: World) -> None:
    """A store that makes a worker's move whatever its fence, so that a late result overwrites a newer attempt."""
    executions = _tables(world).executions
    move = executions.move

    def without_fence(moves: Sequence[Move]) -> set[str]:
        made: set[str] = move([replace(m, fence=None) for m in moves])
        return made

    executions.move = without_fence


def drops_a_decision(world: World) -> None:
    """One decision in twenty is never written, though the cursor moves on."""
    decisions, draw = _tables(world).decisions, world.random("planted").random
    add = decisions.add
    decisions.add = lambda rows: add([d for d in rows if draw() > 0.05])


def decides_twice(world: World) -> None:
    """A ledger without its primary key, and a cursor that now and then stays where it was."""
    tables, draw = _tables(world), world.random("planted").random
    advance, add = tables.jobs.advance, tables.decisions.add
    tables.jobs.advance = lambda cursors: advance([c for c in cursors if draw() > 0.05])

    def loosely(rows: Sequence[Decision]) -> None:
        for decision in rows:
            kept = tables.decisions._decisions.get(decision.job_id, {})
            kept.pop((decision.scheduled_at, decision.key), None)
            add([decision])

    tables.decisions.add = loosely


def moves_the_cursor_outside(world: World) -> None:
    """The cursor moves in a transaction of its own: when the one that records the decisions is lost, it has moved."""
    base, draw = world.base, world.random("planted").random
    advance, write = base._tx.jobs.advance, base.write_blocking

    def apart(work: Any) -> Any:
        moved: list[JobCursor] = []

        def cut_off(tx: Any) -> Any:
            moved.clear()
            result = work(tx)
            if moved and draw() < 0.05:
                raise StoreUnavailableError("lost after the cursor had moved")
            return result

        def noting(cursors: Sequence[JobCursor]) -> None:
            moved.extend(cursors)
            advance(cursors)

        tables = _tables(world)
        tables.jobs.advance = noting
        try:
            return write(cut_off)
        except StoreUnavailableError:
            write(lambda tx: advance(moved))
            raise

    base.write_blocking = apart  # type: ignore[method-assign]


def stores_anyones_progress(world: World) -> None:
    """Progress is written whoever reports it."""
    executions = _tables(world).executions
    put = executions.put_progress

    def whoever(progress: Sequence[tuple[str, int, Any]]) -> None:
        put([(e, executions._rows.all[e].fence, value) for e, _, value in progress])

    executions.put_progress = whoever


def loses_events(world: World) -> None:
    """One end in ten is not announced."""
    outbox, draw = _tables(world).outbox, world.random("planted").random
    add = outbox.add

    def forgetful(events: Sequence[Event]) -> None:
        add([e for e in events if "execution." not in e.type or draw() > 0.1])

    outbox.add = forgetful


def never_reaps(world: World) -> None:
    """Leases that are over are not found."""
    _tables(world).executions.lease_over = lambda limit, *, older_than=None: []


def counts_nothing(world: World) -> None:
    """Limits are asked, and always told that nothing runs."""
    _tables(world).executions.occupying = lambda platform_id, scope, names, *, most=None: {}


def never_unblocks(world: World) -> None:
    """What a limit or a policy once held back is not looked at again."""
    _tables(world).executions.blockers = lambda limit: []


def sees_no_active_execution(world: World) -> None:
    """Overlap is judged as if nothing ran."""
    executions = _tables(world).executions
    active_of = executions.active_of
    executions.active_of = lambda job_ids: [e for e in active_of(job_ids) if e.status is Status.PENDING]


def forgets_keys(world: World) -> None:
    """Idempotency keys are stored and never found."""
    platforms = _tables(world).platforms
    platforms.idempotent = lambda platform_id, key: None
    platforms.put_idempotent = lambda *key: True


def claims_what_was_cancelled(world: World) -> None:
    """A cancel that has not reached a worker is not remembered with the execution."""
    executions = _tables(world).executions
    get, claim = executions.get, executions.claim

    def unmarked(execution_id: str, *, lock: bool = False) -> Any:
        found = get(execution_id, lock=lock)
        return found if found is None else replace(found, cancel_requested_at=None)

    def anything(worker_id: str, lease: Any, wanted: Any) -> Any:
        for marked in [e for e in executions._rows.live(Status.QUEUED) if e.cancel_requested_at is not None]:
            executions._rows.change(marked, {"cancel_requested_at": None})
        return claim(worker_id, lease, wanted)

    executions.get, executions.claim = unmarked, anything


def renews_what_it_does_not_run(world: World) -> None:
    """A worker that never looks at what it holds without running it."""
    from mainspring.engine.claims import Claims

    _during(world, Claims, "_give_back_mislaid", _nothing)


def counts_an_event_twice(world: World) -> None:
    """Every relay that published an event counts it, not only the one that marked it."""
    outbox = _tables(world).outbox
    mark = outbox.mark_published

    def marked_again(event_ids: Sequence[str]) -> set[str]:
        mark(event_ids)
        return set(event_ids)

    outbox.mark_published = marked_again


def decides_by_its_own_clock(world: World) -> None:
    """A dispatcher that decides up to five seconds ahead of the store's clock."""
    jobs = _tables(world).jobs
    journal = _tables(world)._journal
    due = jobs.due

    def early(limit: int, **more: Any) -> Any:
        journal.now += timedelta(seconds=5)
        return due(limit, **more)

    jobs.due = early


def accepts_events_twice(world: World) -> None:
    """An inbox without memory."""
    inbox = _tables(world).inbox
    accept = inbox.accept

    def again(event: Event) -> bool:
        inbox._events.pop((event.platform_id, event.source, event.id), None)
        return bool(accept(event))

    inbox.accept = again


def lets_events_overtake(world: World) -> None:
    """A webhook table that holds back nothing: a later event about a thing goes beside the earlier one."""
    _tables(world).webhooks.open_subjects = lambda webhook_id, subjects: set()


def skips_what_others_hold(world: World) -> None:
    """An outbox that leaves rows out that another transaction has locked, one in ten say."""
    outbox, draw = _tables(world).outbox, world.random("planted").random
    unpublished = outbox.unpublished
    outbox.unpublished = lambda limit: [event for event in unpublished(limit) if draw() > 0.1]


def forgets_what_it_waits_out(world: World) -> None:
    """A debounced job whose newest event is lost when the burst goes on."""
    inbox = _tables(world).inbox
    put = inbox.put_pending

    def only_the_first(pending: Sequence[PendingEvent]) -> None:
        put([row for row in pending if row.job_id not in inbox._pending])

    inbox.put_pending = only_the_first


def counts_no_throttle(world: World) -> None:
    """A ledger that always says that nothing ran lately."""
    _tables(world).decisions.ran_since = lambda job_id, since, limit: (0, None)


def trusts_the_streams(world: World) -> None:
    """A worker that waits for what the streams name, and never looks into the database."""
    from mainspring.adapters.redis.offers import Offers

    real = Offers.next

    def named(self: Offers, room: Any, limit: int, *, away: bool) -> Any:
        offer = real(self, room, limit, away=away)
        return None if offer is None or offer.ids is None else offer

    _during(world, Offers, "next", named)


async def _nothing(self: Any) -> None:
    return None


def _during(world: World, kind: type, name: str, value: Callable[..., Any]) -> None:
    kept = getattr(kind, name)
    setattr(kind, name, value)
    world.at_end.append(lambda: setattr(kind, name, kept))


PLANTED: tuple[Plant, ...] = (
    lets_events_overtake,
    skips_what_others_hold,
    forgets_what_it_waits_out,
    counts_no_throttle,
    ignores_the_fence,
    drops_a_decision,
    decides_twice,
    moves_the_cursor_outside,
    stores_anyones_progress,
    loses_events,
    never_reaps,
    counts_nothing,
    never_unblocks,
    sees_no_active_execution,
    forgets_keys,
    claims_what_was_cancelled,
    renews_what_it_does_not_run,
    counts_an_event_twice,
    decides_by_its_own_clock,
    accepts_events_twice,
    trusts_the_streams,
)
