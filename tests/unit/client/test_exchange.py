"""How often an ask is sent, and what is waited between: decided without a network, step by step."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mainspring.client import asks
from mainspring.client.ask import Ask
from mainspring.client.exchange import Caller, Lost, Patience, Pause, Reply, Send
from mainspring.client.problems import BusyProblem, Problem, ServerUnreachableError, UnavailableProblem

OK = Reply(200, {}, b'{"id": "x", "name": "a", "status": "active"}')
AWAY = Reply(503, {}, b'{"code": "store_unavailable", "detail": "away"}')
SLOW = Reply(503, {}, b'{"code": "timeout", "detail": "slow"}')
BUSY = Reply(429, {"retry-after": "3"}, b'{"code": "rate_limited", "detail": "too many"}')
UNSENT, UNSURE = Lost("refused", sent=False), Lost("broken off", sent=True)

READ = asks.get_job("a")
CHANGE = asks.archive_job("a")
ONCE = asks.create_key(role="viewer")


def talk(ask: Ask[Any], *answers: Reply | Lost, retries: int = 4) -> tuple[list[Send], list[float], Any]:
    """Play the driver: return what was sent, what was waited, and what came of it."""
    steps = Caller("http://server", patience=Patience(retries=retries), random=Random(1)).ask(ask)
    coming, sent, waited = iter(answers), [], []
    got: Any = None
    try:
        while True:
            step = steps.send(got)
            if isinstance(step, Pause):
                waited.append(step.seconds)
                got = None
            else:
                sent.append(step)
                got = next(coming)
    except StopIteration as done:
        return sent, waited, done.value
    except Exception as error:
        return sent, waited, error


@pytest.mark.parametrize("ask", [READ, CHANGE])
@pytest.mark.parametrize("trouble", [UNSENT, UNSURE, AWAY, SLOW, BUSY, Reply(502, {}, b"<html>")])
def test_what_can_be_repeated_without_harm_is_tried_again(ask: Ask[Any], trouble: Reply | Lost) -> None:
    sent, waited, job = talk(ask, trouble, trouble, OK)
    assert len(sent) == 3
    assert len(waited) == 2
    assert job.name == "a"


@pytest.mark.parametrize("trouble", [UNSURE, SLOW, Reply(502, {}, b"<html>"), Reply(504, {}, b"")])
def test_what_may_have_been_done_and_cannot_be_told_from_a_repeat_is_not_tried_again(trouble: Reply | Lost) -> None:
    sent, _, error = talk(ONCE, trouble, OK)
    assert len(sent) == 1
    assert isinstance(error, Problem | ServerUnreachableError)


@pytest.mark.parametrize("trouble", [UNSENT, AWAY, BUSY])
def test_what_was_certainly_not_done_is_tried_again_whatever_it_is(trouble: Reply | Lost) -> None:
    assert len(talk(ONCE, trouble, Reply(201, {}, b'{"id": "k"}'))[0]) == 2


def test_each_try_of_one_change_carries_the_same_idempotency_key_and_the_next_change_another() -> None:
    sent, _, _ = talk(CHANGE, UNSURE, UNSURE, OK)
    keys = [one.headers["Idempotency-Key"] for one in sent]
    assert len(set(keys)) == 1
    assert talk(CHANGE, OK)[0][0].headers["Idempotency-Key"] != keys[0]
    assert talk(asks.archive_job("a", idempotency_key="mine"), OK)[0][0].headers["Idempotency-Key"] == "mine"
    assert "Idempotency-Key" not in talk(READ, OK)[0][0].headers
    assert "Idempotency-Key" not in talk(ONCE, OK)[0][0].headers


def test_a_refusal_is_not_tried_again() -> None:
    sent, waited, error = talk(CHANGE, Reply(409, {}, b'{"code": "conflict", "detail": "no"}'))
    assert (len(sent), waited, error.code) == (1, [], "conflict")


def test_a_first_request_still_at_work_is_waited_for() -> None:
    still = Reply(409, {"retry-after": "1"}, b'{"code": "idempotency_in_progress", "detail": "wait"}')
    sent, waited, job = talk(CHANGE, still, OK)
    assert len(sent) == 2
    assert waited[0] >= 1
    assert job.name == "a"


def test_pauses_grow_within_bounds_and_keep_to_what_the_server_says() -> None:
    patience = Patience(base=1, cap=4)
    assert [patience.pause(tries, 1.0) for tries in (1, 2, 3, 4, 400)] == [1, 2, 4, 4, 4]
    assert patience.pause(1, 0.0) == 0
    _, waited, _ = talk(READ, BUSY, OK)
    assert 3 <= waited[0] <= 3.25
    assert patience.pause(1, 1.0, retry_after=10_000) == patience.longest


@pytest.mark.parametrize(
    ("trouble", "kind"), [(AWAY, UnavailableProblem), (BUSY, BusyProblem), (UNSENT, ServerUnreachableError)]
)
def test_after_the_last_try_the_error_says_what_the_trouble_was(trouble: Reply | Lost, kind: type) -> None:
    sent, _, error = talk(READ, *[trouble] * 10, retries=2)
    assert len(sent) == 3
    assert isinstance(error, kind)


def test_a_request_says_who_asks_what_for_which_revision() -> None:
    ask = asks.update_job("a/b", if_revision=17, priority=None)
    steps = Caller("http://server", "acme", "msk_secret").ask(ask)
    send = next(steps)
    assert isinstance(send, Send)
    assert send.path == "/api/v1/platforms/acme/jobs/a%2Fb"
    assert send.headers["Authorization"] == "Bearer msk_secret"
    assert send.headers["If-Match"] == '"r17"'
    assert send.content == b'{"priority":null}'


def test_the_key_is_in_no_text_about_the_caller() -> None:
    assert "msk_secret" not in repr(Caller("http://server", "acme", "msk_secret"))
