"""What the built-in handlers work on, set up by code and named by payloads: looking it up, saying what is missing.

A payload names a thing; where the thing is (a directory, a URL, a mailbox) it cannot say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar

from mainspring.engine.context import Context
from mainspring.model.outcome import Fail

T = TypeVar("T")


def find(
    what: str,
    name: str,
    shared: Mapping[str, T],
    by_platform: Mapping[str, Mapping[str, T]],
    *,
    platform_id: str,
    fix: str,
) -> T:
    """Return the thing of that name: the platform's own, else one that all share. A foreign one looks unknown.

    Raises `Fail` that names what there is and how to set up what there is not.
    """
    own = by_platform.get(platform_id, {})
    if name in own:
        return own[name]
    if name in shared:
        return shared[name]
    known = ", ".join(sorted({*own, *shared})) or "none"
    raise Fail(f"no {what} named {name[:100]!r} is configured (configured: {known}). {fix}")


def stop_if_cancelled(ctx: Context) -> None:
    """End the attempt here if it should stop. To be called between batches, where nothing is half done."""
    if ctx.cancelled:
        raise asyncio.CancelledError
