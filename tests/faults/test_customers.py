"""F13: whoever asks, or the server asked, is killed between the commit and its answer; the call is made again."""

from __future__ import annotations

import http.client
import json
import threading
import time

from tests import servers
from tests.faults.conftest import Report
from tests.faults.oracle import USUAL
from tests.faults.rest import listening, post
from tests.faults.trial import Trial
from tests.waiting import until


def test_f13_who_asks_is_killed_between_commit_and_answer_and_asking_again_gives_the_same(
    trial: Trial, report: Report
) -> None:
    trial.up(specs=USUAL)
    trial.call(lambda service: service.create_job({"name": "asked", "type": "manual", "handler": "work"}))
    proxy = trial.proxy()
    proxy.withheld = True
    words = ("trigger", "asked", "--idempotency-key", "key-1", "-o", "json")
    doomed = trial.fleet.start("jobs", *words, "--db", proxy.url)
    made = "SELECT id FROM executions WHERE job_name = 'asked'"
    ((first,),) = until("it has committed", lambda: trial.rows(made), 60)
    assert doomed.alive
    doomed.kill()
    proxy.withheld = False
    again_at = time.time()
    again = json.loads(trial.fleet.run("jobs", *words))
    took = time.time() - again_at
    assert again["id"] == first
    # The same key for something else is a conflict.
    trial.fleet.run("jobs", *words, "--payload", '{"n": 1}', code=5)
    trial.await_status(first, "success")
    trial.finish()
    assert trial.rows("SELECT count(*) FROM executions WHERE job_name = 'asked'") == [(1,)]
    report(recovery=took, bound=30.0)  # a command or a request, on a machine under load


def test_f13_the_server_is_killed_between_commit_and_answer_and_asked_again_gives_the_same(
    trial: Trial, report: Report
) -> None:
    trial.up(specs=USUAL)
    proxy, ports = trial.proxy(), [servers._free_port() for _ in range(2)]
    doomed = trial.fleet.start("server", "--port", str(ports[0]), MAINSPRING_DATABASE_URL=proxy.url)
    until("the server listens", lambda: listening(ports[0]), 60)
    body, answers = {"handler": "work", "payload": {"n": 7}}, list[object]()
    proxy.withheld = True

    def ask() -> None:
        try:
            answers.append(post(ports[0], body, "key-1"))
        except (OSError, http.client.HTTPException) as error:
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    made = "SELECT id FROM executions WHERE cause = 'enqueue' AND handler = 'work'"
    ((first,),) = until("it has committed", lambda: trial.rows(made), 60)
    assert answers == []
    doomed.kill()
    proxy.withheld = False
    asking.join(30)
    assert isinstance(answers[0], Exception), "the answer was lost with its server"
    trial.fleet.start("server", "--port", str(ports[1]))
    until("another server listens", lambda: listening(ports[1]), 60)
    again_at = time.time()
    again = post(ports[1], body, "key-1")
    took = time.time() - again_at
    assert (again.status, again.body["id"]) == (201, first)
    other = post(ports[1], {**body, "payload": {"n": 8}}, "key-1")
    assert other.status == 422, "the same key for something else"
    trial.await_status(first, "success")
    trial.finish()
    assert trial.rows(made) == [(first,)]
    report(recovery=took, bound=30.0)  # a command or a request, on a machine under load
