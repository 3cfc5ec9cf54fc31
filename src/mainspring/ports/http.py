"""Calls to addresses that people configure. There is one client for all of them, and it guards where they lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mainspring.errors import MainspringError


class OutboundRefusedError(MainspringError):
    """The request must not be made: trying again will not help. Mend the configured URL, or allow the target."""

    code = "outbound_refused"


class OutboundFailedError(MainspringError):
    """The request was made, or tried, and got no usable answer. It may arrive when tried again, or have arrived."""

    code = "outbound_failed"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, of any status. Header names are in lower case; repeated headers are joined by a comma."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpClient(Protocol):
    """Makes requests in bounded time and memory, to allowed addresses only, following no redirect."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        read_body: bool = True,
    ) -> Reply:
        """Make one request and return its answer, whatever the status; without ``read_body`` only its head.

        Raises `OutboundRefusedError` for what must not be called, and `OutboundFailedError` for whatever goes wrong on
        the way, including an answer over the limits.
        """
