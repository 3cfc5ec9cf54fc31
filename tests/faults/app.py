"""The application the fleet runs. It knows nothing of the tests but a ledger to append to, and gates to wait at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from mainspring import Context, Mainspring, Retry

ms = Mainspring()


def note(what: str, ctx: Context, **more: Any) -> None:
    """Append one line in one write: what stands there was done, whoever is killed after it."""
    line = {
        "what": what,
        "id": ctx.execution_id,
        "attempt": ctx.attempt,
        "fence": ctx.fence,
        "key": ctx.idempotency_key,
        "job": ctx.job_name,
        "due": ctx.scheduled_at.isoformat() if ctx.scheduled_at else None,
        "at": time.time(),
        "mono": time.monotonic(),
        "pid": os.getpid(),
        **more,
    }
    ledger = os.open(os.environ["FAULTS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, json.dumps(line).encode() + b"\n")
    finally:
        os.close(ledger)


def gate(name: str) -> Path:
    return Path(os.environ["FAULTS_GATES"]) / name


@ms.handler()
async def work(ctx: Context, n: int = 0, seconds: float = 0.0) -> dict[str, int]:
    note("start", ctx, n=n)
    await asyncio.sleep(seconds)
    note("end", ctx, n=n)
    return {"n": n, "fence": ctx.fence}


@ms.handler()
async def wait_at(ctx: Context, name: str) -> dict[str, int]:
    """Run until the test opens the gate."""
    note("start", ctx, n=0)
    while not gate(name).exists():  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(0.02)
    note("end", ctx, n=0)
    return {"fence": ctx.fence}


@ms.handler(isolation="process")
def in_a_child(ctx: Context, name: str) -> dict[str, int]:
    note("start", ctx, n=0)
    while not gate(name).exists():
        time.sleep(0.02)
    note("end", ctx, n=0)
    return {"fence": ctx.fence}


@ms.handler()
async def die(ctx: Context) -> None:
    """Take the whole worker along, every time."""
    note("start", ctx, n=0)
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(60)


@ms.handler()
async def block(ctx: Context, seconds: float) -> dict[str, int]:
    """Hold the event loop, as synchronous code in a coroutine does."""
    note("start", ctx, n=0)
    time.sleep(seconds)
    note("end", ctx, n=0)
    return {"fence": ctx.fence}


@ms.handler()
async def deaf_coroutine(ctx: Context, seconds: float) -> str:
    """Swallow every cancellation until its time is over."""
    note("start", ctx, n=0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
    note("late", ctx, n=0)
    return "too late"


@ms.handler(isolation="thread")
def deaf_thread(ctx: Context, seconds: float) -> str:
    note("start", ctx, n=0)
    time.sleep(seconds)
    note("late", ctx, n=0)
    return "too late"


@ms.handler(isolation="process")
def deaf_child(ctx: Context, seconds: float) -> str:
    """Hold the interpreter's lock in C and ignore the signal that asks to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("start", ctx, n=0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000_000))
    note("late", ctx, n=0)
    return "too late"


@ms.handler()
async def flaky(ctx: Context, fails: int) -> dict[str, int]:
    """Fail some times, then succeed."""
    note("start", ctx, n=fails)
    if ctx.attempt <= fails:
        raise Retry(0.1)
    note("end", ctx, n=fails)
    return {"fence": ctx.fence}
