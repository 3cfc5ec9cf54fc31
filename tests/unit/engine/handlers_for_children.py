"""Handlers at the top of a module, where a child process can find them."""

from __future__ import annotations

import os
import signal

from mainspring import Context, Fail, Retry, Snooze


def greet(ctx: Context, name: str = "world") -> str:
    ctx.log.info("greeting", name=name)
    ctx.progress(1, 2, "half")
    ctx.usage(tokens=3)
    return f"hello {name} from {os.getpid()}"


async def greet_async(name: str) -> dict[str, str]:
    return {"hello": name}


def spin() -> None:
    while True:
        pass


def ignore_terminate() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def until_cancelled(ctx: Context) -> str:
    while not ctx.cancelled:
        pass
    return "stopped nicely"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def choose(outcome: str) -> None:
    raise {"retry": Retry(after=5), "snooze": Snooze(after=7), "fail": Fail("never"), "error": KeyError("gone")}[
        outcome
    ]


def chatter() -> str:
    print("this goes to the worker's standard error, not into the protocol")  # noqa: T201 - what handlers do
    return "done"


def big() -> str:
    return "x" * 100_000
