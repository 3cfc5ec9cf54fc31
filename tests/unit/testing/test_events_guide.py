"""What the guide to events shows works: its programs are run, in order, as one module."""

from __future__ import annotations

import re
from pathlib import Path

from mainspring.testing.plugin import mainspring_env

__all__ = ["mainspring_env"]
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "events.md"


async def test_every_program_of_the_guide_to_events_runs(monkeypatch, tmp_path, mainspring_env) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "guide"}
    for program in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        exec(compile(program, str(GUIDE), "exec", dont_inherit=True), names)
    await names["test_events"](mainspring_env)
    assert "report" in [handler.name for handler in names["ms"].registry.list_handlers()]
