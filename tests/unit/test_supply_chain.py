"""What is installed to develop and to test is locked: one version each, by hash, from no index of anybody's own."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
PINNED = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==\S+(?: ;[^\\]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_line_of_the_lock_is_one_version_with_its_hashes() -> None:
    left = PINNED.sub("", LOCK)
    assert [line for line in left.splitlines() if line.strip() and not line.startswith("#")] == []
    assert "--index-url" not in LOCK
    assert "--extra-index-url" not in LOCK
    assert len(PINNED.findall(LOCK)) > 60


def test_everything_a_user_may_install_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {plain(re.split(r"[\[<>=~! ;]", one)[0]) for one in wanted} - {"mainspring"}
    assert names <= {plain(name) for name, _ in PINNED.findall(LOCK)}
