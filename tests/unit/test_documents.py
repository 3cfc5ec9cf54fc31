"""What the documents say is so: settings with their defaults, command lines that are accepted, links that lead on."""

from __future__ import annotations

import dataclasses
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainspring.cli.commands import hoisted, tree
from mainspring.model.filters import parse_filter
from mainspring.model.nouns import LISTINGS, Noun
from mainspring.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
#: A command line of a page: after a prompt, or the whole of an indented line.
COMMAND = re.compile(r"^(?:\$ |    )mainspring (.+?)(?:\s{2,}# .*)?$", re.MULTILINE)


def command_lines() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = re.sub(r"\\\n\s*", "", page.read_text())  # a line that goes on below
        found += [(page.relative_to(ROOT).as_posix(), line) for line in COMMAND.findall(text)]
    return [(page, line) for page, line in found if "…" not in line]


def accept(words: list[str]) -> None:
    """Parse a command line as `mainspring` would; raises what it would refuse it with."""
    tree().parse_args(hoisted(words), exit_on_error=False, print_error=False)


def rows(page: str) -> dict[str, str]:
    """Return the settings of the table of a page: name -> default, as it is written there."""
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", (ROOT / page).read_text(), re.MULTILINE))


def test_every_setting_is_told_with_its_default() -> None:
    told = rows("docs/reference/settings.md")
    settings = {field.name: field.default for field in dataclasses.fields(Settings) if field.name != "origin"}
    assert told.keys() == settings.keys()
    for name, default in settings.items():
        written = told[name].strip("`")
        if default in (None, ""):
            assert written == "none" or written.startswith("by "), name
        else:
            assert written == (str(default).lower() if isinstance(default, bool) else str(default)), name


def test_there_are_command_lines_to_check() -> None:
    lines = {line.split()[0] for _, line in command_lines()}
    assert lines >= {"preview", "explain", "worker", "dispatcher", "all", "doctor", "migrate", "jobs"}


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_every_command_line_is_accepted(page: str, line: str) -> None:
    accept(shlex.split(re.split(r" [>|] ", line)[0]))


def filters() -> list[tuple[str, Noun, str]]:
    """Return the filters of the command lines: page, what is filtered, the filter."""
    nouns = {"runs": Noun.EXECUTIONS, "dead": Noun.DEAD_LETTERS} | {noun.replace("_", "-"): noun for noun in Noun}
    words = [(page, shlex.split(line)) for page, line in command_lines()]
    return [
        (page, nouns[said[0]], said[said.index("--filter") + 1])
        for page, said in words
        if "--filter" in said and said[0] in nouns
    ]


def test_there_are_filters_to_check() -> None:
    assert len(filters()) >= 2


@pytest.mark.parametrize(("page", "noun", "text"), filters())
def test_every_filter_of_a_command_line_can_be_read(page: str, noun: Noun, text: str) -> None:
    assert parse_filter(text, LISTINGS[noun].fields, now=datetime(2026, 3, 1, tzinfo=UTC)) is not None


def test_every_test_a_page_names_is_there() -> None:
    """In the tables of guarantees, pitfalls, requirements and faults: a test that is gone shows nothing any more."""
    files = list(ROOT.glob("tests/**/*.py"))
    there = {name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())}
    there |= {file.name for file in files}
    for page in sorted(ROOT.glob("docs/**/*.md")):
        for name in re.findall(r"`(?:tests/[\w/]+/)?(test_\w+(?:\.py)?)`", page.read_text()):
            assert name in there, f"{page.relative_to(ROOT)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links, and not pictures: those of the benchmarks are drawn by `./dev bench`."""
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[\w-]*)?\)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target
