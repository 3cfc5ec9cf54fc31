"""Who is measured, and with what: one row per peer. How each is driven stands in its adapter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from benchmarks.errors import BenchmarkError


@dataclass(frozen=True)
class Peer:
    """An engine in one setting."""

    name: str
    #: The module of its adapter, below `benchmarks.adapters`; a file of `benchmarks/node` for an ``.mjs``.
    adapter: str
    #: What it needs of ``postgres``, ``redis`` (keeps nothing) and ``redis-aof`` (appends, flushed each second).
    servers: tuple[str, ...]
    #: Jobs of one drain: enough for a few seconds.
    jobs: int
    #: What is left of a job that has succeeded.
    keeps: str
    #: Worker processes of one worker, as it is usually run.
    processes: int = 1
    #: The queue lives in the working process, which fills it itself.
    fills_itself: bool = False
    #: Most workers that share one queue.
    workers: int = 2
    #: Whether enqueue and start are one process, so that latency is measured inside it.
    embedded: bool = False
    #: Whether it can be asked for a job at any moment; the bare ceiling cannot.
    serves: bool = True
    #: Whether it takes a job to its end; the bare floor of latency does not.
    finishes: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether this is Mainspring, from this checkout."""
        return self.adapter == "ours"

    @property
    def schedules(self) -> bool:
        """Whether its adapter knows schedules."""
        return self.adapter in ("ours", "apscheduler")

    @property
    def is_node(self) -> bool:
        """Whether the adapter is a program of Node."""
        return self.adapter.endswith(".mjs")


RECORD = "execution row with states, times, attempts and result; outbox event"
BOTH = ("postgres", "redis")

PEERS = (
    Peer("ours-sqlite", "ours", (), 20_000, RECORD, workers=1, embedded=True),
    Peer("ours-postgres", "ours", ("postgres",), 20_000, RECORD),
    Peer("ours-postgres-redis", "ours", BOTH, 20_000, RECORD),
    Peer("ceiling", "ceiling", BOTH, 60_000, "row with three marks", fills_itself=True, serves=False),
    Peer("ceiling-sqlite", "ceiling_sqlite", (), 100_000, "row", workers=1, fills_itself=True, serves=False),
    Peer("floor-sqlite", "floor", (), 1, "row with two marks", workers=1, embedded=True, finishes=False),
    Peer("floor-postgres", "floor", ("postgres",), 1, "row with two marks", finishes=False),
    Peer("floor-postgres-redis", "floor", BOTH, 1, "row with two marks", finishes=False),
    Peer("saq", "saq", ("redis",), 10_000, "job with status, attempts, times, result (Redis, 10 min)"),
    Peer("taskiq", "taskiq", ("redis",), 10_000, "result (Redis, 1 h)"),
    Peer("dramatiq", "dramatiq", ("redis",), 10_000, "result (Redis, 10 min)"),
    Peer("streaq", "streaq", ("redis",), 5_000, "result with times and tries (Redis, 5 min)"),
    Peer("celery", "celery", ("redis",), 2_500, "result (Redis, 1 day)", processes=2),
    Peer("pgqueuer", "pgqueuer", ("postgres",), 40_000, "log row for each change of status; no result"),
    Peer("saq-postgres", "saq", ("postgres",), 2_500, "job with status, attempts, times, result (10 min)"),
    Peer("procrastinate", "procrastinate", ("postgres",), 2_500, "job row and event rows"),
    Peer("dbos-postgres", "dbos", ("postgres",), 2_500, "workflow row with inputs, output, times", workers=1),
    Peer("dbos-sqlite", "dbos", (), 1_500, "workflow row with inputs, output, times", workers=1),
    Peer("apscheduler-memory", "apscheduler", (), 20_000, "nothing", workers=1, fills_itself=True, embedded=True),
    Peer("apscheduler-sqlite", "apscheduler", (), 1_000, "nothing", workers=1, fills_itself=True, embedded=True),
    Peer(
        "apscheduler-postgres",
        "apscheduler",
        ("postgres",),
        2_000,
        "nothing",
        workers=1,
        fills_itself=True,
        embedded=True,
    ),
    Peer("bullmq", "bullmq.mjs", ("redis-aof",), 40_000, "job hash with status, times, attempts, value (Redis, AOF)"),
    Peer("graphile-worker", "graphile.mjs", ("postgres",), 5_000, "nothing: the row is deleted"),
)

_WITH_SCHEDULES = [peer for peer in PEERS if peer.schedules]

BY_NAME = {peer.name: peer for peer in PEERS}


def moment(peer: Peer) -> float:
    """Return the part of a second, of its own among the peers, at which a peer's schedules are due; 0 if it has none.

    >>> [round(moment(peer), 2) for peer in PEERS if peer.schedules]
    [0.0, 0.17, 0.33, 0.5, 0.67, 0.83]
    """
    return _WITH_SCHEDULES.index(peer) / len(_WITH_SCHEDULES) if peer.schedules else 0.0


def chosen(names: Iterable[str]) -> list[Peer]:
    """Return the peers of these names, in the catalogue's order; all of them for no names."""
    wanted = list(names)
    for name in wanted:
        if name not in BY_NAME:
            near = get_close_matches(name, BY_NAME, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "there are: " + ", ".join(BY_NAME)
            raise BenchmarkError(f"no peer is named {name!r}: {hint}")
    return [peer for peer in PEERS if not wanted or peer.name in wanted]
