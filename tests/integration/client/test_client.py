"""Both clients on a real server: what people do with one."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from mainspring import errors
from mainspring.client import (
    AsyncClient,
    Client,
    InvalidProblem,
    NotFoundProblem,
    OverlapProblem,
    Patience,
    RevisionProblem,
    ServerUnreachableError,
)
from mainspring.client.watching import StreamEvent
from mainspring.model.execution import Status


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_a_job_is_made_triggered_and_its_result_waited_for(client: Client) -> None:
    name = unique("sum")
    made = client.jobs.create(name=name, type="manual", handler="add", payload={"a": 2, "b": 3})
    assert (made.name, made.revision, made.warnings) == (name, 1, [])
    run = client.jobs.trigger(name)
    assert client.executions.result(run.id, timeout=30) == 5
    done = client.executions.get(run.id)
    assert done.status is Status.SUCCESS
    assert done.job_name == name
    assert isinstance(done.finished_at, datetime)
    assert done.finished_at.tzinfo is not None


async def test_the_awaiting_client_does_the_same(aclient: AsyncClient) -> None:
    run = await aclient.executions.enqueue(handler="add", payload={"a": 20, "b": 22})
    assert await aclient.executions.result(run.id, timeout=30) == 42
    lines = [line.message async for line in aclient.executions.follow_logs(run.id)]
    assert lines == ["adding", "added"]


def test_a_log_is_followed_to_its_end_and_from_behind_a_line(client: Client) -> None:
    run = client.executions.enqueue(handler="add", payload={"a": 1})
    assert [line.message for line in client.executions.follow_logs(run.id)] == ["adding", "added"]
    assert [(line.line, line.message) for line in client.executions.follow_logs(run.id, after=1)] == [(2, "added")]
    assert client.executions.logs(run.id).ended


async def test_what_happens_is_followed_as_it_happens(aclient: AsyncClient) -> None:
    name = unique("watched")
    stream = aclient.events.follow(topics="jobs")
    job = await aclient.jobs.create(name=name, type="manual", handler="add")

    async def ours() -> StreamEvent:
        """Return the first that is about this job: other tests' jobs may be in the stream as well."""
        while (event := await anext(stream)).subject != job.id:
            pass
        return event

    coming = asyncio.ensure_future(ours())
    revision = 0
    while not coming.done():  # it opens while we change the job; once it is open, the next change is in it
        revision += 1
        await aclient.jobs.update(name, description=f"number {revision}")
        await asyncio.wait({coming}, timeout=0.2)
    event = coming.result()
    assert event.type in ("scheduler:job.created", "scheduler:job.updated")
    assert event.id
    assert event.at is not None
    await stream.aclose()  # type: ignore[attr-defined]


def test_a_failed_execution_raises_what_its_handler_said(client: Client) -> None:
    run = client.executions.enqueue(handler="fail", retry={"max_retries": 0})
    with pytest.raises(errors.ExecutionFailedError, match="ValueError: no such customer"):
        client.executions.result(run.id, timeout=30)
    letter = client.dead_letters.get(run.id)
    assert letter.status == "open"
    again = client.dead_letters.redrive(run.id)
    assert client.executions.wait(again.id, timeout=30).retry_of == run.id


def test_a_wait_that_is_over_says_so_and_the_execution_goes_on(client: Client) -> None:
    run = client.executions.enqueue(handler="wait")
    with pytest.raises(TimeoutError, match="has not ended within"):
        client.executions.wait(run.id, timeout=0.2)
    client.executions.cancel(run.id, force=True)
    assert client.executions.wait(run.id, timeout=30).status is Status.CANCELLED


def test_a_list_is_read_page_after_page(client: Client) -> None:
    prefix = unique("many")
    for number in range(7):
        client.jobs.create(name=f"{prefix}-{number}", type="manual", handler="add")
    names = [job.name for job in client.jobs.list(filter=f"name ^= {prefix}", page_size=3)]
    assert names == [f"{prefix}-{number}" for number in range(7)]
    page = client.jobs.page(filter=f"name ^= {prefix}", page_size=3, count="bounded", sort="-name")
    assert [job.name for job in page] == [f"{prefix}-{number}" for number in (6, 5, 4)]
    assert page.total == {"value": 7, "relation": "eq"}
    assert page.next_page_token is not None


def test_an_edit_over_somebody_elses_is_refused_with_the_revision_there_is(client: Client) -> None:
    name = unique("edited")
    first = client.jobs.create(name=name, type="manual", handler="add")
    client.jobs.update(name, priority=7, if_revision=first.revision)
    with pytest.raises(RevisionProblem) as caught:
        client.jobs.update(name, priority=8, if_revision=first.revision)
    assert caught.value.current == 2
    assert isinstance(caught.value, errors.RevisionConflictError)
    assert client.jobs.update(name, priority=None).priority == 5


