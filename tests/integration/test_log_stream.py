"""A process told by its log: every line a JSON object, every secret left out of what is stored and said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

from mainspring import Mainspring
from mainspring.model.execution import Execution, LogLine
from mainspring.ports.store import ExecutionQuery, Tx
from tests.waiting import PATIENCE, until

MARKER = "hunter2"
APP = f"""
    import logging
    from mainspring import Context, Mainspring

    ms = Mainspring("sqlite:///jobs.db", poll_ms=100)

    @ms.every("1s")
    async def talks(ctx: Context) -> None:
        ctx.log.info("calling https://me:{MARKER}@host/a?token={MARKER}", password="{MARKER}", page=2)
        logging.getLogger("a.library").warning("said in\\nan attempt")

    @ms.every("1s", retry=0)
    async def fails() -> None:
        raise ConnectionError("postgresql://me:{MARKER}@db/jobs refused")
"""


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line]


def test_a_process_logs_json_lines_and_tells_and_stores_no_secret(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    command = [sys.executable, "-m", "mainspring", "all", "app.py", "--no-api"]
    environ = {**os.environ, "MAINSPRING_LOG_FORMAT": "json"}
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=err, stdout=subprocess.PIPE)
        try:
            wanted = ('"attempt.failed"', '"event.published"', '"a.library"', '"execution.ended"')
            until("each thing was told", lambda: all(one in (tmp_path / "err").read_text() for one in wanted))
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b"")
    text = (tmp_path / "err").read_text()
    assert MARKER not in text
    found = records(text)
    events = [one.get("event") for one in found]
    assert {"node.started", "execution.started", "execution.ended", "attempt.failed", "event.published"} <= set(events)
    assert events[-1] == "node.stopped"
    said = next(one for one in found if one["logger"] == "a.library")
    assert (said["job"], said["msg"]) == ("talks", "said in\\nan attempt")
    started = next(one for one in found if one.get("event") == "execution.started")
    assert started.keys() >= {"execution", "platform", "handler", "queue", "attempt", "cause", "start_delay_s"}
    assert MARKER not in stored(tmp_path / "jobs.db")


def stored(path: Path) -> str:
    """Return what is kept of executions: their errors and their logs."""
    ms = Mainspring(path)
    store = ms.open_blocking()
    executions: list[Execution] = store.read_blocking(lambda tx: tx.executions.find(ExecutionQuery(limit=100)))
    lines = [line for execution in executions for line in store.read_blocking(partial(_log_of, execution.id))]
    assert any(line.fields.get("page") == 2 for line in lines)
    assert any(execution.error for execution in executions)
    return str([(execution.error, execution.result) for execution in executions]) + str(lines)


def _log_of(execution_id: str, tx: Tx) -> list[LogLine]:
    return tx.logs.read(execution_id)
