"""What psutil can tell of the machine and of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

#: Seconds over which the processor's load is measured: shorter ones say little, and the first one needs a start.
INTERVAL = 0.1


@dataclass(frozen=True)
class PsutilProbe:
    """`MachineProbe` by psutil. ``disk`` is the path whose file system is looked at."""

    disk: str = "."

    async def sample(self) -> Mapping[str, float]:
        return await asyncio.to_thread(self._sample)

    def _sample(self) -> dict[str, float]:
        import psutil

        process = psutil.Process()
        memory, swap, disk = psutil.virtual_memory(), psutil.swap_memory(), psutil.disk_usage(self.disk)
        load_1m, load_5m, load_15m = psutil.getloadavg()
        process.cpu_percent(None)
        found: dict[str, float] = {
            "machine.cpu_percent": psutil.cpu_percent(INTERVAL),
            "machine.cpus": psutil.cpu_count() or 1,
            "machine.load_1m": load_1m,
            "machine.load_5m": load_5m,
            "machine.load_15m": load_15m,
            "machine.memory_bytes": memory.total,
            "machine.memory_available_bytes": memory.available,
            "machine.memory_percent": memory.percent,
            "machine.swap_percent": swap.percent,
            "machine.disk_bytes": disk.total,
            "machine.disk_free_bytes": disk.free,
            "machine.disk_percent": disk.percent,
        }
        with process.oneshot():
            found["process.cpu_percent"] = process.cpu_percent(None)
            found["process.memory_bytes"] = process.memory_info().rss
            found["process.threads"] = process.num_threads()
            if hasattr(process, "num_fds"):  # not on Windows
                found["process.open_files"] = process.num_fds()
        return {name: float(value) for name, value in found.items()}
