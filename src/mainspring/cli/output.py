"""Answers on stdout: aligned text for people, the wire shapes as JSON for programs; messages on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from mainspring.cli.exits import UsageError

Format = Literal["table", "json", "jsonl", "yaml"]


def print_json(value: Any) -> None:
    """Print plain data as JSON, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_lines(values: Iterable[Any]) -> None:
    """Print plain data as JSON, one value a line."""
    for value in values:
        print(json.dumps(value, ensure_ascii=False, default=str))


def print_yaml(value: Any) -> None:
    """Print plain data as YAML: what JSON would hold, in the same order; text that YAML takes for more is quoted.

    >>> print_yaml({"at": "2026-03-01T09:00:00Z", "enabled": "no", "retries": [1, None]})
    at: '2026-03-01T09:00:00Z'
    enabled: 'no'
    retries:
    - 1
    - null
    """
    import yaml  # only here: it takes a while to load

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    plain = json.loads(json.dumps(value, default=str))
    width = sys.maxsize >> 33  # as wide as the C library takes: nothing is wrapped
    yaml.dump(plain, sys.stdout, Dumper=dumper, sort_keys=False, allow_unicode=True, width=width)


def print_whole(output: Format, value: Any) -> None:
    """Print plain data as one document: YAML where that was asked for, else JSON."""
    (print_yaml if output == "yaml" else print_json)(value)


def print_one(output: Format, wire: Mapping[str, Any], text: str) -> None:
    """Print one resource."""
    if output == "table":
        print(text)
    elif output in ("json", "yaml"):
        print_whole(output, wire)
    else:
        print_lines([wire])


def say(message: str) -> None:
    """Say something to the person, on stderr."""
    print(message, file=sys.stderr)


def warn(warnings: Iterable[str]) -> None:
    """Print warnings on stderr."""
    for warning in warnings:
        say(f"warning: {warning}")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None) -> str:
    """Return aligned columns; nothing is wrapped or cut, so ids can be copied and scripts can split.

    Where they are wider than ``width``, each row is a block of lines instead: what is empty is left out.

    >>> print(table(["NAME", "RUNS"], [["a", 1], ["longer", None]]))
    NAME    RUNS
    a       1
    longer  -
    >>> print(table(["NAME", "RUNS"], [["a", 1], ["longer", None]], width=10))
    NAME  a
    RUNS  1
    <BLANKLINE>
    NAME  longer
    """
    cells = [list(headers), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(headers))]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells]
    if width is not None and max(map(len, lines)) > width:
        return "\n\n".join(
            pairs({name: cell for name, cell in zip(headers, row, strict=True) if cell != "-"}) for row in cells[1:]
        )
    return "\n".join(lines)


def columns() -> int | None:
    """Return how wide the terminal is; None off a terminal, where nothing is too wide."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def pairs(values: Mapping[str, Any]) -> str:
    """Return names and values, one a line, aligned; what is None or empty is left out.

    >>> print(pairs({"name": "a", "queue": "default", "owner": None}))
    name   a
    queue  default
    """
    shown = {name: clean(value) for name, value in values.items() if value not in (None, "", {}, [], ())}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown.items())


def clean(value: Any) -> str:
    r"""Return a value as one line of text that cannot move the cursor or colour the terminal.

    >>> clean(None), clean({"a": 1}), clean("two\nlines \x1b[31mred")
    ('-', '{"a": 1}', 'two lines [31mred')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, Mapping | list | tuple):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(str(value).split())
    return "".join(sign for sign in text if sign.isprintable())


def short(text: Any, limit: int = 80) -> str:
    """Return a text cut to ``limit`` characters, with an ellipsis where something is missing.

    >>> short("abcdef", 4)
    'abc…'
    """
    told = clean(text)
    return told if len(told) <= limit else told[: limit - 1] + "…"


def page_size(limit: int) -> int:
    """Return a page's size, checked."""
    if not 1 <= limit <= 500:
        raise UsageError(f"--limit must be from 1 to 500, got {limit}")
    return limit
