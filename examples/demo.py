"""A tour of Mainspring on real input of this machine: ``mainspring dev examples.demo:ms``.

Everything it writes stands in ``.mainspring/demo`` of the current directory: system metrics each five seconds, a report
of them each minute, and a digest for each file that appears in ``inbox`` (drop one there and watch).
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from mainspring import Context, Event, Mainspring

HOME = Path(".mainspring") / "demo"
METRICS, REPORTS, INBOX, DIGESTS = HOME / "metrics.jsonl", HOME / "reports", HOME / "inbox", HOME / "digests.jsonl"

for folder in (REPORTS, INBOX):
    folder.mkdir(parents=True, exist_ok=True)

ms = Mainspring(HOME / "jobs.db")


@ms.every("5s", description="Sample processor, memory and disk")
def system_metrics(ctx: Context) -> dict[str, float]:
    sample = {
        "cpu_percent": psutil.cpu_percent(),
        "memory_percent": psutil.virtual_memory().percent,
        "disk_percent": psutil.disk_usage("/").percent,
        "load_1m": psutil.getloadavg()[0],
    }
    at = ctx.scheduled_at or datetime.now(UTC)
    with METRICS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": at.isoformat(), **sample}) + "\n")
    return sample


@ms.cron("* * * * *", tz="UTC", description="Write the past minute's metrics into a report")
def minute_report(ctx: Context) -> str:
    until = ctx.scheduled_at or datetime.now(UTC)
    rows = [json.loads(line) for line in METRICS.read_text("utf-8").splitlines()] if METRICS.exists() else []
    window = [row for row in rows if until - timedelta(minutes=1) < datetime.fromisoformat(row["at"]) <= until]
    report = REPORTS / f"{until:%Y%m%dT%H%M}.txt"
    lines = [f"System report for the minute to {until:%Y-%m-%d %H:%M} UTC, {len(window)} samples"]
    for name in ("cpu_percent", "memory_percent", "disk_percent", "load_1m"):
        values = [row[name] for row in window]
        if values:
            lines.append(f"{name:15} mean {statistics.fmean(values):6.1f}   max {max(values):6.1f}")
    report.write_text("\n".join(lines) + "\n", "utf-8")
    # The report is handed to the inbox too, so that there is always a file for `watch_inbox` to find.
    (INBOX / report.name).write_text(report.read_text("utf-8"), "utf-8")
    ctx.log.info("report written", path=str(report), samples=len(window))
    return str(report)


@ms.every("2s", description="Publish an event for each new file of the inbox")
def watch_inbox(ctx: Context) -> int:
    files = sorted(path for path in INBOX.iterdir() if path.is_file())
    fresh = 0
    for path in files:
        stat = path.stat()
        # The id names this very version of the file: it is accepted once, however often the watch sees it.
        seen = ms.publish(
            "file.created",
            {"path": str(path), "bytes": stat.st_size},
            id=f"{path.name}:{stat.st_mtime_ns}",
            source="watch_inbox",
        )
        fresh += not seen.duplicate
    return fresh


@ms.on("file.*", description="Digest a file the watch has found")
def digest_file(event: Event, ctx: Context) -> dict[str, object]:
    content = Path(event.data["path"]).read_bytes()
    digest = {
        "path": event.data["path"],
        "sha256": hashlib.sha256(content).hexdigest(),
        "words": len(content.split()),
    }
    with DIGESTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(digest) + "\n")
    ctx.log.info("digested", **digest)
    return digest


@ms.at(datetime.now(UTC) + timedelta(seconds=10), description="Once, ten seconds after the start")
def say_hello_once() -> str:
    return f"up since {datetime.fromtimestamp(psutil.boot_time(), UTC):%Y-%m-%d %H:%M} UTC"


@ms.every(
    "45s", retry={"max_retries": 3, "retry_delay_ms": 1000}, description="Fails, is retried, ends as a dead letter"
)
def unreachable_upstream() -> None:
    raise ConnectionError("upstream at 192.0.2.1 does not answer")


@ms.every("4s", overlap="skip", description="Takes longer than its interval, so some instants are skipped")
def slow_inventory(ctx: Context) -> int:
    """Count the files below the installed packages, slowly enough to overlap itself."""
    started, count = time.monotonic(), 0
    root = Path(psutil.__file__).parent.parent
    for count, _ in enumerate(root.rglob("*.py"), 1):
        if count % 100 == 0:
            ctx.progress(count, message="files")
            if ctx.cancelled:
                break
    while time.monotonic() - started < 6 and not ctx.cancelled:
        time.sleep(0.1)
    return count


@ms.every("30s", isolation="process", timeout="4s", retry=0, description="Never done in time: its process is killed")
def count_primes(ctx: Context, below: int = 200_000_000) -> int:
    primes = 0
    for number in range(2, below):
        primes += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        if number % 20_000 == 0:
            ctx.progress(number, below, f"{primes} primes so far")
    return primes


if __name__ == "__main__":
    ms.run()
