"""Streams through broken connections: where they go on, what comes twice, and when following ends."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mainspring.client.exchange import Caller, Lost, Patience, Reply
from mainspring.client.problems import NotFoundProblem, ServerUnreachableError
from mainspring.client.watching import Following, follow_events, follow_logs

CALLER = Caller("http://server", patience=Patience(retries=2), random=Random(1))


def feed(following: Following[Any], *lines: str) -> list[Any]:
    return [found for line in lines for found in following.take(line)]


def line(number: int) -> tuple[str, ...]:
    return f"id: {number}", "event: line", f'data: {{"line": {number}, "message": "m{number}"}}', ""


def event(id: str) -> tuple[str, ...]:
    data = f'{{"id": "{id}", "type": "scheduler:job.paused", "subject": "job:a", "at": null, "data": {{}}}}'
    return f"id: {id}", "event: scheduler:job.paused", f"data: {data}", ""


def test_lines_are_read_and_comments_are_not() -> None:
    following = follow_logs(CALLER, "e1")
    assert following.request().headers.get("Last-Event-ID") is None
    found = feed(following, ": still here", "", *line(1), *line(2))
    assert [(one.line, one.message) for one in found] == [(1, "m1"), (2, "m2")]


def test_after_a_break_it_goes_on_behind_the_last_line() -> None:
    following = follow_logs(CALLER, "e1", after=4)
    assert following.request().headers["Last-Event-ID"] == "4"
    feed(following, *line(5))
    assert following.broke(Lost("cut", sent=True)) >= 0
    assert following.request().headers["Last-Event-ID"] == "5"


def test_half_an_event_is_forgotten_with_its_connection() -> None:
    following = follow_logs(CALLER, "e1")
    following.request()
    feed(following, "id: 1", "event: line")
    following.broke(None)
    following.request()
    assert [one.line for one in feed(following, *line(1))] == [1]


def test_the_end_of_a_log_ends_following_and_the_end_of_a_server_does_not() -> None:
    following = follow_logs(CALLER, "e1")
    feed(following, "event: end", 'data: {"reason": "stopping"}', "")
    assert following.reconnect
    assert not following.ended
    feed(following, "event: end", 'data: {"reason": "ended"}', "")
    assert following.ended


def test_an_event_that_comes_twice_is_told_once() -> None:
    following = follow_events(CALLER, topics="jobs")
    assert following.request().query == {"topics": "jobs"}
    found = feed(following, "event: hello", "data: {}", "", *event("a1"), *event("a1"), *event("a2"))
    assert [one.id for one in found] == ["a1", "a2"]
    assert found[0].type == "scheduler:job.paused"
    assert found[0].subject == "job:a"


def test_what_a_slow_reader_missed_is_asked_for_again() -> None:
    following = follow_events(CALLER)
    following.request()
    feed(following, *event("a1"))
    assert feed(following, "event: gap", 'data: {"after": "a1"}', "") == []
    assert following.reconnect
    assert following.broke(None) <= CALLER.patience.base
    assert following.request().headers["Last-Event-ID"] == "a1"


def test_what_the_server_cannot_replay_is_said() -> None:
    following = follow_events(CALLER, last_id="a1")
    following.request()
    [gap] = feed(following, "event: gap", 'data: {"after": "a1"}', "")
    assert gap.type == "gap"
    assert not following.reconnect


def test_a_server_that_stays_away_is_given_up_and_one_that_comes_back_is_not() -> None:
    following = follow_events(CALLER)
    for _ in range(5):
        following.broke(Lost("refused", sent=False))
        following.request()
        feed(following, "event: hello", "data: {}", "")
    following.broke(Lost("refused", sent=False))
    following.broke(Reply(503, {"retry-after": "1"}, b""))
    with pytest.raises(ServerUnreachableError):
        following.broke(Lost("refused", sent=False))


def test_a_refusal_is_raised_at_once() -> None:
    refused = Reply(404, {}, b'{"code": "not_found", "detail": "no execution"}')
    with pytest.raises(NotFoundProblem, match="no execution"):
        follow_logs(CALLER, "e1").broke(refused)
