from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainspring.adapters.memory.store import MemoryStore
from mainspring.handlers.metrics import SAMPLES, metrics_collect
from mainspring.ports.metrics import Sample
from mainspring.testing.clock import START, ManualClock
from tests.unit.handlers.attempts import Attempt


@dataclass
class Probe:
    numbers: Mapping[str, float]

    async def sample(self) -> Mapping[str, float]:
        return self.numbers


@dataclass
class Sink:
    written: list[tuple[str, int, datetime, str]] = field(default_factory=list)

    async def write(self, platform_id: str, samples: Sequence[Sample], *, at: datetime, key: str) -> None:
        self.written.append((platform_id, len(samples), at, key))


async def collect(sink: Sink | None, numbers: Mapping[str, float] | None = None, **payload: Any) -> Any:
    store = MemoryStore(ManualClock(), random=random.Random(1))
    await store.open()
    probe = Probe(numbers if numbers is not None else {"machine.cpu_percent": 5.0})
    return await metrics_collect(lambda: probe, sink, lambda: store, ManualClock())(Attempt().ctx, **payload)


async def test_machine_and_scheduler_are_measured_and_stored_under_the_executions_key() -> None:
    sink = Sink()
    found = await collect(sink)
    assert found.samples["machine.cpu_percent"] == 5.0
    assert found.samples["scheduler.jobs"] == 0.0
    assert found.stored == len(found.samples)
    assert sink.written == [("acme", found.stored, START, "e1")]


async def test_without_a_sink_the_numbers_are_the_result() -> None:
    found = await collect(None, groups=["machine"])
    assert (found.samples, found.stored) == ({"machine.cpu_percent": 5.0}, 0)
    assert "machine.cpu_percent" not in (await collect(None, groups=["scheduler"])).samples


async def test_the_numbers_of_one_collection_are_bounded() -> None:
    assert len((await collect(None, {f"x.{n:04}": n for n in range(5000)})).samples) == SAMPLES