def test_refusals_are_the_errors_of_the_package_with_field_and_fix(client: Client) -> None:
    with pytest.raises(NotFoundProblem, match="no job 'nowhere'") as caught:
        client.jobs.get("nowhere")
    assert isinstance(caught.value, errors.NotFoundError)
    assert caught.value.request_id
    schedule = {"cron": "0 0 31 2 *"}
    with pytest.raises(InvalidProblem) as refused:
        client.jobs.create(name=unique("never"), type="cron", handler="add", schedule=schedule)
    assert isinstance(refused.value, errors.ValidationError)
    assert refused.value.code == "schedule"
    assert refused.value.field == "cron"
    assert refused.value.fix == "Mend the day or the month."
    with pytest.raises(errors.ValidationError, match="page_size"):
        client.jobs.page(page_size=0)


def test_an_overlap_names_the_execution_that_holds_the_slot(client: Client) -> None:
    name = unique("busy")
    client.jobs.create(name=name, type="manual", handler="wait", overlap="skip")
    run = client.jobs.trigger(name)
    with pytest.raises(OverlapProblem) as caught:
        client.jobs.trigger(name)
    assert caught.value.running == run.id
    client.executions.cancel(run.id, force=True)


def test_ranges_and_instants_go_under_the_names_of_the_wire(client: Client) -> None:
    name = unique("paused")
    client.jobs.create(name=name, type="cron", handler="add", schedule={"cron": "0 9 * * *"})
    until = datetime(2100, 1, 1, tzinfo=UTC)
    assert client.jobs.pause(name, reason="a test", until=until).paused_until == until
    client.jobs.resume(name)
    begun = client.jobs.backfill(name, since="2026-03-01T00:00:00Z", until="2026-03-02T00:00:00Z", dry_run=True)
    assert [one.at for one in begun.instants] == [datetime(2026, 3, 1, 9, tzinfo=UTC)]
    assert len(client.jobs.next(name, since=until, count=2).instants) == 2


def test_the_same_idempotency_key_does_it_once(client: Client) -> None:
    name = unique("once")
    client.jobs.create(name=name, type="manual", handler="add")
    first = client.jobs.archive(name, idempotency_key=name)
    assert client.jobs.archive(name, idempotency_key=name).wire == first.wire


def test_a_dry_run_writes_nothing(client: Client) -> None:
    name = unique("dry")
    made = client.jobs.create(name=name, type="manual", handler="add", dry_run=True)
    assert made.name == name
    with pytest.raises(NotFoundProblem):
        client.jobs.get(name)


def test_everything_else_there_is_can_be_asked(client: Client) -> None:
    name = unique("day")
    client.calendars.put(name, dates={"2026-04-23": "a holiday"})
    assert client.calendars.get(name).dates == ["2026-04-23"]
    client.limits.put("queue", name, max_running=3)
    assert 3 in [limit.max_running for limit in client.limits.list() if limit.name == name]
    assert {"add", "fail", "wait"} <= {handler.name for handler in client.fleet.handlers()}
    assert client.fleet.handler("kb:reindex").name == "kb:reindex"
    assert [worker.alive for worker in client.fleet.workers()] == [True]
    assert client.fleet.overview().status in ("pass", "warn", "fail")
    assert client.service.meta().api == "v1"
    after = datetime(2026, 3, 1, tzinfo=UTC)
    runs = client.schedules.preview(schedule={"cron": "0 9 * * *"}, after=after, count=2)
    assert [one.utc for one in runs.instants] == [after + timedelta(hours=9), after + timedelta(hours=33)]
    published = client.events.publish(type="order.paid", data={"n": 1})
    assert client.events.get(published.id).type == "order.paid"
    assert any(entry.action == "event.publish" for entry in client.audit.list(page_size=2))


def test_the_record_is_exported_row_by_row_and_a_job_there_is_not_is_refused_before_the_first(client: Client) -> None:
    name = unique("kept")
    client.jobs.create(name=name, type="manual", handler="add", payload={"a": 1})
    run = client.jobs.trigger(name)
    client.executions.wait(run.id, timeout=30)
    assert [row["id"] for row in client.audit.export("executions", job=name)] == [run.id]
    moves = list(client.audit.export("transitions", job=name))
    assert [row["to"] for row in moves][-1] == "success"
    with pytest.raises(NotFoundProblem):
        next(client.audit.export("executions", job="nowhere"))
    assert client.fleet.doctor().status in ("ok", "note", "warning", "error")


def test_many_are_worked_on_as_one_operation(client: Client) -> None:
    prefix = unique("bulk")
    for number in range(3):
        client.jobs.create(name=f"{prefix}-{number}", type="manual", handler="add")
    begun = client.jobs.bulk(action="pause", filter=f"name ^= {prefix}", params={"reason": "a test"}, expected_count=3)
    done = client.operations.wait(begun.id, timeout=30)
    assert (done.done, done.failed, done.status) == (3, 0, "finished")


def test_nobody_there_is_said_within_the_patience_given() -> None:
    patience = Patience(retries=1, base=0.01)
    with Client("http://127.0.0.1:9", patience=patience) as client, pytest.raises(ServerUnreachableError) as caught:
        client.jobs.get("a")
    assert not caught.value.sent
