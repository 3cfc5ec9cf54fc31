"""The programs in the guide run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mainspring import Mainspring
from mainspring.handlers import NAMES

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "built-in-handlers.md"


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for program in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(program, namespace)
    ms = namespace["ms"]
    assert isinstance(ms, Mainspring)
    assert set(NAMES) <= {handler.name for handler in ms.registry.list_handlers()}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_guide_names_every_field_of_a_payload(name: str) -> None:
    section = GUIDE.read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    ms = Mainspring("sqlite:///nowhere.db")
    fields = ms.registry.get_handler_info(name)["schema"]["properties"]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(fields)
