"""What a running process shows: a line for each thing that happens and, on a terminal, how it stands below them."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from mainspring.cli.counters import Counters
from mainspring.cli.exits import UsageError
from mainspring.cli.narrate import Line, next_run
from mainspring.cli.output import Format, clean, short
from mainspring.cli.times import clock, span, whole
from mainspring.control.counted import BOUND, shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

#: Sign and colour of each word. The word itself always stands there too: neither is the only one to tell.
SIGNS = {
    "started": ("▸", "blue"),
    "finished": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "retry": ("↻", "yellow"),
    "dead": ("✚", "magenta"),
    "skipped": ("»", "yellow"),
    "cancelled": ("⊘", "bright_black"),
    "expired": ("⊘", "yellow"),
    "paused": ("‖", "yellow"),
    "progress": ("…", "bright_black"),
    "log": ("│", "bright_black"),
}
_SHOW_ID = ("failed", "cancelled", "expired")
_LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}

#: Lines shown in one second; beyond, they are counted. A terminal that cannot keep up must not slow the work.
LINES_PER_SECOND = 200

#: Most room the column of jobs takes.
WIDEST = 32


@dataclass(frozen=True)
class Upcoming:
    """A job that is due next."""

    name: str
    at: datetime
    zone: str


@dataclass(frozen=True)
class Under:
    """An execution that runs, with what it says of its progress."""

    name: str
    since: datetime
    progress: str = ""
    share: float | None = None


@dataclass
class Standing:
    """How it stands: what the lower part of the terminal shows."""

    counters: Counters = field(default_factory=Counters)
    live: Mapping[str, int] = field(default_factory=dict)
    upcoming: Sequence[Upcoming] = ()
    under: Sequence[Under] = ()
    now: datetime | None = None
    note: str = "Ctrl-C drains and stops"


class View(Protocol):
    """Where lines go. All methods may be called from any thread. A ``live`` one shows how it stands now."""

    live: bool

    def start(self) -> None:
        """Begin to show."""

    def reserve(self, known: tuple[Sequence[str], Sequence[str]]) -> None:
        """Make the columns wide enough for these zones and jobs, so that they stand still."""

    def head(self, text: Sequence[tuple[str, str]]) -> None:
        """Show what stands at the top: (style, text) lines."""

    def line(self, line: Line) -> None:
        """Show one line."""

    def stand(self, standing: Standing) -> None:
        """Show how it stands now."""

    def stop(self) -> None:
        """Leave the terminal as it was."""


def view_for(output: Format, *, color: bool, live: bool = True) -> View:
    """Return the view that fits stdout: on a terminal a live one unless told not to, else lines, plain or JSON."""
    if output == "yaml":
        raise UsageError("-o yaml prints one document, and what happens here has no end", fix="Give -o jsonl")
    if output != "table":
        return JsonView()
    return TerminalView(color=color) if live and sys.stdout.isatty() else PlainView()


class PlainView:
    """Plain lines, without control characters: for files, pipes and service managers."""

    live = False

    def __init__(self) -> None:
        self._width = 0

    def start(self) -> None:
        """Nothing to prepare."""

    def reserve(self, known: tuple[Sequence[str], Sequence[str]]) -> None:
        """Make the column of jobs wide enough."""
        self._width = max((min(len(name), WIDEST) for name in known[1]), default=0)

    def head(self, text: Sequence[tuple[str, str]]) -> None:
        """Show the top once."""
        self._write("\n".join(line for _, line in text))

    def line(self, line: Line) -> None:
        """Print it."""
        self._width = max(self._width, min(len(line.job), WIDEST))
        self._write(line.plain(self._width))

    def stand(self, standing: Standing) -> None:
        """A file has no lower part."""

    def stop(self) -> None:
        """Nothing to restore."""

    def _write(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


class JsonView(PlainView):
    """One JSON object a line."""

    def head(self, text: Sequence[tuple[str, str]]) -> None:
        """Programs need no head; people see it on stderr."""
        print("\n".join(line for _, line in text), file=sys.stderr)

    def line(self, line: Line) -> None:
        """Print it."""
        self._write(json.dumps(line.to_wire(), ensure_ascii=False))


class TerminalView:
    """Lines that scroll, above a few that stand still."""

    live = True

    def __init__(self, *, color: bool, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        # Everything is styled here and nothing guessed: a job's name must not be painted like a path.
        self._console = console or Console(highlight=False, markup=False, no_color=not color, emoji=False)
        self._standing = Standing()
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=4,
            transient=True,
            vertical_overflow="crop",
        )
        self._widths = [0, 8]

    def reserve(self, known: tuple[Sequence[str], Sequence[str]]) -> None:
        """Make both columns wide enough."""
        zones, names = known
        self._widths[0] = max((len("00:00:00 ") + len(zone) for zone in zones), default=0)
        self._widths[1] = max((min(len(name), WIDEST) for name in names), default=0)

    def start(self) -> None:
        """Take the lower lines."""
        self._live.start()

    def head(self, text: Sequence[tuple[str, str]]) -> None:
        """Print the top; it scrolls away with the lines."""
        from rich.text import Text

        for style, line in text:
            self._console.print(Text(line, style))

    def line(self, line: Line) -> None:
        """Print it above the lower part."""
        self._console.print(self.styled(line), soft_wrap=True)

    def stand(self, standing: Standing) -> None:
        """Keep it; the next refresh shows it."""
        self._standing = standing

    def stop(self) -> None:
        """Give the lower lines back."""
        self._live.stop()

    def styled(self, line: Line) -> Text:
        """Return a line with its colours."""
        from rich.text import Text

        sign, style = SIGNS.get(line.what, ("·", "bright_black"))
        when = clock(line.at, line.zone)
        self._widths = [max(self._widths[0], len(when)), max(self._widths[1], min(len(line.job), WIDEST))]
        text = Text(when.ljust(self._widths[0]), "bright_black")
        text.append(f"  {sign} ", style)
        text.append(clean(line.job).ljust(self._widths[1]), "bold" if line.what != "log" else "bright_black")
        text.append("  ")
        if line.what == "log":
            text.append(line.text, _LEVELS.get(line.text.partition(" ")[0], ""))
            return text
        word, space, rest = line.text.partition(" ")
        text.append(word, style)
        text.append(space + rest)
        tail = f"  {line.execution_id}" if line.execution_id and line.what in _SHOW_ID else ""
        if line.detail:
            # What went wrong is cut so that the id behind it stays on the line and can be copied.
            room = max(self._console.width - text.cell_len - len(tail) - 2, 40)
            text.append(f"  {short(line.detail, room)}", "red" if line.what in ("failed", "retry") else "")
        text.append(tail, "bright_black")
        return text

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.rule import Rule
        from rich.text import Text

        standing = self._standing
        rows: list[RenderableType] = [Rule(Text(standing.note, "bright_black"), align="right", style="bright_black")]
        rows += [_under(one, standing.now) for one in standing.under[:5]]
        rows += _counts(standing, self._console.width)
        rows.append(_next(standing))
        for row in rows:
            if isinstance(row, Text):
                row.no_wrap, row.overflow = True, "ellipsis"
        return Group(*rows)


def _counts(standing: Standing, width: int) -> list[Text]:
    """Return what is and what has been: on one row where it fits, else on two, so that no number is cut off."""
    from rich.text import Text

    done, live = standing.counters.done, standing.live
    waits = [live.get(word, 0) for word in ("pending", "retrying", "waiting")]
    more = {word for word, count in live.items() if count > BOUND} | ({"waiting"} if max(waits) > BOUND else set())
    now = (
        ("running", live.get("running", 0), "blue"),
        ("queued", live.get("queued", 0), ""),
        ("waiting", sum(waits), ""),
    )
    ever = [("finished", "green"), ("failed", "red"), ("retried", "yellow"), ("skipped", "yellow"), ("dead", "magenta")]
    live_row, done_row = Text("  now"), Text("so far")
    for word, count, style in now:
        told = shown(min(count, BOUND) if word in more else count, word, more)
        live_row.append(f"  {told}", style if count else "bright_black").append(f" {word}", "bright_black")
    for word, style in ever:
        done_row.append(f"  {done[word]}", style if done[word] else "bright_black").append(f" {word}", "bright_black")
    one = Text.assemble(live_row, "   ", done_row)
    return [one] if one.cell_len <= width else [live_row, Text.assemble("  ", done_row)]


def _next(standing: Standing) -> Text:
    from rich.text import Text

    text = Text("  next ")
    if not standing.upcoming or standing.now is None:
        text.append("nothing is scheduled", "bright_black")
        return text
    for index, one in enumerate(standing.upcoming[:4]):
        text.append(" · " if index else " ", "bright_black")
        text.append(short(one.name, WIDEST), "bold")
        text.append(f" {next_run(one.at, standing.now, one.zone)}")
    return text


def _under(one: Under, now: datetime | None) -> Text:
    from rich.text import Text

    text = Text("  ▸ ", "blue")
    text.append(f"{short(one.name, WIDEST)} ", "bold")
    if one.share is not None:
        full = round(one.share * 20)
        text.append("━" * full, "blue")
        text.append("─" * (20 - full), "bright_black")
        text.append(" ")
    text.append(one.progress)
    if now is not None:
        text.append(f"  {span(whole(max(now - one.since, timedelta(0))))}", "bright_black")
    return text


class Throttle:
    """Lets `LINES_PER_SECOND` lines a second through, and counts the rest."""

    def __init__(self, limit: int = LINES_PER_SECOND) -> None:
        self._limit, self._left, self._held = limit, limit, 0
        self._lock = threading.Lock()
        #: Called with the first line of a second, in whatever thread that is.
        self.on_first: Callable[[], None] = lambda: None

    def lets(self, line: Line) -> bool:
        """Whether to show the line. What tells of trouble always is."""
        with self._lock:
            first = self._left == self._limit
            self._left -= 1
            trouble = line.what in ("failed", "dead") or line.text.startswith(("ERROR", "CRITICAL"))
            shown = trouble or self._left >= 0
            self._held += not shown
        if first:
            self.on_first()
        return shown

    def holds(self) -> bool:
        """Whether a line that tells of no trouble would be held back now; if so it is counted, and need not be made."""
        with self._lock:
            if self._left > 0:
                return False
            self._held += 1
            return True

    def refill(self) -> int:
        """Begin a new second; return how many lines the last one held back."""
        with self._lock:
            held, self._held, self._left = self._held, 0, self._limit
            return held


class StreamHandler(logging.Handler):
    """Python's logging, as lines of the same stream."""

    def __init__(self, show: Any, zone: str = "UTC") -> None:
        super().__init__()
        self._show, self._zone = show, zone

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; its traceback follows below it."""
        from datetime import UTC

        try:
            text = f"{record.levelname} {record.getMessage()}"
            if record.exc_info and record.exc_info[0] is not None:
                text += "\n" + (self.formatter or logging.Formatter()).formatException(record.exc_info)
            at = datetime.fromtimestamp(record.created, UTC)
            self._show(Line(at, self._zone, record.name, "log", text))
        except Exception:
            self.handleError(record)
