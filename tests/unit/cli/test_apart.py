"""What is called apart leaves nothing behind but what it returned; a worker has no parser in its memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mainspring.cli.apart import apart

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here alone")


def run(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a process without threads."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], check=False, capture_output=True, text=True, cwd=cwd
    )


def test_what_a_call_apart_returns_comes_back_and_what_it_loads_does_not(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom mainspring.cli.apart import apart\n"
        "def call():\n import wave\n print('apart')\n return {'at': os.getpid()}\n"
        "found = apart(call)\nprint(found['at'] != os.getpid(), 'wave' in sys.modules)"
    )
    assert run(script, cwd=tmp_path).stdout.split("\n") == ["apart", "True False", ""]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("os.kill(os.getpid(), 9)", 128 + signal.SIGKILL),
        ("sys.exit(3)", 3),
        ("sys.exit(0)", 0),
        ("sys.exit()", 0),
        ("1 / 0", 1),
        ("(lambda: 0)", 1),
    ],
)
def test_a_call_apart_that_dies_is_told_by_its_exit_code(call: str, code: int, tmp_path: Path) -> None:
    script = f"import os, sys\nfrom mainspring.cli.apart import apart\nprint(apart(lambda: {call}))"
    assert run(script, cwd=tmp_path).stdout == f"{code}\n"


def test_in_a_process_with_threads_it_is_called_in_place() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert apart(os.getpid) == os.getpid()
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("command", ["dev", "worker", "dispatcher", "all"])
def test_what_runs_roles_has_no_parser_in_its_memory(command: str, tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        "import sys\nprint([name for name in ('cyclopts', 'attr', 'rich') if name in sys.modules])\n"
    )
    script = "from mainspring.cli import main; import sys; main(sys.argv[1:])"
    done = run(script, command, "probe.py", cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("[]\n", 2)
    assert done.stderr.startswith("error: probe.py has no Mainspring application\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["worker"], 2, "error: worker needs an app, whose handlers it is to run\n  mainspring worker module:app\n"),
        (["server", "--port", "x"], 2, 'error: Invalid value for --port: unable to convert "x" into int.\n'),
        (["worker", "a:b", "--processes", "2", "--queues", "a:b"], 2, "error: queues: 'a:b' is not NAME:SLOTS"),
    ],
)
def test_a_command_line_is_refused_once_with_its_exit_code(
    words: list[str], code: int, says: str, tmp_path: Path
) -> None:
    done = run("from mainspring.cli import main; import sys; main(sys.argv[1:])", *words, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("", code)
    assert done.stderr.startswith(says)
    assert done.stderr.count("error:") == 1


def test_where_no_process_can_be_forked_it_is_called_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert apart(os.getpid) == os.getpid()


def test_whoever_was_started_with_children_ignored_gets_the_answer(tmp_path: Path) -> None:
    script = (
        "import os, signal\nfrom mainspring.cli.apart import apart\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "print(apart(lambda: 'well'), apart(lambda: os._exit(0)))"
    )
    assert run(script, cwd=tmp_path).stdout == "well 1\n"
