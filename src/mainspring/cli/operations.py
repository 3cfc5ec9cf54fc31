"""`operations`: bulk actions and backfills on their way."""

from __future__ import annotations

from typing import Any

from mainspring.cli.output import pairs, print_one
from mainspring.cli.pages import Listed, print_listing
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.client import asks
from mainspring.client.ask import Ask
from mainspring.client.shapes import Operation


def list_operations(*, listed: Listed | None = None, target: Target | None = None) -> None:
    """List operations, newest first.

    Args:
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()
    page = target.run(lambda desk: desk.ask(asks.list_operations(**listed.query())))
    headers = ("ID", "KIND", "STATUS", "DONE", "FAILED", "OF", "BY", "SINCE")
    print_listing(target, listed, page, headers, _row, empty="No operations.")


def get_operation(operation_id: str, /, *, target: Target | None = None) -> None:
    """Show one operation, how far it is, and its first errors.

    Args:
        operation_id: Its id.
    """
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.get_operation(operation_id)))
    print_one(target.output, found.wire, pairs(found.wire))


def pause_operation(operation_id: str, /, *, target: Target | None = None) -> None:
    """Do no further step until it is resumed.

    Args:
        operation_id: Its id.
    """
    _turn(target, asks.pause_operation(operation_id))


def resume_operation(operation_id: str, /, *, target: Target | None = None) -> None:
    """Go on with a paused operation.

    Args:
        operation_id: Its id.
    """
    _turn(target, asks.resume_operation(operation_id))


def cancel_operation(operation_id: str, /, *, target: Target | None = None) -> None:
    """End an operation where it is; what it has done stays done.

    Args:
        operation_id: Its id.
    """
    _turn(target, asks.cancel_operation(operation_id))


def _turn(target: Target | None, ask: Ask[Operation]) -> None:
    target = target or Target()
    done = target.run(lambda desk: desk.ask(ask))
    print_one(target.output, done.wire, f"operation {done.id} is {done.status}: {done.done} done, {done.failed} failed")


def _row(one: Operation) -> list[Any]:
    of = f"{'at least ' if one.total.relation == 'gte' else ''}{one.total.value}"
    return [one.id, one.kind, one.status, one.done, one.failed, of, one.actor, stamp(one.created_at)]
