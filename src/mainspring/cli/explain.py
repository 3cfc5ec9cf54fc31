"""`explain`: why a job did (not) run, or where an execution stands."""

from __future__ import annotations

from mainspring.cli.desk import Desk
from mainspring.cli.output import clean, print_one
from mainspring.cli.target import Target
from mainspring.client import asks
from mainspring.client.shapes import Explanation
from mainspring.errors import NotFoundError

#: A sign for each result, so that the column is read at a glance; the word stands beside it.
SIGNS = {"yes": "✓", "no": "✗", "blocked": "■", "info": "·", "unknown": "?"}


def explain(name: str, /, *, at: str | None = None, event: str | None = None, target: Target | None = None) -> None:
    """Say why a job did (not) run, or where an execution stands.

    For example: mainspring explain daily_report --at 2026-11-24T09:00

    Args:
        name: A job's name or id, or an execution's id.
        at: The instant asked about: RFC 3339, or a wall time in the job's zone. By default the last due one, else
            the next.
        event: Of an event job: the id of the event asked about, or SOURCE#ID.
    """
    target = target or Target()

    async def work(desk: Desk) -> Explanation:
        if event is None and at is None:
            try:
                return await desk.ask(asks.explain_an_execution(name))
            except NotFoundError:
                pass
        try:
            return await desk.ask(asks.explain(name, at=at, event=event))
        except NotFoundError as error:
            raise NotFoundError("job or execution", name) from error

    found = target.run(work)
    print_one(target.output, found.wire, told(found))


def told(found: Explanation) -> str:
    """Return an explanation for people: the sentence, the checks in order, and what to do."""
    width = max((len(check.check) for check in found.checks), default=0)
    lines = [f"{found.subject}: {found.verdict.replace('_', ' ')}", f"  {clean(found.summary)}", ""]
    lines += [f"  {SIGNS.get(c.result, '?')} {c.check:<{width}}  {clean(c.detail)}" for c in found.checks]
    if found.advice:
        lines += ["", "What you can do"]
        lines += [f"  - {clean(text)}" for text in found.advice]
    return "\n".join(lines)
