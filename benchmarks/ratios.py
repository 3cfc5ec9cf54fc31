"""What Mainspring has set itself: figures of one run, divided by the other side's of the same run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.figures import OF, Figures


@dataclass(frozen=True)
class Figure:
    """One figure of one peer."""

    workload: str
    peer: str
    name: str


@dataclass(frozen=True)
class Aim:
    """A figure of ours, over the best of others where there are others, with what it should reach."""

    what: str
    ours: Figure
    others: tuple[Figure, ...]
    target: float
    moonshot: float
    lower_is_better: bool = False
    unit: str = "x"


@dataclass(frozen=True)
class Ratio:
    """An aim as a run found it."""

    aim: Aim
    ours: float
    other: float | None
    #: Whose figure the other side's is.
    against: str
    #: Others used the machine while a side was measured: the value says little.
    disturbed: bool = False

    @property
    def value(self) -> float:
        """The ratio; the figure itself where nothing stands beside it."""
        return self.ours / self.other if self.other else self.ours

    def reaches(self, bound: float) -> bool:
        """Whether the value is as good as the bound."""
        return self.value <= bound if self.aim.lower_is_better else self.value >= bound


def _drain(peer: str) -> Figure:
    return Figure("w1", peer, "drain_per_s")


def _drains(*peers: str) -> tuple[Figure, ...]:
    return tuple(map(_drain, peers))


FLEET, ALONE, FILE = "ours-postgres-redis", "ours-postgres", "ours-sqlite"
#: The expressions, in America/New_York, whose rates have a bound each.
NEW_YORK = ("*/15 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *")
RESULTS_IN_REDIS = ("dramatiq", "saq", "taskiq")


def _latency(ours: str, other: str, which: str, target: float, moonshot: float) -> Aim:
    name = f"p{which}_ms"
    what = f"idle latency p{which}, {ours} / {other}"
    return Aim(what, Figure("w2", ours, name), (Figure("w2", other, name),), target, moonshot, lower_is_better=True)


def _below(what: str, ours: Figure, target: float, moonshot: float, unit: str, *others: Figure) -> Aim:
    return Aim(what, ours, others, target, moonshot, lower_is_better=True, unit=unit)


AIMS = (
    Aim("drain / best Python peer with a result in Redis", _drain(FLEET), _drains(*RESULTS_IN_REDIS), 4, 6),
    Aim("drain / SAQ on PostgreSQL", _drain(FLEET), _drains("saq-postgres"), 15, 25),
    Aim("drain / Procrastinate", _drain(FLEET), _drains("procrastinate"), 40, 60),
    Aim("drain / PgQueuer", _drain(FLEET), _drains("pgqueuer"), 0.8, 1.2),
    Aim("drain on PostgreSQL alone / PgQueuer", _drain(ALONE), _drains("pgqueuer"), 0.8, 1.2),
    Aim("drain / BullMQ with AOF", _drain(FLEET), _drains("bullmq"), 0.5, 1),
    Aim("drain / the bare ceiling", _drain(FLEET), _drains("ceiling"), 0.33, 0.5),
    Aim("two workers / one", Figure("w1", FLEET, "drain_per_s_2"), _drains(FLEET), 1.2, 1.4),
    Aim("two workers / the bare ceiling", Figure("w1", FLEET, "drain_per_s_2"), _drains("ceiling"), 0.45, 0.6),
    Aim("drain on SQLite / APScheduler on SQLite", _drain(FILE), _drains("apscheduler-sqlite"), 12, 20),
    Aim("drain on SQLite / DBOS on SQLite", _drain(FILE), _drains("dbos-sqlite"), 25, 40),
    Aim(
        "bulk enqueue / streaQ",
        Figure("w1", FLEET, "enqueue_per_s"),
        (Figure("w1", "streaq", "enqueue_per_s"),),
        2,
        4,
    ),
    Aim(
        "one-at-a-time enqueue by 32 callers / by one",
        Figure("w1", FLEET, "enqueue_32_per_s"),
        (Figure("w1", FLEET, "enqueue_one_per_s"),),
        4,
        6,
    ),
    _latency(FLEET, "taskiq", "50", 1.3, 1),
    _latency(FLEET, "taskiq", "99", 1.5, 1),
    _latency(ALONE, "graphile-worker", "50", 1, 0.6),
    _latency(ALONE, "graphile-worker", "99", 1, 0.6),
    _latency(FILE, "apscheduler-memory", "50", 3, 2),
    _latency(FILE, "apscheduler-memory", "99", 4, 3),
    _below(
        "lateness p99 of a 1 s schedule, embedded / APScheduler in memory",
        Figure("w3", FILE, "p99_ms"),
        1.2,
        1,
        "x",
        Figure("w3", "apscheduler-memory", "p99_ms"),
    ),
    _below(
        "lateness p99 of a 1 s schedule, clustered / APScheduler in memory",
        Figure("w3", FLEET, "p99_ms"),
        2,
        1.3,
        "x",
        Figure("w3", "apscheduler-memory", "p99_ms"),
    ),
    _below("1,000 due at once, p99 of the starts, embedded", Figure("w4", FILE, "due_1000_p99_ms"), 150, 100, "ms"),
    _below("1,000 due at once, p99 of the starts, clustered", Figure("w4", FLEET, "due_1000_p99_ms"), 250, 150, "ms"),
    # "Recorded" as the specification means it, the rows of decision and execution, and as nobody can mean less by it.
    *(
        _below(f"10,000 due at once, {told}, {size}", Figure("w4", peer, f"due_10000_{name}_ms"), 1000, 600, "ms")
        for name, told in (
            ("decided", "the last decision and execution committed"),
            ("ended", "the last of them run and its end committed"),
        )
        for peer, size in ((FILE, "embedded"), (FLEET, "clustered"))
    ),
    *(
        aim
        for peer in (FILE, FLEET)
        for aim in (
            _below(
                f"1,000,000 stored, idle CPU, {peer}", Figure("w4", peer, "stored_1000000_cpu_percent"), 1, 0.3, "%"
            ),
            _below(
                f"1,000,000 stored, lateness against none, {peer}",
                Figure("w4", peer, "stored_1000000_late_p99_ms"),
                1.3,
                1.1,
                "x",
                Figure("w4", peer, "stored_0_late_p99_ms"),
            ),
            _below(
                f"1,000,000 stored, memory against none, {peer}",
                Figure("w4", peer, "stored_1000000_added_mib"),
                64,
                16,
                "MiB",
            ),
        )
    ),
    *(
        Aim(
            f"creating schedules in bulk, {ours} / {other}",
            Figure("w4", ours, "created_per_s"),
            (Figure("w4", other, "created_per_s"),),
            30,
            60,
        )
        for ours, other in ((FILE, "apscheduler-sqlite"), (ALONE, "apscheduler-postgres"))
    ),
    _below(
        "memory of an idle worker / taskiq",
        Figure("w5", FLEET, "idle_mib"),
        1,
        0.6,
        "x",
        Figure("w5", "taskiq", "idle_mib"),
    ),
    _below("growth after 100,000 jobs", Figure("w5", FLEET, "growth_percent"), 15, 10, "%"),
    Aim("drain with history / empty, PostgreSQL and Redis", Figure("history", FLEET, "ratio"), (), 0.9, 0.97),
    Aim("drain with history / empty, SQLite", Figure("history", FILE, "ratio"), (), 0.9, 0.97),
    *(
        Aim(f"next runs of `{text}`, {how}", Figure("next", FILE, f"{name}{OF}{text}"), (), target, moonshot, unit="/s")
        for name, how, target, moonshot in (
            ("compiled_per_s", "compiled", 50_000, 100_000),
            ("anew_per_s", "parsed anew", 20_000, 40_000),
        )
        for text in NEW_YORK
    ),
    _below("lost when a worker is killed", Figure("kill", FLEET, "lost"), 0, 0, "executions"),
    _below("all run again after a worker is killed (lease 15 s)", Figure("kill", FLEET, "recovered_s"), 17, 15.5, "s"),
)


def ratios(figures: Figures) -> Iterator[Ratio]:
    """Give the ratios a run has both sides of."""
    for aim in AIMS:
        ours = figures.median(aim.ours.workload, aim.ours.peer, aim.ours.name)
        found = [(figures.median(one.workload, one.peer, one.name), one.peer) for one in aim.others]
        sides = sorted((value, peer) for value, peer in found if value)
        if ours is None or (aim.others and not sides):
            continue
        other, against = (sides[0] if aim.lower_is_better else sides[-1]) if sides else (None, "")
        sides_measured = {f"{one.workload} {one.peer}" for one in (aim.ours, *aim.others)}
        yield Ratio(aim, ours, other, against, disturbed=not sides_measured.isdisjoint(figures.disturbed))
