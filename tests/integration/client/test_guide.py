"""The guide's programs run, on a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import Live

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "client.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


def test_every_program_of_the_guide_runs(server: Live, tmp_path: Path) -> None:
    """In their order: the later ones speak of what the first one made."""
    assert len(PROGRAMS) >= 4
    told = []
    for program in PROGRAMS:
        text = program.replace("http://127.0.0.1:8700", server.url)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        if done.returncode:
            pytest.fail(f"{program}\n{done.stderr}")
        told.append(done.stdout)
    assert told[0] == "5\n"
    assert "success 42" in told[1]
    assert "cron no date matches this, ever" in told[3]
    assert "no job 'nowhere'" in told[3]
