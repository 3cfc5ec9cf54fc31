"""The same on PostgreSQL, with the questions whose answers come by other statements there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.client.test_same_commands import Both, asked_alike, both, stocked
from tests.integration.postgres_rig import migrated
from tests.live import Live, live

__all__ = ["both"]

#: What is searched, counted, paged or joined.
QUESTIONS: list[tuple[str, ...]] = [
    ("jobs", "list", "--filter", "labels.team = ops OR type = manual", "--sort", "-name"),
    ("jobs", "list", "--limit", "1"),
    ("jobs", "get", "sum"),
    ("jobs", "decisions", "on-order"),
    ("jobs", "revisions", "nightly"),
    ("jobs", "stats", "sum"),
    ("executions", "list", "--status", "failed", "--handler", "fail"),
    ("executions", "list", "--filter", "cause = event"),
    ("executions", "get", "{failed}"),
    ("executions", "logs", "{run}"),
    ("explain", "{run}"),
    ("explain", "on-order", "--event", "shop#7"),
    ("dead-letters", "groups"),
    ("events", "list"),
    ("webhooks", "deliveries", "{hook}"),
    ("workers", "list"),
    ("queues", "list"),
    ("usage",),
    ("status",),
    ("export", "transitions", "--job", "sum"),
    ("jobs", "list", "--after", "nonsense"),
    ("executions", "list", "--job", "nowhere"),
]


@pytest.fixture(scope="module")
def server(postgres18_url: str) -> Iterator[Live]:
    with migrated(postgres18_url) as url, live(url) as running:
        yield running


@pytest.fixture(scope="module")
def stock(server: Live) -> dict[str, str]:
    return stocked(server)


@pytest.mark.servers
@pytest.mark.parametrize("words", QUESTIONS, ids=" ".join)
def test_a_question_is_answered_the_same(both: Both, stock: dict[str, str], words: tuple[str, ...]) -> None:
    asked_alike(both, stock, words, "json")
