"""How a route is declared: its scope and the shape of its answer, or it is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

from mainspring.api.guard import PUBLIC, GuardedRoute
from mainspring.api.problems import MEDIA_TYPE

F = TypeVar("F", bound=Callable[..., Any])

_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request cannot be done as it stands.", **_PROBLEM},
    "5XX": {"description": "The server cannot do it now.", **_PROBLEM},
}


class Routes(APIRouter):
    """The routes of one noun."""

    def __init__(self, tag: str, prefix: str = "") -> None:
        super().__init__(route_class=GuardedRoute, tags=[tag], prefix=prefix)

    def on(
        self, method: str, path: str, *, scope: str, answers: Any, status: int = 200, **options: Any
    ) -> Callable[[F], F]:
        """Declare a route. ``scope`` is what its caller needs, ``answers`` the shape of a success (None: no body)."""
        extra: dict[str, Any] = {"x-scope": scope}
        if scope == PUBLIC:
            extra["security"] = []
        extra |= options.pop("openapi_extra", {})

        again: dict[int | str, dict[str, Any]] = {}
        if answers is not None and status > 200:
            again[200] = {"model": answers, "description": "A dry run, or what was done before."}

        def declare(endpoint: F) -> F:
            name = str(getattr(endpoint, "__name__", ""))
            self.add_api_route(
                path,
                endpoint,
                methods=[method],
                response_model=answers,
                status_code=status,
                responses={**again, **PROBLEMS, **options.pop("responses", {})},
                operation_id=name,
                summary=(endpoint.__doc__ or name).split("\n")[0].rstrip("."),
                openapi_extra=extra,
                **options,
            )
            return endpoint

        return declare


def streamed(description: str) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of a stream of events."""
    return {200: {"description": description, "content": {"text/event-stream": {}}}}
