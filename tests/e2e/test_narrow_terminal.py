"""Commands on a real terminal that is narrower than what they have to show."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest


def on_terminal(width: int, *words: str, cwd: Path) -> list[str]:
    """Run a command on a terminal of so many columns; return its lines, without trailing blanks."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        # Not the process's own environment: readline, which pytest loads, has put the size of its terminal there.
        environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1", "TERM": "dumb"}
        os.execve(sys.executable, [sys.executable, "-m", "mainspring", *words], environment)
    printed = b""
    try:
        while chunk := os.read(terminal, 65_536):
            printed += chunk
    except OSError:  # how a terminal says that its last process has ended
        pass
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, printed
    return [line.rstrip() for line in printed.decode().replace("\r", "").splitlines()]


PREVIEW = ("preview", "30 2 * * *", "--tz", "America/New_York", "--from", "2026-03-07", "--count", "2")


def test_a_preview_too_wide_for_the_terminal_is_a_block_of_lines_for_each_run(tmp_path: Path) -> None:
    lines = on_terminal(60, *PREVIEW, cwd=tmp_path)
    assert "RUN          Sat 2026-03-07 02:30:00 -05:00 America/New_York" in lines
    assert "STEP         +23 h 30 min" in lines
    assert not any("SAME IN UTC" in line and "STEP" in line for line in lines)


def test_a_preview_on_a_wide_terminal_is_a_table(tmp_path: Path) -> None:
    lines = on_terminal(160, *PREVIEW, cwd=tmp_path)
    assert any(line.split() == ["RUN", "SAME", "IN", "UTC", "STEP", "NOTES"] for line in lines)


@pytest.mark.parametrize("width", [60])
def test_settings_too_wide_for_the_terminal_are_blocks_of_lines(tmp_path: Path, width: int) -> None:
    lines = on_terminal(width, "config", cwd=tmp_path)
    assert any(line.split() == ["SETTING", "lease_ms"] for line in lines)
    assert any(line.split() == ["VALUE", "15000"] for line in lines)
