"""A request as data: which operation, with what, and how its answer is read. Nothing here sends anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from mainspring.client.shape import Page, Shape

T = TypeVar("T")
S = TypeVar("S", bound=Shape)

BASE = "/api/v1/platforms/{platform_id}"
#: What the wire calls by a word Python keeps for itself.
WIRE_NAMES = {"since": "from", "until": "to"}


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """One question to a platform, or one thing to do there.

    ``operation`` is its name in the OpenAPI document; ``path`` is below the platform unless it begins with ``/api/``.
    ``repeatable`` says whether the server knows a repeat by its ``Idempotency-Key``, so that one does no harm.
    """

    operation: str
    method: str
    path: str
    reads: Callable[[Any], T]
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    if_match: str | None = None
    repeatable: bool = False
    idempotency_key: str | None = None

    @property
    def harmless(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or self.repeatable

    def url(self, platform: str) -> str:
        """Return the path of the request, its parts encoded.

        >>> Ask("get_handler", "GET", "/handlers/{handler}", dict, {"handler": "kb:reindex"}).url("acme")
        '/api/v1/platforms/acme/handlers/kb%3Areindex'
        """
        whole = self.path if self.path.startswith(("/api/", "/livez", "/readyz")) else BASE + self.path
        values = {"platform_id": platform, **self.values}
        return whole.format_map({name: quote(value, safe="") for name, value in values.items()})

    def parameters(self) -> dict[str, str]:
        """Return the query as text; what is None is left out."""
        return {name: _text(value) for name, value in self.query.items() if value is not None}

    def with_page(self, token: str | None) -> Ask[T]:
        """Return the same question for another page."""
        return replace(self, query={**self.query, "page_token": token})


class ListQuery(TypedDict, total=False):
    """What every list takes. ``filter`` is in the filter language, ``sort`` like ``-created_at,name``."""

    filter: str | None
    sort: str | None
    page_size: int | None
    page_token: str | None
    count: str | None
    fields: str | None
    include: str | None
    allow_scan: bool | None


def page_of(kind: Callable[[Any], S]) -> Callable[[Any], Page[S]]:
    """Return what reads a page of rows."""
    return lambda wire: Page(wire, kind)


def list_of(kind: Callable[[Any], S]) -> Callable[[Any], list[S]]:
    """Return what reads a list that comes whole."""
    return lambda wire: [kind(one) for one in wire["data"]]


def nothing(wire: Any) -> None:
    """Read an answer without a body."""


def renamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body that has a range of time under the names of the wire.

    >>> renamed({"since": 1, "reprocess": "all"})
    {'from': 1, 'reprocess': 'all'}
    """
    return {WIRE_NAMES.get(name, name): value for name, value in body.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value.value if isinstance(value, Enum) else value)


def tag(revision: int | None) -> str | None:
    """Return the ``If-Match`` of a revision.

    >>> tag(17)
    '"r17"'
    """
    return None if revision is None else f'"r{revision}"'
