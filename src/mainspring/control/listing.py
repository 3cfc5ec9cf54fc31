"""One page of a list: filter, order and page token in; rows, the tokens beside them and a bounded count out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.errors import FilterError, ForbiddenError, ValidationError
from mainspring.model.filters import And, Compare, Kind, Node, parse_filter
from mainspring.model.nouns import LISTINGS, Noun, compared, names_of
from mainspring.model.redact import names_secret
from mainspring.ports.search import Order, Search, place, total_order
from mainspring.ports.store import Tx

#: What a long list is narrowed to unless its filter says otherwise.
WINDOW = timedelta(days=7)
#: The longest stretch of time in which fields without an index may be looked at.
SCAN_WINDOW = timedelta(hours=24)
COUNT_BOUND, EXACT_BOUND = 10_000, 1_000_000
PAGE_DEFAULT, PAGE_MOST = 50, 500


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What to list. ``sort`` is like ``-created_at,name``; ``count`` is none, bounded or exact.

    ``content``: whether who asks may see payloads and results, and so may filter by what is in them.
    """

    filter: str = ""
    sort: str = ""
    page_size: int = PAGE_DEFAULT
    page_token: str | None = None
    count: str = "none"
    allow_scan: bool = False
    content: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order; the tokens of the pages beside it, None where there is none.

    ``total`` is (value, relation): relation ``eq``, or ``gte`` where counting stopped. ``since`` is what the list was
    narrowed to, None where it was not.
    """

    rows: Sequence[Any]
    next_page_token: str | None = None
    prev_page_token: str | None = None
    total: tuple[int, str] | None = None
    since: datetime | None = None


def list_page(tx: Tx, noun: Noun, platform_id: str | None, request: ListRequest, *fixed: Node) -> Page:
    """Return one page of a platform's rows (None: every platform's); ``fixed`` conditions always hold.

    Raises:
        FilterError: For a filter that cannot be used.
        ForbiddenError: For one that would tell what is in payloads to who may not see them.
        ValidationError: For an order, a size or a token that cannot.
    """
    if not 1 <= request.page_size <= PAGE_MOST:
        raise ValidationError(f"must be 1 to {PAGE_MOST}, got {request.page_size}", field="page_size")
    where, since, archived = condition(tx.now, noun, request)
    where = _all([*fixed, *([where] if where is not None else [])])
    order = parse_order(noun, request.sort)
    mark = _mark(noun, platform_id, request)
    after, backward = _opened(request.page_token, mark, noun, order) if request.page_token else (None, False)
    search = Search(noun, platform_id, where, order, after, request.page_size + 1, archived)
    rows = tx.search.find(_reversed(search) if backward else search)
    more, rows = len(rows) > request.page_size, rows[: request.page_size]
    rows = rows[::-1] if backward else rows
    following, before = (True, more) if backward else (more, after is not None)
    return Page(
        rows,
        _token(place(search, rows[-1]), mark, backward=False) if rows and following else None,
        _token(place(search, rows[0]), mark, backward=True) if rows and before else None,
        _total(tx, search, request.count),
        since,
    )


def condition(now: datetime, noun: Noun, request: ListRequest) -> tuple[Node | None, datetime | None, bool]:
    """Return (what must hold, since when the list is narrowed, whether archived jobs are asked for)."""
    listing = LISTINGS[noun]
    where = parse_filter(request.filter, listing.fields, now=now)
    named = names_of(where)
    _refuse_scan(noun, named, where, now, request)
    since = None
    if listing.window is not None and not named & {listing.window, *listing.key}:
        since = now - WINDOW
        narrowed: Node = Compare(listing.window, ">=", since)
        where = narrowed if where is None else And((narrowed, where))
    return where, since, bool(named & {"status", "id"})


def parse_order(noun: Noun, sort: str) -> tuple[Order, ...]:
    """Read ``-created_at,name`` into a total order.

    >>> parse_order(Noun.JOBS, "-created_at")
    (Order(field='id', descending=True),)
    """
    fields = LISTINGS[noun].fields
    orders: list[Order] = []
    for part in (sort or LISTINGS[noun].order).split(",")[:5]:
        name = part.strip().removeprefix("-")
        if name == "created_at" and "id" in fields:
            name = "id"  # ids tell when they were made, and have the index
        if name not in fields or not fields[name].sortable:
            allowed = ", ".join(field for field, known in fields.items() if known.sortable)
            raise ValidationError(f"cannot sort by {name[:40]!r}", field="sort", fix=f"Sort by: {allowed}")
        if all(order.field != name for order in orders):
            orders.append(Order(name, part.strip().startswith("-")))
    return total_order(noun, tuple(orders))


def _refuse_scan(noun: Noun, named: set[str], where: Node | None, now: datetime, request: ListRequest) -> None:
    scanned = sorted(name for name in named if LISTINGS[noun].fields[name].scan)
    if not scanned:
        return
    # What a filter matches tells what is there, letter by letter if it must.
    if not request.content:
        raise ForbiddenError("payloads:read", why=f"a filter by {scanned[0]} tells what is in it")
    for one in compared(where):
        hidden = [part for part in one.path if one.field in scanned and names_secret(part)]
        if hidden:
            raise FilterError(f"{one.field}.{'.'.join(one.path)} is shown to nobody: {hidden[0]!r} names a secret")
    fix = "Ask with allow_scan=true and created_at >= -24h"
    if not request.allow_scan:
        raise FilterError(f"{scanned[0]} has no index", fix=fix, code="filter_not_indexed")
    window = LISTINGS[noun].window or ""
    if not any(at >= now - SCAN_WINDOW for at in _since(where, window)):
        raise FilterError(f"{scanned[0]} has no index: at most 24 hours are read", fix=fix, code="filter_not_indexed")


def _since(where: Node | None, window: str) -> list[datetime]:
    match where:
        case Compare(field, ">" | ">=", datetime() as at) if field == window:
            return [at]
        case And(parts):
            return [at for part in parts for at in _since(part, window)]
        case _:
            return []


def _all(parts: Sequence[Node]) -> Node | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _total(tx: Tx, search: Search, count: str) -> tuple[int, str] | None:
    bounds = {"none": None, "bounded": COUNT_BOUND, "exact": EXACT_BOUND}
    if count not in bounds:
        raise ValidationError(f"{count[:40]!r} is not one of: none, bounded, exact", field="count")
    most = bounds[count]
    if most is None:
        return None
    found = tx.search.count(search, most)
    return (most, "gte") if found > most else (found, "eq")


def _reversed(search: Search) -> Search:
    return replace(search, order=tuple(Order(one.field, not one.descending) for one in search.order))


# -- page tokens -------------------------------------------------------------------------------------------------


def _mark(noun: Noun, platform_id: str | None, request: ListRequest) -> str:
    """Return what ties a token to its list: another filter or order would make it point anywhere."""
    told = json.dumps([noun, platform_id, request.filter, request.sort])
    return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _token(values: tuple[Any, ...], mark: str, *, backward: bool) -> str:
    body = json.dumps([mark, backward, *values], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def _opened(token: str, mark: str, noun: Noun, order: tuple[Order, ...]) -> tuple[tuple[Any, ...], bool]:
    problem = ValidationError("is not a token of this list", field="page_token", fix="Start again without it")
    try:
        body = json.loads(base64.b64decode(token[:4096].encode("ascii") + b"==", altchars=b"-_", validate=False))
        found, backward, *values = body
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise problem from None
    if found != mark:
        fix = "Keep filter and sort while paging, or start again without it"
        raise ValidationError("belongs to a list with another filter or sort", field="page_token", fix=fix)
    if len(values) != len(order) or not isinstance(backward, bool):
        raise problem
    for one, value in zip(order, values, strict=True):
        instant = LISTINGS[noun].fields[one.field].kind is Kind.INSTANT
        right = value is None or (type(value) is int and abs(value) < 2**62) if instant else isinstance(value, str)
        if not right or (isinstance(value, str) and not value.isprintable()):
            raise problem
    return tuple(values), backward
