from __future__ import annotations

import subprocess
import sys

import pytest

from mainspring.engine.registry import JobHandlerRegistry
from mainspring.errors import NotFoundError, ValidationError
from mainspring.handlers import NAMES, Builtins, register_builtins


@pytest.fixture
def registry() -> JobHandlerRegistry:
    registry = JobHandlerRegistry()
    register_builtins(registry)
    return registry


def test_the_five_are_registered_each_with_a_description_and_a_schema(registry: JobHandlerRegistry) -> None:
    assert tuple(handler.name for handler in registry.list_handlers()) == NAMES
    for name in NAMES:
        info = registry.get_handler_info(name)
        assert info["description"]
        assert info["schema"]["additionalProperties"] is False
        assert info["isolation"] == "async"


def test_registering_twice_is_no_conflict(registry: JobHandlerRegistry) -> None:
    register_builtins(registry, Builtins())


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("kb:reindex", {}),
        ("kb:reindex", {"base": "docs", "directory": "/etc"}),
        ("notify:send", {"channel": "ops", "url": "https://example.org"}),
        ("notify:send", {"channel": "ops", "level": "loud"}),
        ("notify:send", {"channel": "ops", "values": {"a": ["nested"]}}),
        ("cleanup:old_traces", {"platform_id": "globex"}),
        ("health:check", {"checks": "database"}),
        ("metrics:collect", {"groups": ["network"]}),
    ],
)
def test_a_payload_is_checked_against_the_signature(
    registry: JobHandlerRegistry, name: str, payload: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        registry.resolve_handler(name).signature.normalise(payload)


def test_they_may_be_kept_to_one_platform() -> None:
    registry = JobHandlerRegistry()
    register_builtins(registry, Builtins(platform_id="ops"))
    with pytest.raises(NotFoundError):
        registry.resolve_handler("health:check", "acme")


def test_registering_loads_no_driver() -> None:
    code = (
        "import sys, mainspring.handlers as h; from mainspring.engine.registry import JobHandlerRegistry\n"
        "h.register_builtins(JobHandlerRegistry())\n"
        "print({m.split('.')[0] for m in sys.modules} & "
        "{'httpx2', 'httpcore2', 'anyio', 'sqlite3', 'psutil', 'smtplib', 'pydantic', 'sqlalchemy'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
