"""A small application for a fleet: one report each minute, and work that anything may enqueue."""

from __future__ import annotations

from mainspring import Context, Mainspring

ms = Mainspring()  # MAINSPRING_DATABASE_URL and MAINSPRING_REDIS_URL say where


@ms.cron("* * * * *", tz="UTC", queue="reports", timeout="50s")
async def minute_report(ctx: Context) -> str:
    """Say which minute this is: the nominal one, however late it runs."""
    return f"report of {ctx.scheduled_at:%Y-%m-%d %H:%M}"


@ms.handler(timeout="1m", retry=3)
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b
