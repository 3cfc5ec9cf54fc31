"""Waiting for what other processes bring about: looked at again and again, never hoped for, and never for ever."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds between two looks.
LOOK = 0.02
#: Seconds after which what should have happened has not, unless a test has a bound to show: machines are busy.
PATIENCE = 60.0


class NotInTimeError(AssertionError):
    """What was to happen did not happen within its bound."""


def until(what: str, condition: Callable[[], T], within: float = PATIENCE) -> T:
    """Return the first true answer of ``condition``; raise `NotInTimeError` after ``within`` seconds."""
    end = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise NotInTimeError(f"{what}: not within {within:g} s (last answer: {answer!r})")
        time.sleep(LOOK)


async def auntil(what: str, condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """The same while a loop turns; what ``condition`` returns may be to be awaited."""
    end = time.monotonic() + within
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() >= end:
            raise NotInTimeError(f"{what}: not within {within:g} s (last answer: {answer!r})")
        await asyncio.sleep(LOOK)


def stays(what: str, condition: Callable[[], object], seconds: float) -> None:
    """See that ``condition`` holds at every look for that long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"{what} did not stay so for {seconds:g} s"
        time.sleep(LOOK)
