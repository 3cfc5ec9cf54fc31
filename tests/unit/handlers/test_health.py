from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mainspring.adapters.checks import DiskCheck, FunctionCheck
from mainspring.adapters.memory.store import MemoryStore
from mainspring.handlers.health import Checks, Memory, StoreCheck, clean, health_check, remember
from mainspring.model.outcome import Fail
from mainspring.ports.health import CheckResult
from mainspring.testing.clock import ManualClock
from tests.unit.handlers.attempts import Attempt


@dataclass
class Given:
    """A check that answers what it is told to."""

    name: str = "api"
    critical: bool = True
    timeout: float = 1.0
    result: CheckResult | Exception | None = None

    async def check(self) -> CheckResult:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result or CheckResult()


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore(ManualClock(), random=random.Random(1))
    await store.open()
    yield store
    await store.close()


async def check(given: list[Any], store: MemoryStore | None = None, id: str = "e1", **payload: Any) -> Any:
    attempt = Attempt(id=id)
    handler = health_check(Checks(given), (lambda: store) if store is not None else None, ManualClock())
    return await handler(attempt.ctx, attempt.execution, **payload)


async def test_all_are_asked_at_once_and_a_hung_one_holds_up_nobody() -> None:
    asked: list[str] = []

    async def hang() -> None:
        asked.append("hung")
        await asyncio.Event().wait()

    async def fine() -> None:
        asked.append("fine")

    found = await check(
        [
            FunctionCheck("hung", hang, timeout=0.05),
            FunctionCheck("broken", lambda: 1 / 0),  # type: ignore[arg-type,return-value]
            FunctionCheck("no", lambda: False, critical=False),
            FunctionCheck("fine", fine),
        ]
    )
    assert asked == ["hung", "fine"]
    assert {name: c.status for name, c in found.checks.items()} == {
        "hung": "fail",
        "broken": "fail",
        "no": "warn",
        "fine": "pass",
    }
    assert found.checks["hung"].output == "no answer within 0.05 s"
    assert found.checks["broken"].output == "ZeroDivisionError: division by zero"
    assert found.status == "fail"


async def test_a_failing_check_is_no_failing_attempt_and_only_critical_ones_make_it_fail() -> None:
    assert (await check([Given(result=OSError("down"), critical=False)])).status == "warn"
    assert (await check([Given(result=CheckResult("warn"))])).status == "warn"
    assert (await check([])).status == "pass"


async def test_only_the_checks_named_are_asked() -> None:
    found = await check([Given("a"), Given("b")], checks=["b"])
    assert list(found.checks) == ["b"]
    with pytest.raises(Fail, match=r"no check named 'c' is configured \(configured: a, b\)"):
        await check([Given("a"), Given("b")], checks=["c"])


async def test_a_change_is_told_after_three_bad_answers_and_two_good_ones(store: MemoryStore) -> None:
    api = Given(result=OSError("down"))
    told = []
    for n, result in enumerate([api.result] * 2 + [None] + [api.result] * 4 + [None, api.result, None, None, None]):
        api.result = result
        found = await check([api], store, id=f"e{n}")
        told.append((found.checks["api"].steady, [(c.was, c.now) for c in found.changed]))
    steady = [state for state, _ in told]
    assert steady == ["pass"] * 5 + ["fail"] * 5 + ["pass"] * 2
    assert [(n, c) for n, (_, c) in enumerate(told) if c] == [(5, [("pass", "fail")]), (10, [("fail", "pass")])]


async def test_a_change_is_published_once_with_what_the_check_said(store: MemoryStore) -> None:
    api = Given(result=OSError("down at postgres://app:hunter2@db/x"))
    for n in range(4):
        await check([api], store, id=f"e{n}")
    event = await store.read(lambda tx: tx.inbox.get("acme", "mainspring", "e2:api"))
    assert event is not None
    assert event.type == "health.changed"
    assert event.subject == "api"
    output = "OSError: down at postgres://db/x"
    assert event.data == {"check": "api", "was": "pass", "now": "fail", "output": output}


async def test_an_attempt_that_is_repeated_counts_once(store: MemoryStore) -> None:
    api = Given(result=OSError("down"))
    found = [await check([api], store, id="same") for _ in range(5)]
    assert found[-1].checks["api"].steady == "pass"


async def test_platforms_remember_apart_and_a_steady_check_writes_nothing(store: MemoryStore) -> None:
    await check([Given()], store)
    assert await store.read(lambda tx: tx.platforms.note("health:acme")) is None
    await check([Given(result=OSError())], store)
    note = await store.read(lambda tx: tx.platforms.note("health:acme"))
    assert json.loads(note or "")["api"] == {"steady": "pass", "against": 1, "by": "e1"}
    assert await store.read(lambda tx: tx.platforms.note("health:globex")) is None


@pytest.mark.parametrize("note", ["", "[]", "{", '{"api": 5}', '{"api": {"new": 1}}'])
async def test_a_note_nobody_can_read_starts_the_count_anew(store: MemoryStore, note: str) -> None:
    await store.write(lambda tx: tx.platforms.put_note("health:acme", note))
    assert (await check([Given()], store)).status == "pass"


async def test_the_database_is_asked_and_a_wrong_clock_is_a_warning(store: MemoryStore) -> None:
    assert (await check([], store)).checks["database"].status == "pass"
    ahead = ManualClock()
    ahead.advance(timedelta(seconds=90))
    found = await StoreCheck(lambda: store, ahead).check()
    assert (found.status, found.output) == ("warn", "this machine's clock is -90.0 s from the database's")


async def test_the_disk_is_judged_by_what_is_free() -> None:
    assert (await DiskCheck("/", warn=0, fail=0).check()).status == "pass"
    assert (await DiskCheck("/", warn=101, fail=0).check()).status == "warn"
    assert (await DiskCheck("/", fail=101).check()).status == "fail"


def test_memory_counts_rows_of_answers_only() -> None:
    flapping = Memory()
    for n in range(20):
        flapping = remember(flapping, "fail" if n % 3 else "pass", by=str(n))
    assert flapping.steady == "pass"


@pytest.mark.parametrize(
    "secret", ["https://a:hunter2@x/", "password=hunter2 x", "?token=hunter2&x=1", "SECRET=hunter2"]
)
def test_words_of_checks_carry_no_credentials(secret: str) -> None:
    assert "hunter2" not in clean(f"cannot reach {secret}")
    assert len(clean("x" * 10_000)) == 200
