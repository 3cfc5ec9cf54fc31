"""Logs of a process of ours as structured records: JSON lines for machines, or one line each for people.

Everything that Python's logging says goes through here: bound to the attempt it was said in, with secrets taken out,
control characters made visible and every text bounded. A field's name is always of our choosing: what a library or a
handler hands to ``extra`` is no field.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

import orjson
import structlog

from mainspring.app.log_handlers import told_by
from mainspring.engine.context import _current
from mainspring.model.redact import redacted, without_credentials
from mainspring.model.trace import here

Event = MutableMapping[str, Any]

#: Longest message or field, longest traceback (of which the end is kept), and most fields of a record.
TEXT, TRACEBACK, FIELDS = 2_000, 8_000, 40
#: What begins a new line or steers a terminal, also in the middle of what JSON would let through.
_UNSEEN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_LINES = {ord("\n"): "\\n", ord("\t"): "\\t"}


@contextmanager
def structured_logs(kind: str, level: str, stream: IO[str] | None = None) -> Iterator[None]:
    """Write every log record of this process to a stream while the block runs; ``kind`` is json or console."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter(kind, colors=handler.stream.isatty()))
    with told_by(handler, level):
        yield


def formatter(kind: str, *, colors: bool = False) -> logging.Formatter:
    """Return what makes a record a line."""
    renderer: Any
    if kind == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=colors, event_key="msg", exception_formatter=_plain_traceback)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_described, _bound, _bounded], processors=[*last, renderer]
    )


def _described(logger: Any, name: str, event: Event) -> Event:
    """Begin a record: when, how bad, who, what in words, and what in one word with its fields."""
    record: logging.LogRecord = event["_record"]
    about = getattr(record, "mainspring", None) or {}
    found: Event = {
        "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "msg": event["event"],
        **about,
        "_record": record,
        "_from_structlog": event["_from_structlog"],
    }
    if record.exc_info and record.exc_info[0] is not None:
        # Never with locals: they hold payloads and keys.
        found["traceback"] = logging.Formatter().formatException(record.exc_info)
        record.exc_info = record.exc_text = None
    return found


def _bound(logger: Any, name: str, event: Event) -> Event:
    """Say in which attempt, and in which trace, a record was said."""
    context = _current.get()
    if context is not None:
        event.setdefault("execution", context.execution_id)
        event.setdefault("platform", context.platform_id)
        event.setdefault("handler", context.handler)
        event.setdefault("attempt", context.attempt)
        if context.job_name is not None:
            event.setdefault("job", context.job_name)
    ids = here()
    if ids is not None:
        event.setdefault("trace_id", ids.trace_id)
        event.setdefault("span_id", ids.span_id)
    return event


def _bounded(logger: Any, name: str, event: Event) -> Event:
    """Take secrets out, make what is unseen seen, and cut what is long."""
    kept = {key: event.pop(key) for key in ("_record", "_from_structlog")}
    shown = {key: _text(key, value) for key, value in list(redacted(event).items())[:FIELDS]}
    return {**shown, **kept}


def _text(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    if key == "traceback":
        return without_credentials(text[-TRACEBACK:]).translate(_UNSEEN)
    text = without_credentials(text[: TEXT + 1])
    cut = text[:TEXT] + "..." if len(text) > TEXT else text
    return cut.translate(_UNSEEN).translate(_LINES)


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _plain_traceback(stream: Any, exc_info: Any) -> None:
    """Write nothing: the traceback is a field already."""
