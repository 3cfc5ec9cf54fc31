"""A client somebody else's tool makes from our document, on a real server: the round trip."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests import openapi
from tests.live import Live

PACKAGE = "mainspring_generated"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package openapi-python-client makes of the committed document, on the path while the module's tests run."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yml").write_text("post_hooks: []\n")
    tool = Path(sys.executable).with_name("openapi-python-client")
    words = [str(tool), "generate", "--path", str(openapi.COMMITTED), "--meta", "none", "--fail-on-warning"]
    words += ["--output-path", str(folder / PACKAGE), "--config", str(folder / "config.yml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


def part(name: str) -> Any:
    """A module of the generated package."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def test_a_generated_client_makes_runs_and_reads(generated: Any, server: Live) -> None:
    models = part("models")
    with generated.Client(base_url=server.url, raise_on_unexpected_status=True) as client:
        payload = models.NewJobPayloadType0.from_dict({"a": 40, "b": 2})
        body = models.NewJob(name="made", type_=models.JobType.MANUAL, handler="add", payload=payload)
        made = part("api.jobs.create_job").sync("self", client=client, body=body, idempotency_key="made-once")
        again = part("api.jobs.create_job").sync("self", client=client, body=body, idempotency_key="made-once")
        assert isinstance(made, models.ChangedJob)
        assert (made.name, made.revision, again.id) == ("made", 1, made.id)

        run = part("api.jobs.trigger_job").sync("self", "made", client=client, body=models.Trigger())
        assert isinstance(run, models.Execution)
        read = part("api.executions.get_execution")
        done = read.sync("self", run.id, client=client)
        while done.status in (models.Status.PENDING, models.Status.QUEUED, models.Status.RUNNING):
            done = read.sync("self", run.id, client=client)
        assert (done.status, done.result, done.job_name) == (models.Status.SUCCESS, 42, "made")
        assert done.finished_at.tzinfo is not None

        listed = part("api.jobs.list_job_executions").sync("self", "made", client=client)
        assert [one.id for one in listed.data] == [run.id]
        log = part("api.executions.get_logs").sync("self", run.id, client=client)
        assert [line.message for line in log.lines] == ["adding", "added"]


def test_a_generated_client_pages_through_a_list(generated: Any, server: Live) -> None:
    models, jobs = part("models"), part("api.jobs.list_jobs")
    with generated.Client(base_url=server.url) as client:
        for number in range(5):
            body = models.NewJob(name=f"page-{number}", type_=models.JobType.MANUAL, handler="add")
            assert part("api.jobs.create_job").sync("self", client=client, body=body)
        names: list[str] = []
        token: Any = None
        while True:
            page = jobs.sync("self", client=client, filter_="name ^= page-", page_size=2, page_token=token)
            names += [job.name for job in page.data]
            token = page.next_page_token
            if token is None:
                break
        assert names == [f"page-{number}" for number in range(5)]


def test_a_generated_client_reads_what_is_wrong(generated: Any, server: Live) -> None:
    models = part("models")
    with generated.Client(base_url=server.url) as client:
        missing = part("api.jobs.get_job").sync_detailed("self", "nowhere", client=client)
        assert missing.status_code == HTTPStatus.NOT_FOUND
        assert isinstance(missing.parsed, models.Problem)
        assert missing.parsed.code == "not_found"

        schedule = models.NewJobScheduleType0.from_dict({"cron": "0 0 31 2 *"})
        body = models.NewJob(name="never", type_=models.JobType.CRON, handler="add", schedule=schedule)
        refused = part("api.jobs.create_job").sync("self", client=client, body=body)
        assert isinstance(refused, models.Problem)
        assert (refused.status, refused.code, refused.errors[0].pointer) == (422, "schedule", "/schedule/cron")


async def test_a_generated_client_awaits_too(generated: Any, server: Live) -> None:
    models = part("models")
    async with generated.Client(base_url=server.url) as client:
        body = models.NewExecution(handler="add")
        made = await part("api.executions.enqueue").asyncio("self", client=client, body=body)
        assert isinstance(made, models.Execution)
        assert made.handler == "add"
