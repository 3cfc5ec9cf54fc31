"""The Python client of a Mainspring server. It loads nothing of the server, and no HTTP library before it is used.

    from mainspring.client import Client

See `docs/guides/client.md`.
"""

from mainspring.client.clients import AsyncClient, Client
from mainspring.client.exchange import Patience
from mainspring.client.problems import (
    BusyProblem,
    ConflictProblem,
    ForbiddenProblem,
    InvalidProblem,
    LimitProblem,
    NotFoundProblem,
    OverlapProblem,
    Problem,
    RevisionProblem,
    ServerUnreachableError,
    UnauthorizedProblem,
    UnavailableProblem,
)
from mainspring.client.shape import Page
from mainspring.client.watching import StreamEvent

__all__ = [
    "AsyncClient",
    "BusyProblem",
    "Client",
    "ConflictProblem",
    "ForbiddenProblem",
    "InvalidProblem",
    "LimitProblem",
    "NotFoundProblem",
    "OverlapProblem",
    "Page",
    "Patience",
    "Problem",
    "RevisionProblem",
    "ServerUnreachableError",
    "StreamEvent",
    "UnauthorizedProblem",
    "UnavailableProblem",
]
