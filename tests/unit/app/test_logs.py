"""Structured logs: one line each, bounded, without secrets, under names of our own."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mainspring.app.logs import TEXT, structured_logs
from mainspring.engine.context import _current
from mainspring.model.log_events import LOG_EVENTS, about
from mainspring.model.trace import TraceIds, enter
from tests import metrics_page

SOURCE = Path(__file__).parents[3] / "src" / "mainspring"
MARKER = "hunter2"


class Lines:
    def __init__(self, kind: str) -> None:
        self.stream = io.StringIO()
        self._logs = structured_logs(kind, "info", self.stream)

    def __enter__(self) -> Lines:
        self._logs.__enter__()
        return self

    def __exit__(self, *gone: Any) -> None:
        self._logs.__exit__(None, None, None)

    def json(self) -> dict[str, Any]:
        text = self.stream.getvalue()
        assert text.count("\n") == 1, text
        found: dict[str, Any] = json.loads(text)
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    with Lines("json") as found:
        yield found


logger = logging.getLogger("mainspring.tests")


def test_a_record_has_its_event_its_words_and_its_fields(lines: Lines) -> None:
    logger.warning("result of %s dropped", "e-1", extra=about("lease.lost", execution="e-1"))
    found = lines.json()
    assert found.pop("ts").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "mainspring.tests",
        "msg": "result of e-1 dropped",
        "event": "lease.lost",
        "execution": "e-1",
    }


def test_what_is_said_within_an_attempt_is_bound_to_it_and_to_its_trace(lines: Lines) -> None:
    context = SimpleNamespace(execution_id="e-1", platform_id="acme", handler="h", attempt=2, job_name="nightly")
    token = _current.set(context)  # type: ignore[arg-type]
    enter(TraceIds("a" * 32, "b" * 16))
    try:
        logging.getLogger("somebodys.library").error("no")
    finally:
        _current.reset(token)
        enter(None)
    found = lines.json()
    assert (found["execution"], found["platform"], found["attempt"], found["job"]) == ("e-1", "acme", 2, "nightly")
    assert (found["trace_id"], found["span_id"]) == ("a" * 32, "b" * 16)


@pytest.mark.parametrize("kind", ["json", "console"])
@pytest.mark.parametrize("sign", ["\r\n", "\n", "\x1b[2J", "\u2028", "\u2029", "\x85", "\x00", "\u202e"])
def test_no_text_begins_a_line_or_steers_a_terminal(kind: str, sign: str) -> None:
    with Lines(kind) as lines:
        logger.info("one%stwo", sign, extra=about("job.warning", job=f"a{sign}b"))
    text = lines.stream.getvalue()
    assert len(text.splitlines()) == 1
    assert sign not in text.rstrip("\n")


def test_a_long_text_is_cut_and_a_traceback_keeps_its_end(lines: Lines) -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("the cause")
        deep(n - 1)

    try:
        deep(200)
    except ValueError:
        logger.exception("x" * 2**20)
    found = lines.json()
    assert len(found["msg"]) == TEXT + 3
    assert len(found["traceback"]) <= 8_200
    assert found["traceback"].endswith("ValueError: the cause")


@pytest.mark.parametrize("kind", ["json", "console"])
def test_secrets_are_told_nowhere(kind: str) -> None:
    with Lines(kind) as lines:
        try:
            raise ConnectionError(f"postgresql://me:{MARKER}@db/jobs refused")
        except ConnectionError:
            logger.exception(
                "GET https://host/a?token=%s&page=2 failed", MARKER, extra=about("step.failed", password=MARKER)
            )
    assert MARKER not in lines.stream.getvalue()
    assert "page=2" in lines.stream.getvalue()


def test_what_others_hand_over_as_extra_becomes_no_field(lines: Lines) -> None:
    logger.info("hello", extra={"tenants_own": "x", "level_": "fatal"})
    assert lines.json().keys() == {"ts", "level", "logger", "msg"}


def test_other_handlers_stay_and_come_back() -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    with structured_logs("json", "info", io.StringIO()):
        pass
    assert root.handlers == before


def used() -> set[Any]:
    """Return every event the code names."""
    found: set[Any] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "about":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(first.value)
                else:  # the one that names what is away
                    found |= {"store.unavailable", "bus.unavailable"}
    return found


def test_every_event_is_described_and_every_described_one_is_used() -> None:
    assert used() == set(LOG_EVENTS)


def test_the_operators_page_tells_every_event() -> None:
    page = metrics_page.PAGE.read_text("utf-8")
    assert page == metrics_page.renewed(page), "write it again: python -m tests.metrics_page"
