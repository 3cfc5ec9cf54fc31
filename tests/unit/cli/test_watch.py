"""What a running process says of itself: what it runs, and commands that can be typed as they are shown."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mainspring import Mainspring
from mainspring.adapters.memory import MemoryStore
from mainspring.app.wiring import Roles, SystemParts
from mainspring.cli.commands import hoisted, tree
from mainspring.cli.live import PlainView
from mainspring.cli.narrate import Line
from mainspring.cli.watch import Watch
from mainspring.engine.executor import Words
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Cause, Status
from mainspring.model.outcome import Succeeded
from tests.contracts.store_rows import an_execution

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)

DEAD = Event(
    "e-1", EventType.EXECUTION_FAILED, "default", datetime(2026, 11, 24, 6, tzinfo=UTC),
    data={"execution_id": "019c-1", "handler": "report", "attempt": 3, "failure": "error", "dead_letter": True},
)  # fmt: skip


class Kept(PlainView):
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.headed = asyncio.Event()

    def head(self, text: Sequence[tuple[str, str]]) -> None:
        self.lines += [one for _, one in text]
        self.headed.set()

    def line(self, line: Line) -> None:
        self.lines.append(line.text)


def application(database_url: str = "sqlite:///unused.db") -> Mainspring:
    parts = SystemParts()
    parts.store = MemoryStore(parts.clock, random=parts.random, wakeups=parts.wakeups)
    return Mainspring(database_url, parts=parts)


async def said(app: Mainspring, where: str | None, *events: Event) -> str:
    """Return what a dispatcher shows at its start, and of events that happened."""
    view = Kept()
    node: Any = SimpleNamespace(is_engine=True, worker=None)
    watch = Watch("dispatcher", where, app, Roles(worker=False), view, asyncio.Event())
    watch.begin(node)
    running = asyncio.create_task(watch.run(node))
    await view.headed.wait()
    node.on_published(events)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return "\n".join(view.lines)


async def test_what_it_says_about_a_dead_letter_can_be_typed_as_it_stands() -> None:
    text = await said(application(), None, DEAD)
    (hint,) = [line for line in text.splitlines() if "says why" in line]
    commands = re.findall(r"mainspring (.+?) (?:says|runs)", hint)
    assert commands == ["explain 019c-1", "dead-letters redrive 019c-1"]
    for command in commands:
        tree().parse_args(hoisted(shlex.split(command)), exit_on_error=False, print_error=False)


async def test_one_job_is_one_job() -> None:
    app = application()
    app.every("1h", name="b")(lambda: None)
    assert re.search(r"tasks:ms: \d+ handlers, 1 job$", await said(app, "tasks:ms"), re.MULTILINE)


@pytest.mark.parametrize(
    ("database_url", "command"),
    [("sqlite:///unused.db", "dev"), ("postgresql://jobs@db/jobs", "worker")],
)
async def test_without_an_app_it_says_what_runs_the_handlers(database_url: str, command: str) -> None:
    assert f"none given; mainspring {command} module:app runs" in await said(application(database_url), None)


async def test_a_start_is_shown_once_the_handler_has_begun_and_before_what_it_says_and_how_it_ends() -> None:
    view, node = Kept(), cast(Any, SimpleNamespace(is_engine=True, worker=None))
    watch = Watch("worker", "tasks:ms", application(), Roles(dispatcher=False), view, asyncio.Event())
    watch.begin(node)
    running = asyncio.create_task(watch.run(node))
    await view.headed.wait()
    view.lines.clear()
    execution = an_execution(NOW, Status.RUNNING, handler="report", cause=Cause.ENQUEUE)
    attempt = SimpleNamespace(execution=execution, words=Words())
    node.on_attempt(attempt)
    assert view.lines == []
    attempt.words.log("info", "half of it", {})
    node.on_end(attempt, Succeeded(None))
    await asyncio.sleep(0)
    assert [line.split()[0] for line in view.lines] == ["started", "INFO", "finished"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
