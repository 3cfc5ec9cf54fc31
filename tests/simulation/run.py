"""One run from one seed: a healthy start, a time of faults, a healthy end in which everything must come to rest."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mainspring.errors import MainspringError
from mainspring.testing.loop import DeadlockError
from tests.simulation.ledger import audit
from tests.simulation.loop import SimLoop
from tests.simulation.nemesis import Nemesis
from tests.simulation.planted import Plant
from tests.simulation.watch import Watch
from tests.simulation.workload import Client
from tests.simulation.world import World

#: Where runs begin: an ordinary morning, and minutes before clocks change in one of the zones used.
STARTS = (
    datetime(2026, 3, 2, 9, 0, 7, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 58, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 58, 30, tzinfo=UTC),
    datetime(2026, 3, 8, 6, 58, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 58, 30, tzinfo=UTC),
)
#: Virtual seconds of health without any execution ending before a run counts as stuck.
DRAIN = 120


@dataclass
class Report:
    """What a run came to. ``digest`` is equal for equal runs, in any process."""

    seed: int
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    transactions: int = 0
    virtual: float = 0.0
    starts: int = 0
    executions: int = 0
    decisions: int = 0
    digest: str = ""


class SimulationError(AssertionError):
    """A run broke a law. The message names the seed, the law, and the last steps."""

    def __init__(self, report: Report, *, lines: int = 40) -> None:
        told = "\n".join(report.problems[:5])
        steps = "\n".join(report.trace[-lines:])
        again = f"python -m tests.simulation --start {report.seed} --seeds 1 --verbose"
        super().__init__(f"seed {report.seed}: {told}\n\nthe last steps:\n{steps}\n\nagain: {again}")


def run(seed: int, *, plant: Plant | None = None, verbose: bool = False) -> Report:
    """Run one seed to its end, or to its first violation; ``plant`` may break the product first."""
    logger = logging.getLogger("mainspring")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    world = World(seed, loop, STARTS[seed % len(STARTS)])
    if verbose:
        world.keep = []
    if plant is not None:
        plant(world)
    try:
        loop.run_until_complete(_run(world))
    except (MainspringError, DeadlockError) as error:
        world.problem(f"the run broke off: {error!r}")
    finally:
        world.closing = True
        for undo in world.at_end:
            undo()
        loop.abandon()
        asyncio.set_event_loop(None)
        loop.close()
        logger.setLevel(level)
    auditor = world.auditor
    return Report(
        seed,
        world.problems,
        list(world.keep if world.keep is not None else world.trace),
        auditor.transactions,
        loop.time(),
        len(world.starts),
        len(auditor.rows),
        sum(len(d) for d in world.tables.decisions._decisions.values()),
        digest=f"{hash_of(world)}",
    )


async def _run(world: World) -> None:
    await world.base.open()
    nemesis, client, watch = Nemesis(world), Client(world), Watch(world)
    watch.nodes = nemesis.nodes
    nemesis.begin()
    await asyncio.sleep(1)
    await _as(client, client.set_up())
    if world.problems:
        return
    span = world.random("span").choice([40, 60, 90])
    using = client.spawn(client.use(span))
    await asyncio.wait([asyncio.ensure_future(nemesis.rage(span)), asyncio.ensure_future(_until_bad(world, using))])
    if world.problems:
        return
    await nemesis.relent()
    client.store.quiet = True
    await _as(client, client.finish())
    await watch.until_at_rest(DRAIN)
    if not world.problems:
        audit(world, client)


async def _as(client: Client, coroutine: object) -> None:
    await client.spawn(coroutine)


async def _until_bad(world: World, task: asyncio.Task[None]) -> None:
    while not task.done() and not world.problems:  # noqa: ASYNC110 - a look now and then, from outside
        await asyncio.sleep(1)
    if world.problems:
        task.cancel()


def hash_of(world: World) -> str:
    """A digest of the whole history."""
    from hashlib import blake2b

    digest = blake2b(digest_size=8)
    for t in world.auditor._transitions:
        digest.update(f"{t.execution_id}{t.source}{t.to}{t.actor}{t.fence}{t.at}".encode())
    return digest.hexdigest()


def check(seed: int) -> Report:
    """Run a seed and raise `SimulationError` if it broke a law."""
    report = run(seed)
    if report.problems:
        raise SimulationError(report)
    return report
