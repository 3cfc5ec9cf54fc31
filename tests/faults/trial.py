"""One trial: a fleet on a database, jobs and customers that keep it busy, a sampler, and the judgement at the end."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mainspring import Mainspring
from mainspring.control.scheduler import SchedulerService
from mainspring.moves.enqueue import EnqueueRequest
from tests.faults.checker import Evidence, judge
from tests.faults.customer import Customer
from tests.faults.fleet import Fleet, Node
from tests.faults.ledger import Ledger, Line
from tests.faults.oracle import Spec
from tests.faults.proxy import Proxy
from tests.faults.record import ALWAYS, LIVE, ONE_AT_A_TIME, AwayError, PostgresRecord, Record, Rows, SqliteRecord
from tests.waiting import NotInTimeError, until

T = TypeVar("T")

#: The defaults of the product, scaled to a lease of 3 s.
LEASE, HEARTBEAT, REAP, POLL = 3.0, 1.0, 0.4, 0.2
GRACE, STOP_GRACE, DRAIN_GRACE = 2.0, 1.0, 6.0
SETTINGS = {
    "MAINSPRING_RECORD_TRANSITIONS": "true",
    "MAINSPRING_LEASE_MS": f"{LEASE * 1000:.0f}",
    "MAINSPRING_HEARTBEAT_MS": f"{HEARTBEAT * 1000:.0f}",
    "MAINSPRING_REAP_MS": f"{REAP * 1000:.0f}",
    "MAINSPRING_POLL_MS": f"{POLL * 1000:.0f}",
    "MAINSPRING_GRACE_MS": f"{GRACE * 1000:.0f}",
    "MAINSPRING_STOP_GRACE_MS": f"{STOP_GRACE * 1000:.0f}",
    "MAINSPRING_DRAIN_GRACE_MS": f"{DRAIN_GRACE * 1000:.0f}",
}

#: Seconds a machine shared by fleet, servers and test may be late itself; added to every bound.
MARGIN = 3.0
#: G11: a lost worker's work starts again after lease + reap + poll, 20 s at default settings and 4 s here.
WORKER_BACK = 4.0
#: G11: a dispatcher that died with rows locked holds up no more than those, and them no longer than the server allows.
DISPATCHER_BACK = 10.0
#: G11, not scaled: reconnecting backs off up to 5 s whatever the lease is.
POSTGRES_BACK, REDIS_BACK = 15.0, 10.0
#: Seconds a process may take until it works, on a machine under load.
UP_WITHIN = 60.0
#: Seconds after the last fault in which all that was asked for is done.
QUIET_WITHIN = 90.0


class Trial:
    """Start it with `up`, do what is to be done, then `finish`."""

    def __init__(self, folder: Path, url: str, *, seed: int, settings: dict[str, str] | None = None) -> None:
        self.folder, self.url, self.seed = folder, url, seed
        self.chance = random.Random(seed)
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.gates = folder / "gates"
        self.gates.mkdir()
        shutil.copy(Path(__file__).with_name("app.py"), folder / "app.py")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSPRING_", "COV_", "LD_PRELOAD"))}
        own = {
            "MAINSPRING_DATABASE_URL": url,
            "FAULTS_LEDGER": str(self.ledger.path),
            "FAULTS_GATES": str(self.gates),
        }
        self.fleet = Fleet(folder, {**inherited, **SETTINGS, **own, **(settings or {})})
        file = url.removeprefix("sqlite:///")
        # A relative path is the fleet's, which works in the folder; here it is written out.
        self.client_url = url if file == url else f"sqlite:///{folder / file}"
        self.record: Record = PostgresRecord(url) if file == url else SqliteRecord(folder / file)
        self.specs: list[Spec] = []
        self.customers: list[Customer] = []
        self.sampler = Sampler(self.record)
        self._proxies: list[Proxy] = []
        #: The tenants there are.
        self.platforms = ["default"]
        #: Settings of the test's own processes.
        self.client: dict[str, Any] = {"record_transitions": True}
        #: Whether handlers' wall clocks are the database's.
        self.clocks_agree = True

    # -- setting up ------------------------------------------------------------------------------------------------

    def up(self, *, dispatchers: int = 1, workers: int = 1, specs: Sequence[Spec] = ()) -> None:
        """Migrate, start the fleet, create the jobs, and wait until all of it works."""
        self.fleet.run("migrate")
        for _ in range(dispatchers):
            self.dispatcher()
        for _ in range(workers):
            self.worker()
        self.await_nodes()
        self.create(*specs)
        self.sampler.start()

    def dispatcher(self, **environ: str) -> Node:
        """Start a dispatcher."""
        return self.fleet.start("dispatcher", **environ)

    def worker(self, **environ: str) -> Node:
        """Start a worker."""
        return self.fleet.start("worker", "app:ms", **environ)

    def proxy(self, url: str | None = None) -> Proxy:
        """Put a proxy before the database, or another server."""
        proxy = Proxy(url or self.url, chance=random.Random(self.chance.random()))
        self._proxies.append(proxy)
        return proxy

    def await_nodes(self) -> None:
        """Wait until every process that runs is in the record as running."""

        def ready() -> bool:
            running = {pid for (pid,) in self.rows(_NODES)}
            return all(node.pid in running for node in self.fleet.nodes if node.alive)

        until("every process at work", ready, UP_WITHIN)

    def create(self, *specs: Spec) -> None:
        """Create jobs."""
        self.specs += specs

        async def work(service: SchedulerService) -> None:
            for spec in specs:
                await service.create_job(spec.wire())

        self.call(work)

    def call(self, work: Callable[[SchedulerService], Awaitable[T]], *, platform: str = "default") -> T:
        """Do something as a client of the service."""

        async def run() -> T:
            app = Mainspring(self.client_url, platform=platform, **self.client)
            await app.open()
            try:
                return await work(app.scheduler(actor="test"))
            finally:
                await app.close()

        return asyncio.run(run())

    def ask(self, handler: str, payload: dict[str, Any] | None = None, **options: Any) -> str:
        """Enqueue one execution; return its id."""
        request = EnqueueRequest(handler, payload or {}, **options)
        return self.call(lambda service: service.enqueue([request]))[0].id

    def customer(self, *, rate: float = 20.0, url: str | None = None, **options: Any) -> Customer:
        """Let a customer ask for work until the trial is finished."""
        customer = Customer(url or self.client_url, rate=rate, settings=self.client, **options).start()
        self.customers.append(customer)
        return customer

    def open_gate(self, name: str) -> None:
        """Let handlers that wait at a gate go on."""
        (self.gates / name).touch()

    # -- looking ---------------------------------------------------------------------------------------------------

    def rows(self, sql: str) -> Rows:
        """Run a query; no rows while the database does not answer."""
        try:
            return self.record.rows(sql)
        except AwayError:
            return []

    def status(self, execution_id: str) -> str | None:
        """Return an execution's status."""
        found = self.rows(f"SELECT status FROM executions WHERE id = '{execution_id}'")
        return str(found[0][0]) if found else None

    def await_start(self, execution_id: str, *, times: int = 1, within: float = 20.0) -> Line:
        """Wait until a handler has started for the so-manieth time; return that line of the ledger."""

        def starts() -> list[Line]:
            found = self.ledger.lines("start", id=execution_id)
            return found if len(found) >= times else []

        return until(f"start {times} of {execution_id}", starts, within)[times - 1]

    def await_status(self, execution_id: str, *statuses: str, within: float = 30.0) -> str:
        """Wait until an execution has one of these statuses."""

        def reached() -> str:
            found = self.status(execution_id)
            return found if found in statuses else ""

        return until(f"{execution_id} {' or '.join(statuses)}", reached, within)

    def await_work(self, count: int = 20, within: float = 60.0) -> None:
        """Wait until so many more attempts have ended: the fleet works."""
        before = len(self.ledger.lines("end"))
        until(f"{count} attempts ended", lambda: len(self.ledger.lines("end")) >= before + count, within)

    def worker_of(self, line: Line) -> Node:
        """Return the process that wrote a line."""
        return next(node for node in self.fleet.nodes if node.pid == line.pid)

    def of(self, role: str) -> list[Node]:
        """Return the processes of a role that run."""
        return [node for node in self.fleet.nodes if node.name.startswith(role) and node.alive]

    # -- the end ---------------------------------------------------------------------------------------------------

    def settle(self, within: float = QUIET_WITHIN) -> float:
        """Stop customers and schedules, then wait until everything asked for is done; return the seconds it took."""
        began = time.monotonic()
        for customer in self.customers:
            customer.stop()
        self._pause_all()
        try:
            until("everything asked for is done", lambda: self._unfinished() == [], within)
        except NotInTimeError as error:
            raise NotInTimeError(f"{error}; left: {(self._unfinished() or [])[:10]}") from error
        return time.monotonic() - began

    def _pause_all(self) -> None:
        async def work(service: SchedulerService) -> None:
            for spec in self.specs:
                if (await service.get_job(spec.name)).job.status == "active":
                    await service.pause_job(spec.name, reason="the trial is over")

        self.call(work)

    def _unfinished(self) -> Rows | None:
        try:
            return self.record.rows(_UNFINISHED)
        except AwayError:
            return None

    def stop(self) -> None:
        """End every process in order; each has to end well."""
        nodes = [node for node in self.fleet.nodes if node.alive]
        for node in nodes:
            node.send(signal.SIGTERM)
        ends = {node.name: node.wait(DRAIN_GRACE + STOP_GRACE + 20) for node in nodes}
        assert set(ends.values()) <= {0}, f"processes ended badly: {ends}"

    def finish(self) -> Evidence:
        """Come to rest, stop, export and judge; return the evidence."""
        self.settle()
        self.stop()
        self.sampler.stop()
        evidence = self.evidence()
        problems = judge(evidence)
        assert not problems, "\n".join([f"{len(problems)} violations:", *problems[:20]])
        assert self.sampler.problems == [], "\n".join(self.sampler.problems[:20])
        return evidence

    def evidence(self) -> Evidence:
        """Export everything."""
        names = {spec.name for spec in self.specs}
        jobs = [
            json.loads(line) for line in self.fleet.run("jobs", "list", "--limit", "200", "-o", "jsonl").splitlines()
        ]
        return Evidence(
            specs=self.specs,
            jobs={job["name"]: job for job in jobs if job["name"] in names},
            decisions=self.export("decisions"),
            executions=self.export("executions"),
            attempts=self.export("attempts"),
            transitions=self.export("transitions"),
            lines=self.ledger.lines(),
            keys={key: told for customer in self.customers for key, told in customer.acknowledged.items()},
            clocks_agree=self.clocks_agree,
        )

    def export(self, kind: str) -> list[dict[str, Any]]:
        """Return what `mainspring export` says, of every platform."""
        texts = [self.fleet.run("export", kind, "-o", "jsonl", "--platform", name) for name in self.platforms]
        return [json.loads(line) for text in texts for line in text.splitlines()]

    def clear_away(self) -> None:
        """End every process and thread, whatever has become of the trial."""
        for customer in self.customers:
            customer.abandon()
        self.sampler.stop()
        self.fleet.clear_away()
        for proxy in self._proxies:
            proxy.close()

    def told(self) -> str:
        """Return what a failure needs: the seed, where the logs are, and the end of each."""
        parts = [f"seed {self.seed}; everything is in {self.folder}"]
        parts += [f"-- {node.name}\n{node.words()[-1500:]}" for node in self.fleet.nodes]
        return "\n".join(parts)


class Sampler:
    """Looks once a second, also while faults go on: what must hold at every moment is not asked for at the end only."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.problems: list[str] = []
        self.samples = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(20)

    def _run(self) -> None:
        queries = {**ALWAYS, "I20: two at a time of a job that allows one": ONE_AT_A_TIME}
        while not self._stopping.wait(1.0):
            try:
                found = self._record.snapshot(queries)
            except AwayError:
                continue
            self.samples += 1
            self.problems += [f"{name}: {rows[:3]}" for name, rows in found.items() if rows]


_NODES = """
    SELECT pid FROM workers WHERE status = 'running' UNION ALL SELECT pid FROM dispatchers WHERE status = 'running'"""
_UNFINISHED = f"""
    SELECT id, status, available_at, lease_until, worker_id FROM executions WHERE status IN {LIVE}
    UNION ALL SELECT id, 'unpublished', at, NULL, NULL FROM outbox WHERE published_at IS NULL"""
