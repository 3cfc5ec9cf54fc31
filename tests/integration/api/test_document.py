"""The OpenAPI document: committed and current; what would break a client is seen; requests made up from it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, event, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from mainspring import Mainspring
from mainspring.api import ApiSettings, create_app
from mainspring.api.guard import GuardSettings
from mainspring.api.problems import CODES
from mainspring.api.rates import Rate
from mainspring.api.routing import PROBLEMS
from mainspring.control.keys import KeyService
from tests.integration.api.seeds import ASKS, Seed, seeded
from tests.openapi import broken, committed, made

ROOT = Path(__file__).parents[3]


def test_the_committed_document_is_current() -> None:
    assert committed() == made(), "run ./dev openapi"


def test_every_operation_names_its_scope_its_problems_and_what_it_does() -> None:
    for path, operations in made()["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"] in ASKS, (method, path)
            assert operation["x-scope"]
            assert operation["summary"]
            assert {str(status) for status in PROBLEMS} <= operation["responses"].keys()


def test_every_code_has_its_section_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    assert [code for code in CODES if f"\n#### `{code}`" not in text] == []


def test_a_break_would_be_seen() -> None:
    before, after = made(), made()
    del after["paths"]["/api/v1/platforms/{platform_id}/jobs/{job}"]["get"]
    del after["components"]["schemas"]["Job"]["properties"]["name"]
    after["components"]["schemas"]["NewJob"]["required"].append("queue")
    found = list(broken(before, after))
    assert "get /api/v1/platforms/{platform_id}/jobs/{job} is gone" in found
    assert "Job.name is gone" in found
    assert "NewJob.queue is now needed" in found


# -- requests made up from the document --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, str]]:
    """The document, narrowed to things there are; the URL of a server behind it; a key for everything."""
    path = tmp_path_factory.mktemp("fuzz") / "api.db"

    async def fill() -> tuple[Seed, str]:
        app = Mainspring(f"sqlite:///{path}")
        seed = await seeded(app, "default")
        keys = KeyService(app.store, platform_id="default", actor="test")
        keys.everywhere = True
        text = (await keys.create(role="admin", all_platforms=True)).text
        await app.close()
        return seed, text

    seed, key = asyncio.run(fill())
    guard = GuardSettings(per_key=Rate(1e6, 10**6), per_platform=Rate(1e6, 10**6), per_stranger=Rate(1e6, 10**6))
    api = create_app(Mainspring(f"sqlite:///{path}"), ApiSettings(guard=guard))
    with listening(api) as url:
        schema = schemathesis.openapi.from_dict(narrowed(made(), seed))
        # Text beyond its bound may be beyond the bound of a body as well.
        rejected = schema.config.checks.negative_data_rejection
        rejected.expected_statuses = [*rejected.expected_statuses, "413"]
        yield schema, url, key


def narrowed(document: dict[str, Any], seed: Seed) -> dict[str, Any]:
    """Let paths name what there is, so that requests get further than to a 404."""
    del document["security"]  # the key is sent in any case; a made-up one would only be refused
    for operations in document["paths"].values():
        for operation in operations.values():
            which = ASKS[operation["operationId"]].path
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if name == "platform_id":
                    parameter["schema"] = {"enum": ["default", "self"]}
                elif parameter["in"] == "path" and not which.get(name, "=").startswith("="):
                    parameter["schema"] = {"enum": [seed.ids[which[name]], "unknown"]}
    return document


@contextlib.contextmanager
def listening(api: Any) -> Iterator[str]:
    """Serve an application in a thread; give its URL."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(api, log_config=None, ws="none", lifespan="on"))
        thread = threading.Thread(target=server.run, args=([bound],), name="server")
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


EXAMPLES = int(os.environ.get("MAINSPRING_TEST_FUZZ", "4"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
#: What never ends cannot be read whole.
ASKED = [
    (path, method)
    for path, operations in made()["paths"].items()
    for method, operation in operations.items()
    if operation["operationId"] not in ("stream_events", "stream_overview")
]


@pytest.mark.parametrize(("path", "method"), ASKED)
def test_no_request_made_up_from_the_document_breaks_the_server(
    served: tuple[Any, str, str], path: str, method: str
) -> None:
    schema, url, key = served
    operation = schema[path][method]
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @given(case=right | wrong)
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        answer = case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)
        assert answer.status_code != 401 or path.endswith(":callback")
        assert answer.status_code != 429
        event(f"{answer.status_code}")

    ask()
