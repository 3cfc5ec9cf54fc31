"""Spans sent by OTLP from a process and its children, to a receiver that decodes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import PATIENCE, until

APP = """
    from mainspring import Context, Mainspring

    ms = Mainspring("sqlite:///jobs.db", poll_ms=100)

    @ms.every("1s", isolation="process")
    def in_a_child(ctx: Context) -> None:
        from opentelemetry import trace

        with trace.get_tracer("mine").start_as_current_span("made by the handler"):
            pass
"""


@pytest.fixture
def receiver() -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """A server that keeps the service and the spans of every export."""
    heard: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {one.key: one.value.string_value for one in group.resource.attributes}
                heard.extend((named["service.name"], span) for scope in group.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], heard
    server.shutdown()
    server.server_close()


def test_a_process_and_its_children_export_one_trace(tmp_path: Path, receiver: tuple[int, list[Any]]) -> None:
    port, heard = receiver
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    environ = {
        **os.environ,
        "MAINSPRING_TRACING": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    command = [sys.executable, "-m", "mainspring", "all", "app.py", "--no-api"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=log, stderr=log)
        try:
            made = "made by the handler"
            until("its span was exported", lambda: any(span.name == made for _, span in heard))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    inner = next(span for _, span in heard if span.name == "made by the handler")
    process_span = next(span for _, span in heard if span.span_id == inner.parent_span_id)
    dispatch = next(span for _, span in heard if span.span_id == process_span.parent_span_id)
    assert (process_span.name, dispatch.name) == ("process default", "dispatch default")
    assert {span.trace_id for span in (inner, process_span, dispatch)} == {dispatch.trace_id}
    assert {service for service, _ in heard} == {"mainspring"}
