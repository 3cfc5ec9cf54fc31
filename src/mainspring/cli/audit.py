"""`audit`: who changed what; and `usage`: what the platform holds."""

from __future__ import annotations

from mainspring.cli.output import pairs, print_one
from mainspring.cli.pages import Listed, print_listing
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.client import asks


def audit(*, listed: Listed | None = None, target: Target | None = None) -> None:
    """List changes, newest first: who did what to what.

    Args:
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()
    page = target.run(lambda desk: desk.ask(asks.list_audit(**listed.query())))
    headers = ("AT", "WHO", "VIA", "DID", "TO")
    print_listing(
        target, listed, page, headers, lambda e: [stamp(e.at), e.actor, e.via, e.action, e.target], empty="No changes."
    )


def usage(*, target: Target | None = None) -> None:
    """Tell what the platform holds now, beside what it may."""
    target = target or Target()
    found = target.run(lambda desk: desk.ask(asks.get_usage()))
    print_one(target.output, found.wire, pairs(found.wire))
