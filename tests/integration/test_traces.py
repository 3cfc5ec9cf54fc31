"""One trace from the caller through PostgreSQL and Redis to handlers, their calls and their children."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from mainspring import Context, Mainspring
from mainspring.adapters.http import AddressPolicy, OutboundHttp
from mainspring.adapters.otel import OtelTracing
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.app.node import Node
from mainspring.app.wiring import Roles, SystemParts
from mainspring.moves.enqueue import EnqueueRequest
from tests import servers
from tests.integration import traced_handlers
from tests.integration.api.conftest import serving
from tests.waiting import auntil


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> OtelTracing:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return OtelTracing(provider)


@pytest.fixture
def receiver() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A server that keeps the headers it is called with."""
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], heard
    server.shutdown()
    server.server_close()


@pytest.fixture
async def ms(
    postgres18_url: str, valkey_url: str, tracing: OtelTracing, receiver: tuple[int, Any]
) -> AsyncIterator[Mainspring]:
    with servers.new_database(postgres18_url) as url:
        await PostgresStore(url, random=Random(1)).migrate()
        app = Mainspring(url, redis_url=valkey_url, parts=SystemParts(tracing=tracing), poll_ms=200)
        http = OutboundHttp(AddressPolicy.allowing([f"127.0.0.1/32:{receiver[0]}"]))

        @app.handler()
        async def calls_out(ctx: Context) -> list[str | None]:
            await http.request("POST", f"http://127.0.0.1:{receiver[0]}/hook", content=b"{}")
            return [ctx.trace_id, ctx.span_id]

        @app.handler()
        def in_a_thread(ctx: Context) -> list[str]:
            found = trace.get_current_span().get_span_context()
            return [trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)]

        @app.handler()
        async def goes_on(ctx: Context) -> str:
            found = await app.aenqueue(EnqueueRequest("calls_out"))
            return found.id

        @app.handler(retry=0)
        async def fails() -> None:
            raise ValueError("a secret that no span may tell")

        @app.every("1s")
        async def tick(ctx: Context) -> list[str | None]:
            return [ctx.trace_id, ctx.span_id]

        app.handler("in_a_child", isolation="process")(traced_handlers.in_a_child)
        app.calls_out, app.in_a_thread, app.goes_on, app.fails = calls_out, in_a_thread, goes_on, fails  # type: ignore[attr-defined]
        node = Node(app, Roles())
        await node.start()
        try:
            yield app
        finally:
            await node.stop()


def only(spans: InMemorySpanExporter, name: str, **attributes: Any) -> ReadableSpan:
    found = [
        span
        for span in spans.get_finished_spans()
        if span.name == name
        and all((span.attributes or {}).get(k.replace("__", ".")) == v for k, v in attributes.items())
    ]
    assert len(found) == 1, [(span.name, dict(span.attributes or {})) for span in spans.get_finished_spans()]
    return found[0]


def ids(span: ReadableSpan) -> list[str]:
    assert span.context is not None
    return [trace.format_trace_id(span.context.trace_id), trace.format_span_id(span.context.span_id)]


