"""What all shapes share: types with their bounds, the page, the problem."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from mainspring.control.operations import PER_SECOND

T = TypeVar("T")

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$")]
HandlerName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_<][a-zA-Z0-9._:<>/@-]{0,254}$")]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
PerSecond = Annotated[int, Field(ge=1, le=PER_SECOND)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")]


def _written(value: Any) -> Any:
    """Refuse numbers, also in text: Pydantic would take them for seconds since 1970, which nobody means."""
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("is not RFC 3339: write 2026-03-01T09:00:00Z")
    if isinstance(value, int | float):
        raise ValueError("is a number: write 2026-03-01T09:00:00Z")
    return value


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
#: An instant in a query.
Moment = Annotated[datetime, BeforeValidator(_written)]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    Field(description="RFC 3339 with an offset, such as 2026-03-01T09:00:00Z."),
]
Told = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339 in UTC.")]
Data = dict[str, Any]


class Request(BaseModel):
    """A body that comes in: fields there are not are refused, and nothing is guessed from another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shape(BaseModel):
    """A body that goes out. Clients ignore fields they do not know."""

    model_config = ConfigDict(extra="allow")


class Total(Shape):
    """How many there are; ``gte``: at least so many, counting stopped there."""

    value: int
    relation: str


class Window(Shape):
    """What a list without a filter on time was narrowed to."""

    since: Told


class Page(Shape, Generic[T]):
    """One page of a list."""

    data: list[T]
    next_page_token: str | None
    prev_page_token: str | None
    total: Total | None = None
    window: Window | None = None


class Listed(Shape, Generic[T]):
    """A list that is short by its nature, whole."""

    data: list[T]


class Where(Shape):
    """One thing that is wrong in a request."""

    pointer: str
    code: str
    message: str
    hint: str | None = None


class Problem(Shape):
    """RFC 9457. ``code`` is the contract; the reference has a section for each."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    errors: list[Where]
    retryable: bool
