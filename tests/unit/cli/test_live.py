"""What a running process shows: plain lines off a terminal, calm colours on one, and never more than can be read."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from mainspring.cli.counters import Counters
from mainspring.cli.live import (
    JsonView,
    PlainView,
    Standing,
    StreamHandler,
    TerminalView,
    Throttle,
    Under,
    Upcoming,
    view_for,
)
from mainspring.cli.narrate import Line
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Cause, Execution, Status

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)


def line(what: str = "finished", text: str = "finished in 1 s", **fields: str) -> Line:
    return Line(NOW, "Europe/Istanbul", fields.pop("job", "report"), what, text, **fields)


def test_plain_lines_carry_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView()
    view.start()
    view.head([("bold", "Mainspring")])
    view.line(line())
    view.stand(Standing())
    view.stop()
    shown = capsys.readouterr().out
    assert shown == "Mainspring\n2026-11-24 09:00:00 +03:00 Europe/Istanbul  report  finished in 1 s\n"


def test_off_a_terminal_the_view_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert type(view_for("table", color=True)) is PlainView
    assert type(view_for("jsonl", color=True)) is JsonView


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    JsonView().line(line(execution_id="x"))
    assert json.loads(capsys.readouterr().out)["execution_id"] == "x"


def terminal(width: int = 100, *, color: bool) -> tuple[TerminalView, io.StringIO]:
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=True, no_color=not color, highlight=False, color_system="truecolor"
    )
    return TerminalView(color=color, console=console), stream


def test_without_colour_the_words_say_it_all() -> None:
    view, _ = terminal(color=False)
    shown = view.styled(line("failed", "failed for good on attempt 3")).plain
    assert shown == "09:00:00 Europe/Istanbul  ✗ report    failed for good on attempt 3"


def test_a_long_error_is_cut_so_that_the_id_stays_on_its_line() -> None:
    view, _ = terminal(width=140, color=True)
    view.reserve((["Europe/Istanbul"], ["report"]))
    execution_id = "019ca8a0-3e80-7d8e-91b7-584a2265b1f5"
    shown = view.styled(line("failed", "failed", detail="E: " + "x" * 300, execution_id=execution_id)).plain
    assert len(shown) <= 140
    assert shown.endswith(execution_id)


def test_no_counter_is_cut_off_where_the_terminal_is_narrow() -> None:
    view, stream = terminal(width=80, color=False)
    standing = Standing(live={"running": 12, "queued": 345, "pending": 6789})
    view.stand(standing)
    view._console.print(view._render())
    shown = stream.getvalue()
    for word in ("running", "queued", "waiting", "finished", "failed", "retried", "skipped", "dead"):
        assert f" {word}" in shown
    assert "…" not in shown


def test_the_lower_part_shows_counts_progress_and_what_comes_next() -> None:
    view, stream = terminal(width=120, color=False)
    counters = Counters()
    counters.count(Event("e", EventType.EXECUTION_SUCCESS, "default", NOW, data={"execution_id": "x"}))
    view.stand(
        Standing(
            counters,
            {"running": 2},
            [Upcoming("nightly", NOW + timedelta(seconds=90), "Europe/Istanbul")],
            [Under("import", NOW - timedelta(seconds=3), "40 % (4/10) rows", 0.4)],
            NOW,
        )
    )
    view.start()
    view.stop()
    shown = stream.getvalue()
    assert "2 running" in shown
    assert "1 finished" in shown
    assert "nightly" in shown
    assert "in 1 min 30 s" in shown
    assert "40 % (4/10) rows" in shown


def test_a_flood_is_counted_and_trouble_is_still_shown() -> None:
    throttle = Throttle(limit=2)
    shown = [throttle.lets(line()) for _ in range(5)]
    assert shown == [True, True, False, False, False]
    assert throttle.lets(line("failed", "failed"))
    assert throttle.refill() == 3
    assert throttle.lets(line())


def test_log_records_become_lines_with_their_traceback() -> None:
    shown: list[Line] = []
    logger = logging.Logger("shop")
    logger.addHandler(StreamHandler(shown.append, "Europe/Istanbul"))
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("could not %s", "sell")
    assert (shown[0].job, shown[0].what, shown[0].zone) == ("shop", "log", "Europe/Istanbul")
    assert shown[0].text.startswith("ERROR could not sell\nTraceback")


def test_counters_follow_starts_and_ends() -> None:
    counters = Counters()
    one = Execution("x", "default", "h", Status.RUNNING, Cause.ENQUEUE, NOW, NOW, started_at=NOW)
    counters.start(one)
    assert counters.running == {"x": NOW}
    counters.count(Event("e", "scheduler:execution.failed", "default", NOW, data={"execution_id": "x"}))
    counters.count(Event("e", "scheduler:occurrence.skipped", "default", NOW, data={"count": 4}))
    counters.count(Event("e", "order.paid", "default", NOW))
    assert counters.running == {}
    assert counters.told() == "0 finished, 1 failed, 4 skipped"


def test_what_ends_without_an_event_is_forgotten() -> None:
    counters = Counters(running={"x": NOW, "y": NOW})
    counters.keep({"y"})
    assert counters.running == {"y": NOW}


def test_a_line_of_no_trouble_is_not_even_made_when_it_would_be_held_back():
    throttle = Throttle(limit=1)
    assert not throttle.holds()
    assert throttle.lets(line())
    assert throttle.holds()
    assert throttle.refill() == 1
    assert not throttle.holds()
