"""Lists on the command line: what every list takes, and how a page of it is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Group, Parameter

from mainspring.cli.filters import narrowed
from mainspring.cli.output import columns, page_size, print_lines, print_whole, say, table
from mainspring.cli.times import stamp
from mainspring.client.ask import ListQuery
from mainspring.client.shape import Page, Shape

if TYPE_CHECKING:
    from mainspring.cli.target import Target

S = TypeVar("S", bound=Shape)

WHICH = Group("Which of them, and how many", sort_key=50)


@Parameter(name="*", group=WHICH)
@dataclass(frozen=True)
class Listed:
    """The options every list takes."""

    filter: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """A filter of the API's language, such as 'handler ^= mail AND created_at >= -1d'; besides the other options."""

    sort: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """Fields to sort by, such as -created_at,name."""

    fields: str | None = None
    """Only these fields, separated by commas."""

    after: str | None = None
    """The token a page ended with: start behind it."""

    limit: int = 50
    """How many, 1 to 500."""

    def query(self, *conditions: str | None, include: str | None = None) -> ListQuery:
        """Return the query, narrowed by conditions."""
        return {
            "filter": narrowed(self.filter, *conditions),
            "sort": self.sort,
            "fields": self.fields,
            "page_token": self.after,
            "page_size": page_size(self.limit),
            "include": include,
        }


def print_listing(
    target: Target,
    listed: Listed,
    page: Page[S],
    headers: Sequence[str],
    row: Callable[[S], Sequence[Any]],
    *,
    empty: str,
) -> None:
    """Print a page: as it came for programs; as a table of ``row`` for people, or of the fields they asked for."""
    if target.whole:
        print_whole(target.output, page.wire)
        return
    if target.output == "jsonl":
        print_lines(page.wire["data"])
    elif not page.data:
        say(empty)
    elif listed.fields:
        names = list(dict.fromkeys(name for one in page for name in one.wire))
        print(
            table([name.upper() for name in names], [[one.wire.get(name) for name in names] for one in page], columns())
        )
    else:
        print(table(headers, [row(one) for one in page], columns()))
    if page.since is not None:
        say(f"Only since {stamp(page.since)}: a --filter on the time tells otherwise")
    if page.next_page_token is not None:
        say(f"There are more: --after {page.next_page_token}")


def print_rows(
    target: Target, found: Sequence[S], headers: Sequence[str], row: Callable[[S], Sequence[Any]], *, empty: str
) -> None:
    """Print a list that comes whole."""
    if target.whole:
        print_whole(target.output, {"data": [one.wire for one in found]})
    elif target.output == "jsonl":
        print_lines([one.wire for one in found])
    elif found:
        print(table(headers, [row(one) for one in found], columns()))
    else:
        say(empty)
