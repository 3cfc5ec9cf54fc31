"""Health checks that need nothing but the standard library: free disk space, an open port, a function of one's own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mainspring.ports.health import CheckResult

Answer = bool | CheckResult | None


@dataclass(frozen=True)
class DiskCheck:
    """The share of a file system that is free, in percent: a warning below ``warn``, failing below ``fail``."""

    path: str = "."
    name: str = "disk"
    critical: bool = True
    timeout: float = 5.0
    warn: float = 10.0
    fail: float = 2.0

    async def check(self) -> CheckResult:
        """Ask the system."""
        usage = await asyncio.to_thread(shutil.disk_usage, self.path)
        free = 100 * usage.free / usage.total
        status = "fail" if free < self.fail else "warn" if free < self.warn else "pass"
        return CheckResult(status, round(free, 1), "percent free")


@dataclass(frozen=True)
class TcpCheck:
    """Whether something accepts connections. Host and port stand in code: no payload can make this a port scanner."""

    name: str
    host: str
    port: int
    critical: bool = True
    timeout: float = 3.0

    async def check(self) -> CheckResult:
        """Connect, and hang up."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        _, writer = await asyncio.open_connection(self.host, self.port)
        took = loop.time() - started
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return CheckResult("pass", round(took * 1000, 1), "ms")


@dataclass(frozen=True)
class FunctionCheck:
    """A function of one's own: returning True or a `CheckResult` that says so is passing, raising and False failing.

    A plain function runs in a thread, where nothing stops it: past the timeout it is only no longer waited for.
    """

    name: str
    function: Callable[[], Answer | Awaitable[Answer]]
    critical: bool = True
    timeout: float = 5.0

    async def check(self) -> CheckResult:
        """Call the function."""
        if inspect.iscoroutinefunction(self.function):
            found = await self.function()
        else:
            found = await asyncio.to_thread(self.function)
            if inspect.isawaitable(found):
                found = await found
        if isinstance(found, CheckResult):
            return found
        return CheckResult("fail" if found is False else "pass")