async def test_a_trace_goes_from_the_caller_to_the_handler_and_into_its_calls(
    ms: Any, spans: InMemorySpanExporter, tracing: OtelTracing, receiver: tuple[int, list[dict[str, str]]]
) -> None:
    with tracing._tracer.start_as_current_span("caller") as caller:
        run = await ms.calls_out.aenqueue()
    told = await run.aresult(30)
    produced = only(spans, "enqueue default", messaging__message__id=run.id)
    consumed = only(spans, "process default", messaging__message__id=run.id)
    assert (produced.kind, consumed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert produced.parent is not None
    assert produced.parent.span_id == caller.get_span_context().span_id
    stored = await run.arefresh()
    assert [stored.trace_id, stored.span_id] == ids(produced), "kept with the execution"
    assert consumed.parent is not None
    assert trace.format_span_id(consumed.parent.span_id) == stored.span_id
    assert [link.context.span_id for link in consumed.links] == [consumed.parent.span_id]
    assert told == ids(consumed), "the handler is told its own span"
    assert receiver[1][0]["traceparent"] == f"00-{told[0]}-{told[1]}-01"
    assert (consumed.attributes or {})["mainspring.outcome"] == "success"


async def test_threads_and_child_processes_are_in_the_trace(ms: Any, spans: InMemorySpanExporter) -> None:
    threaded = await ms.in_a_thread.aenqueue()
    (made,) = await ms.scheduler().enqueue([EnqueueRequest("in_a_child", isolation="process")])
    assert await threaded.aresult(30) == ids(only(spans, "process default", messaging__message__id=threaded.id))
    told = (await ended(ms, made.id)).result
    span = ids(only(spans, "process default", messaging__message__id=made.id))
    assert told == {"context": span, "here": span, "otel": span}


async def ended(ms: Any, execution_id: str) -> Any:
    async def found() -> Any:
        execution = await _stored(ms, execution_id)
        return execution if execution.status.terminal else None

    return await auntil(f"{execution_id} has ended", found)


async def test_what_a_handler_enqueues_is_below_its_attempt(ms: Any, spans: InMemorySpanExporter) -> None:
    run = await ms.goes_on.aenqueue()
    inner = await run.aresult(30)
    await ended(ms, inner)
    outer = only(spans, "process default", messaging__message__id=run.id)
    produced = only(spans, "enqueue default", messaging__message__id=inner)
    assert produced.parent is not None
    assert trace.format_span_id(produced.parent.span_id) == ids(outer)[1]
    assert ids(only(spans, "process default", messaging__message__id=inner))[0] == ids(outer)[0]


async def test_a_due_instant_begins_a_trace_of_its_own(ms: Any, spans: InMemorySpanExporter) -> None:
    def both() -> tuple[ReadableSpan, ...]:
        """Return the spans of an execution, once both are there: a worker may be done before the dispatcher goes on."""
        found = [span for span in spans.get_finished_spans() if (span.attributes or {}).get("mainspring.job.name")]
        parts = {(span.name, (span.attributes or {})["messaging.message.id"]): span for span in found}
        ran = [of for name, of in parts if name == "process default" and ("dispatch default", of) in parts]
        return (parts["process default", ran[0]], parts["dispatch default", ran[0]]) if ran else ()

    process, dispatch = await auntil("an execution is in a trace", both)
    assert dispatch.parent is None
    assert process.parent is not None
    assert trace.format_span_id(process.parent.span_id) == ids(dispatch)[1]
    assert (dispatch.attributes or {})["mainspring.cause.type"] == "schedule"


async def test_a_failure_marks_its_span_and_tells_no_message(ms: Any, spans: InMemorySpanExporter) -> None:
    run = await ms.fails.aenqueue()
    with pytest.raises(Exception, match="ValueError"):
        await run.aresult(30)
    span = only(spans, "process default", messaging__message__id=run.id)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert "secret" not in str([one.to_json() for one in spans.get_finished_spans()])


async def test_a_request_that_carries_a_trace_has_its_work_in_it(tmp_path: Any) -> None:
    """Also where nothing records spans: the ids go with the execution."""
    ms = Mainspring(tmp_path / "jobs.db")
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with serving(ms) as api:
        made = await api.post("executions", {"handler": "h"}, headers={"traceparent": header})
        plain = await api.post("executions", {"handler": "h"})
        odd = await api.post("executions", {"handler": "h"}, headers={"traceparent": "00-oops"})
        assert (made.status_code, odd.status_code) == (201, 201)
        rows = [await _stored(ms, answer.json()["id"]) for answer in (made, plain, odd)]
    assert (rows[0].trace_id, rows[0].span_id) == (header[3:35], header[36:52])
    assert rows[1].trace_id is rows[2].trace_id is None


async def _stored(ms: Mainspring, execution_id: str) -> Any:
    return await ms.store.read(lambda tx: tx.executions.get(execution_id))


async def test_what_is_sampled_out_leaves_no_ids(tmp_path: Any) -> None:
    off = OtelTracing(TracerProvider(sampler=ALWAYS_OFF))
    ms = Mainspring(tmp_path / "jobs.db", parts=SystemParts(tracing=off))

    @ms.handler()
    async def work() -> None: ...

    run = await work.aenqueue()
    assert (run.execution.trace_id, run.execution.span_id) == (None, None)
    await ms.close()


def test_without_the_setting_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    script = """
    import asyncio, sys
    from mainspring import Mainspring
    from mainspring.app.node import Node
    from mainspring.app.wiring import Roles

    async def main():
        node = Node(Mainspring("sqlite:///jobs.db"), Roles())
        await node.start()
        await node.stop()

    asyncio.run(main())
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60, cwd=tmp_path)
