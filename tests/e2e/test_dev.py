"""`dev` and its kin as processes: what they show, how they stop, and that one file has one engine."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from tests.e2e.conftest import MAINSPRING, PATIENCE, Cli, Process

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+03:00 Europe/Istanbul  "


def test_dev_shows_what_happens_and_why_it_does_not(dev: Process) -> None:
    dev.shows(
        STAMP + r"tick +started",
        STAMP + r"tick +finished (in|at)",
        STAMP + r"slow +skipped: overlap is skip, \S+ still runs since \d",
        STAMP + r"shop +WARNING about to fail",
        STAMP + r"flaky +attempt 1 failed; next try in 50 ms +ValueError: no such customer",
        STAMP + r"flaky +started, attempt 2 of 2",
        STAMP + r"flaky +failed for good on attempt 2.*; now a dead letter +ValueError: no such customer",
        r"report +next in .* America/New_York",
    )
    assert "\x1b" not in dev.text


def test_sigterm_drains_and_ends_with_0(dev: Process) -> None:
    dev.wait_for("slow +started")
    dev.signal(signal.SIGTERM)
    dev.wait_for("stopping: ")
    assert dev.end() == 0
    assert re.search(r"slow +finished in ([2-9]|\d\d)(\.\d)? s", dev.text)  # 2.5 s of sleep, on however busy a machine
    assert "stopped: " in dev.lines[-1]


def test_a_second_signal_releases_what_runs(shop: Cli, dev: Process) -> None:
    assert shop("jobs", "create", "long", "--handler", "stubborn", "--manual", "--db", "jobs.db").code == 0
    assert shop("jobs", "trigger", "long", "--db", "jobs.db").code == 0
    dev.wait_for("long +started, triggered")
    dev.signal(signal.SIGTERM)
    dev.wait_for("stopping: ")
    dev.signal(signal.SIGINT)
    assert dev.end() == 0
    found = shop("runs", "list", "--job", "long", "--db", "jobs.db", "-o", "json").json["data"]
    assert (found[0]["status"], found[0]["attempt"]) == ("queued", 0)


def test_a_second_engine_says_who_holds_the_file_and_exits_5(shop: Cli, dev: Process) -> None:
    dev.wait_for("tick +finished")
    second = shop("dev", "shop.py")
    assert second.code == 5
    assert f"process {dev.pid}" in second.err
    assert shop("worker", "shop:ms").code == 5
    found = shop("--db", "jobs.db", "doctor", "-o", "json").json["findings"]
    engine = next(one for one in found if one["check"] == "engine")
    assert engine["status"] == "ok"
    assert str(dev.pid) in engine["evidence"]["holder"]


def test_the_engine_is_free_again_when_its_process_was_killed(shop: Cli, dev: Process) -> None:
    dev.wait_for("tick +finished")
    dev.signal(signal.SIGKILL)
    dev.end()
    again = shop.start("dev", "shop.py")
    again.wait_for("tick +finished")
    again.signal(signal.SIGTERM)
    assert again.end() == 0


def test_other_commands_work_beside_it(shop: Cli, dev: Process) -> None:
    db = ("--db", "jobs.db")
    dev.shows("flaky +failed for good", "slow +skipped")
    made = shop(*db, "jobs", "create", "sum", "--handler", "add", "--manual", "--payload", '{"a": 2}')
    assert made.code == 0, made.err
    assert made.err == ""  # the handler is announced: nothing to warn of
    refused = shop(*db, "jobs", "create", "bad", "--handler", "add", "--manual", "--payload", '{"a": "two"}')
    assert refused.code == 2
    assert "payload.a" in refused.err

    done = shop(*db, "jobs", "trigger", "sum", "--wait", "--timeout", "20s", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["result"] == 3
    logs = shop(*db, "runs", "logs", done.json["id"], "--follow")
    assert logs.code == 0
    assert re.search(r"Europe/Istanbul  info +adding a=2 b=1", logs.out)
    assert shop(*db, "logs", "sum", "-o", "jsonl").out.count("\n") == 1
    dev.wait_for("sum +finished")

    letters = shop(*db, "dead", "list", "-o", "json").json["data"]
    assert letters[0]["job_name"] == "flaky"
    ids = [letters[0]["execution_id"], "nope"]
    assert shop(*db, "dead", "redrive", *ids).code == 9
    assert shop(*db, "dead", "redrive", ids[0]).code == 5
    explained = shop(*db, "explain", ids[0], "-o", "json").json
    assert explained["summary"]
    failed = shop(*db, "runs", "get", ids[0])
    assert "Traceback" in failed.out
    assert "ATTEMPT" in failed.out

    ledger = shop(*db, "jobs", "decisions", "slow", "-o", "json").json["data"]
    assert {one["decision"] for one in ledger} >= {"dispatched", "skipped_overlap"}
    skipped = next(one for one in ledger if one["decision"] == "skipped_overlap")
    why = shop(*db, "explain", "slow", "--at", skipped["scheduled_at"])
    assert why.code == 0
    assert "overlap" in why.out

    status = shop(*db, "status")
    assert "All is well" in status.out
    assert "NEXT" in status.out
    doctor = shop(*db, "doctor", "-o", "json")
    assert doctor.code == 0, doctor.out
    assert shop(*db, "doctor", "--strict").code == 11  # the dead letters


def test_doctor_names_jobs_whose_decorator_is_gone(shop: Cli, dev: Process) -> None:
    dev.wait_for("tick +finished")
    dev.signal(signal.SIGTERM)
    dev.end()
    file = shop.folder / "shop.py"
    file.write_text(file.read_text().replace("tick", "tock"))
    again = shop.start("dev", "shop.py")
    again.wait_for("tock +finished")
    found = shop("--db", "jobs.db", "doctor", "-o", "json")
    assert found.code == 10
    handlers = next(one for one in found.json["findings"] if one["check"] == "handlers")
    assert handlers["evidence"] == {"tick": ["tick"]}
    assert "mainspring jobs archive tick" in handlers["fix"]
    again.signal(signal.SIGTERM)
    again.end()


def test_a_worker_alone_runs_what_is_queued(shop: Cli) -> None:
    assert shop("jobs", "create", "sum", "--handler", "add", "--manual", "--db", "jobs.db").code == 0
    assert shop("jobs", "trigger", "sum", "--payload", '{"a": 1}', "--db", "jobs.db").code == 0
    worker = shop.start("worker", "shop:ms", "--queues", "default:2")
    worker.wait_for("sum +started, triggered")
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    found = shop("runs", "list", "--db", "jobs.db", "-o", "json").json["data"]
    assert [one["status"] for one in found] == ["success"]


def test_a_dispatcher_alone_decides_and_runs_nothing(shop: Cli) -> None:
    dispatcher = shop.start("dispatcher", "shop.py")
    dispatcher.wait_for("slow +skipped: overlap is skip, \\S+ still holds its slot")
    dispatcher.signal(signal.SIGTERM)
    assert dispatcher.end() == 0
    assert "started" not in dispatcher.text


def test_a_poisoned_worker_starts_itself_again(cli: Cli) -> None:
    (cli.folder / "stuck.py").write_text(
        "import os, time\n"
        "from mainspring import Mainspring\n"
        'ms = Mainspring("sqlite:///jobs.db", max_poisoned=1, stop_grace_ms=200)\n'
        'print("pid", os.getpid(), flush=True)\n'
        'once = not os.path.exists("stuck.txt")\n'
        '@ms.every("1s", timeout="1s", retry=0)\n'
        "def stuck() -> None:\n"
        '    open("stuck.txt", "w").close()\n'
        "    time.sleep(3600 if once else 0)\n"
    )
    process = cli.start("dev", "stuck.py")
    first = process.wait_for("^pid ")
    process.wait_for("draining, then starting again")
    assert process.wait_for("^pid ") == first  # the same process id, as a fresh process
    process.wait_for("stuck +finished")
    process.signal(signal.SIGTERM)
    assert process.end() == 0


def test_an_app_that_cannot_be_loaded_is_a_usage_error(shop: Cli) -> None:
    assert shop("dev", "nope:ms").code == 2
    (shop.folder / "broken.py").write_text("1 / 0\n")
    answer = shop("dev", "broken.py")
    assert answer.code == 2
    assert "ZeroDivisionError" in answer.err
    assert "broken.py:1" in answer.err
    assert shop("dev", "shop.py", "--queues", "default:none").code == 2


def test_json_lines_of_what_happens(shop: Cli) -> None:
    process = shop.start("dev", "shop.py", "-o", "jsonl")
    found: dict[str, str] = {}
    while found.get("job") != "tick":  # others may have finished before it
        found = json.loads(process.wait_for('"what": "finished"'))
    assert found["timezone"] == "Europe/Istanbul"
    process.signal(signal.SIGTERM)
    assert process.end() == 0


def on_a_terminal(shop: Cli, until: str, **environment: str) -> str:
    """Run `dev` on a pseudo-terminal until a text appears, interrupt it, and return all it wrote."""
    leader, follower = pty.openpty()
    environment = shop.environment | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"} | environment
    words = [str(MAINSPRING), "dev", "shop.py"]
    process = subprocess.Popen(
        words, cwd=shop.folder, env=environment, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown, until_at, interrupted = b"", time.monotonic() + PATIENCE, False
    while time.monotonic() < until_at:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                shown += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
        if not interrupted and until in shown.decode(errors="replace"):
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(leader)
    try:
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
    return shown.decode(errors="replace")


def test_on_a_terminal_lines_scroll_above_how_it_stands(shop: Cli) -> None:
    shown = on_a_terminal(shop, "overlap is")
    assert "\x1b[32m" in shown  # a green sign for what finished
    words = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"now  \d running  \d queued  \d waiting   so far  \d finished", words)
    assert "Ctrl-C drains and stops" in shown
    assert "stopped: " in words
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_no_color_is_kept_on_a_terminal(shop: Cli) -> None:
    shown = on_a_terminal(shop, "overlap is", NO_COLOR="1")
    assert not re.search(r"\x1b\[(3[0-7]|9[0-7]|38;)", shown)


STUCK = """
import asyncio, sys, time
from mainspring import Mainspring

