"""health:check: ask every configured check at once, and report what changed for good.

A check that flaps is not news: it counts as failing after three bad answers in a row, and as well again after two good
ones. That memory is a note in the database; a change is published as the event ``health.changed`` in the same
transaction, so that a job of type event can tell somebody. The attempt succeeds whatever the checks say.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from mainspring.engine.context import Context
from mainspring.model.execution import Execution
from mainspring.model.outcome import Fail
from mainspring.moves.events import publish
from mainspring.ports.clock import Clock
from mainspring.ports.health import CheckResult, HealthCheck
from mainspring.ports.store import Store, Tx

#: Answers in a row that make a change: bad ones to be failing, good ones to be well again.
BAD, GOOD = 3, 2
EVENT = "health.changed"
#: Characters of a check's words that are kept.
OUTPUT_LIMIT = 200
#: A clock further off than this many seconds from the database's is worth a warning: nothing is decided by it.
SKEW = 1.0

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@|(?i:(?<=password=)|(?<=token=)|(?<=secret=))[^\s&;,]+")

StoreProvider = Callable[[], Store]
Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Checks:
    """The checks there are besides the database, which is always asked. Names are unique."""

    checks: Sequence[HealthCheck] = ()


@dataclass(frozen=True)
class Checked:
    """What one check said. A failing one that is not critical is a warning. ``steady`` is its state, flaps left out."""

    status: Status
    observed: float | None
    unit: str
    output: str
    ms: int
    critical: bool
    steady: Literal["pass", "fail"] = "pass"


@dataclass(frozen=True)
class Change:
    """A check that changed for good."""

    check: str
    was: str
    now: str


@dataclass(frozen=True)
class Health:
    """The worst status, every check, and what changed."""

    status: Status
    at: datetime
    checks: dict[str, Checked]
    changed: list[Change] = field(default_factory=list)


@dataclass(frozen=True)
class StoreCheck:
    """The database: one round trip, and how far this machine's clock is from it."""

    store: StoreProvider
    clock: Clock
    name: str = "database"
    critical: bool = True
    timeout: float = 5.0

    async def check(self) -> CheckResult:
        """Read the database's clock."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        now = await self.store().read(lambda tx: tx.now)
        took = loop.time() - started
        skew = (now - self.clock.now()).total_seconds()
        # The answer is as old as the way back took, at most.
        off = max(0.0, abs(skew) - took)
        output = f"this machine's clock is {skew:+.1f} s from the database's" if off > SKEW else ""
        return CheckResult("warn" if output else "pass", round(took * 1000, 1), "ms", output)


Handler = Callable[..., Awaitable[Health]]


def health_check(checks: Checks, store: StoreProvider | None, clock: Clock) -> Handler:
    """Return the handler for these checks; without a store it neither asks one nor remembers."""
    own: list[HealthCheck] = [StoreCheck(store, clock)] if store is not None else []
    known = {check.name: check for check in (*own, *checks.checks)}

    async def check(ctx: Context, about: Execution, checks: list[str] | None = None) -> Health:
        """Ask the checks of these names, by default all, at once, each within its own timeout."""
        unknown = sorted(set(checks or ()) - known.keys())
        if unknown:
            raise Fail(f"no check named {unknown[0][:100]!r} is configured (configured: {', '.join(known) or 'none'})")
        asked = [found for name, found in known.items() if checks is None or name in checks]
        answers = await asyncio.gather(*(answer(found) for found in asked))
        results = {found.name: result for found, result in zip(asked, answers, strict=True)}
        ctx.progress(len(results), len(results), f"{len(results)} checks answered")
        changed: list[Change] = []
        if store is not None and results:
            depth = about.chain_depth + 1
            results, changed = await _remembered(ctx, store(), results, known, depth=depth)
        for change in changed:
            ctx.log.warning(f"{change.check} changed from {change.was} to {change.now}")
        return Health(worst(result.status for result in results.values()), clock.now(), results, changed)

    return check


async def answer(check: HealthCheck) -> Checked:
    """Ask one check: an exception and no answer in time are failures, and neither reaches the others."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(check.timeout):
            found = await check.check()
    except TimeoutError:
        found = CheckResult("fail", output=f"no answer within {check.timeout:g} s")
    except Exception as error:  # whatever a check raises is its answer
        found = CheckResult("fail", output=f"{type(error).__name__}: {error}")
    ms = round((loop.time() - started) * 1000)
    steady: Literal["pass", "fail"] = "fail" if found.status == "fail" else "pass"
    shown: Status = "fail" if steady == "fail" and check.critical else "pass" if found.status == "pass" else "warn"
    return Checked(shown, found.observed, found.unit, clean(found.output), ms, check.critical, steady)


def worst(statuses: Any) -> Status:
    """Return the worst of some statuses; pass for none."""
    found = set(statuses)
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def clean(output: str) -> str:
    """Return a check's words without credentials, on one line, cut.

    >>> clean("cannot reach postgres://app:secret@db/x")
    'cannot reach postgres://db/x'
    """
    return " ".join(_CREDENTIALS.sub("", output[: OUTPUT_LIMIT * 10]).split())[:OUTPUT_LIMIT]


# -- what is remembered ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """A check's steady state, how many answers in a row spoke against it, and the execution that counted last."""

    steady: Literal["pass", "fail"] = "pass"
    against: int = 0
    by: str = ""


def remember(memory: Memory, now: Literal["pass", "fail"], *, by: str) -> Memory:
    """Return the memory after one more answer. The same execution counts once, however often it is tried.

    >>> remember(Memory("pass", against=2), "fail", by="e3").steady
    'fail'
    """
    if now == memory.steady:
        return Memory(memory.steady) if memory.against else memory
    if by == memory.by:
        return memory
    against = memory.against + 1
    if against >= (BAD if memory.steady == "pass" else GOOD):
        return Memory(now)
    return Memory(memory.steady, against, by)


async def _remembered(
    ctx: Context, store: Store, results: Mapping[str, Checked], known: Mapping[str, HealthCheck], *, depth: int
) -> tuple[dict[str, Checked], list[Change]]:
    name = f"health:{ctx.platform_id}"

    def work(tx: Tx) -> tuple[dict[str, Checked], list[Change]]:
        before = {check: memory for check, memory in _read(tx.platforms.note(name)).items() if check in known}
        after = {
            check: remember(before.get(check, Memory()), result.steady, by=ctx.execution_id)
            for check, result in results.items()
        }
        # A check that is well and steady is what one that was never asked is: it needs no note.
        kept = {check: memory for check, memory in sorted((before | after).items()) if memory != Memory()}
        if kept != before:
            tx.platforms.put_note(name, json.dumps({check: asdict(memory) for check, memory in kept.items()}))
        changed = [
            Change(check, before.get(check, Memory()).steady, memory.steady)
            for check, memory in after.items()
            if memory.steady != before.get(check, Memory()).steady
        ]
        for change in changed:
            data = {**asdict(change), "output": results[change.check].output}
            event_id = f"{ctx.execution_id}:{change.check}"
            publish(tx, ctx.platform_id, EVENT, data, event_id=event_id, subject=change.check, chain_depth=depth)
        fields = {check: {**vars(result), "steady": after[check].steady} for check, result in results.items()}
        return {check: Checked(**values) for check, values in fields.items()}, changed

    return await store.write(work)


def _read(note: str | None) -> dict[str, Memory]:
    try:
        return {check: Memory(**memory) for check, memory in json.loads(note or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}  # written by another version: start counting anew
