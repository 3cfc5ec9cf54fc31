"""F36: whoever publishes is killed between publishing and marking, and whoever receives is away."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from tests import servers
from tests.faults.conftest import Report
from tests.faults.oracle import USUAL
from tests.faults.trial import LEASE, MARGIN, Trial
from tests.waiting import until

#: Seconds a post may take here, and after how many a delivery nobody has reported on is made again.
TIMEOUT = 5.0
TRY = TIMEOUT + 10.0
ENDED = {f"scheduler:execution.{status}" for status in ("success", "failed", "cancelled", "expired")}


class Receiver:
    """Somebody else's server: it keeps every event posted to it, and can hold back its answers or be away."""

    def __init__(self) -> None:
        self.port = servers._free_port()
        self.events: list[dict[str, Any]] = []
        self.answering = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.events.append(event)
                receiver.answering.wait(30)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True).start()

    def stop(self) -> None:
        self.answering.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.mark.timeout(400)
def test_f36_events_outlive_their_publisher_and_an_absent_receiver_in_the_order_of_each_execution(
    trial: Trial, report: Report
) -> None:
    receiver = Receiver()
    receiver.start()
    trial.fleet.environ["MAINSPRING_WEBHOOK_TIMEOUT_MS"] = f"{TIMEOUT * 1000:.0f}"
    trial.fleet.environ["MAINSPRING_WEBHOOK_ALLOW"] = f"127.0.0.1/32:{receiver.port}"
    try:
        trial.fleet.run("migrate")
        trial.fleet.run("webhooks", "create", f"http://127.0.0.1:{receiver.port}/", "--events", "scheduler:execution.*")
        trial.up(workers=2, specs=USUAL)
        flaky = [trial.ask("flaky", {"fails": 2}) for _ in range(5)]
        until("events are under way", lambda: len(receiver.events) >= 3, 30)
        # Received, not answered: who posted them dies before it can mark them.
        trial.of("dispatcher")[0].kill()
        killed_at = time.time()
        receiver.answering.set()
        posted = {event["id"] for event in receiver.events}
        trial.dispatcher()
        trial.await_nodes()
        until("they are posted again", lambda: _times(receiver, posted) >= 2 * len(posted), TRY + 4 * MARGIN)
        took = time.time() - killed_at

        receiver.stop()
        away = 2 * LEASE
        flaky += [trial.ask("flaky", {"fails": 2}) for _ in range(5)]
        for one in flaky:
            trial.await_status(one, "success")
        trial.await_work(int(away))
        receiver.start()
        trial.settle()
        owed = "SELECT count(*) FROM webhook_deliveries WHERE state IN ('held', 'ready')"
        until("everything owed is delivered", lambda: trial.rows(owed) == [(0,)], 150)
        evidence = trial.finish()
    finally:
        receiver.stop()
    _judge(receiver.events, evidence.executions, flaky)
    report(recovery=took, bound=TRY + 4 * MARGIN, received=len(receiver.events))


def _times(receiver: Receiver, ids: set[str]) -> int:
    return sum(event["id"] in ids for event in receiver.events)


def _judge(events: list[dict[str, Any]], executions: Any, flaky: list[str]) -> None:
    first: dict[str, dict[str, Any]] = {}
    for event in events:
        first.setdefault(event["id"], event)  # in the order in which each first came
    by_subject: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in first.values():
        by_subject[event["subject"]].append(event)
    for execution in executions:
        own = by_subject[execution["id"]]
        ends = [event["type"] for event in own if event["type"] in ENDED]
        assert ends == [f"scheduler:execution.{execution['status']}"], (execution["id"], own)
        numbers = [int(event["sequence"]) for event in own]
        assert all(a < b for a, b in pairwise(numbers)), f"{execution['id']}: out of order: {numbers}"
        assert numbers == list(range(1, len(numbers) + 1)), f"{execution['id']}: a gap in {numbers}"
    assert {len(by_subject[one]) for one in flaky} == {3}, "two retries and an end of each"
    known = {execution["id"] for execution in executions}
    assert set(by_subject) <= known, "an event of what never was"