ms = Mainspring("sqlite:///jobs.db", drain_grace_ms=200, stop_grace_ms=200)

@ms.every("1s", name="deaf", overlap="skip")
async def deaf() -> None:
    print("deaf started", flush=True)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@ms.every("1s", name="away", overlap="skip")
async def away() -> None:
    print("away started", flush=True)
    await asyncio.to_thread(time.sleep, 3600)

@ms.every("1s", name="shaky", retry=0)
async def shaky() -> None:
    raise ValueError("no such customer")

if __name__ == "__main__":
    ms.run()
"""


def test_handlers_that_will_not_stop_do_not_hold_up_the_end(cli: Cli) -> None:
    """Found by a newcomer: `asyncio.run` waited for ever for a coroutine that swallows its cancellation."""
    (cli.folder / "stuck.py").write_text(STUCK)
    process = cli.start("dev", "stuck.py")
    process.wait_for("away +started")
    process.wait_for("deaf +started")
    process.signal(signal.SIGTERM)
    assert process.end() == 0
    found = cli("runs", "list", "--db", "jobs.db", "-o", "json").json["data"]
    assert "running" not in {one["status"] for one in found}


def test_a_script_that_runs_itself_says_what_it_does_and_ends(cli: Cli) -> None:
    (cli.folder / "stuck.py").write_text(STUCK.replace('@ms.every("1s", name="away", overlap="skip")', "@ms.handler()"))
    process = cli.start_script("stuck.py")
    process.wait_for("INFO mainspring: 2 jobs")
    process.wait_for("deaf started")
    process.wait_for("WARNING mainspring.attempts: shaky: attempt 1 of 1 .* failed: ValueError: no such customer")
    process.signal(signal.SIGTERM)
    process.wait_for("INFO mainspring: stopped")
    assert process.end() == 0
