"""What the guide shows works: its programs are run, in order, as one module."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path

from mainspring.testing.plugin import mainspring_env

__all__ = ["mainspring_env"]
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "testing.md"


def test_every_program_of_the_guide_runs(monkeypatch, tmp_path, request) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "guide"}
    ran = 0
    for program in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        before = set(names)
        exec(compile(program, str(GUIDE), "exec", dont_inherit=True), names)
        for name in re.findall(r"def (test_\w+)", program):
            test = names[name]
            arguments = {n: request.getfixturevalue(n) for n in inspect.signature(test).parameters}
            asyncio.run(test(**arguments)) if inspect.iscoroutinefunction(test) else test(**arguments)
            ran += 1
        assert before <= set(names)
    assert ran == 6
