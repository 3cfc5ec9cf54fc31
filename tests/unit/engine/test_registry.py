"""Handlers are what code has registered by name: a name from data is looked up and never imported."""

from __future__ import annotations

import sys

import pytest

from mainspring.engine.registry import JobHandlerRegistry
from mainspring.errors import NotFoundError


@pytest.fixture
def registry() -> JobHandlerRegistry:
    found = JobHandlerRegistry()
    found.register_handler("report", lambda: 1)
    found.register_handler("billing", lambda: 2, platform_id="acme")
    return found


@pytest.mark.parametrize(
    "name", ["os.system", "builtins:eval", "this", "antigravity.fly", "__import__", "", "Report", "report "]
)
def test_a_name_from_data_is_looked_up_and_never_imported(registry: JobHandlerRegistry, name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(NotFoundError):
        registry.resolve_handler(name)
    assert not registry.has_handler(name)
    assert set(sys.modules) == before


def test_a_handler_of_one_platform_is_unknown_to_others(registry: JobHandlerRegistry) -> None:
    assert registry.resolve_handler("billing", "acme").name == "billing"
    with pytest.raises(NotFoundError):
        registry.resolve_handler("billing", "beta")
    assert registry.resolve_handler("report", "beta").name == "report"
