"""The pytest plugin: fixtures that open environments and close them when the test ends. It loads nothing until used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from mainspring.app.application import Application
    from mainspring.testing.environments import Environment, SyncEnvironment


class OpenEnvironment(Protocol):
    """Opens an environment of an application; takes what `mainspring.testing.environment` takes."""

    def __call__(self, app: Application, **options: Any) -> Environment:
        """Return an open environment, closed when the test ends."""


class OpenSyncEnvironment(Protocol):
    """Opens an environment for a test without an event loop."""

    def __call__(self, app: Application, **options: Any) -> SyncEnvironment:
        """Return an open environment, closed when the test ends."""


@pytest.fixture
def mainspring_env() -> Iterator[OpenEnvironment]:
    """Give an async test a way to open environments, which are closed when it ends.

    ``env = mainspring_env(ms, at="2026-11-20T08:59")``
    """
    from mainspring.testing.environments import Environment

    opened: list[Environment] = []

    def open_one(app: Application, **options: Any) -> Environment:
        opened.append(Environment(app, **options))
        return opened[-1]

    yield open_one
    for env in reversed(opened):
        env._close()


@pytest.fixture
def mainspring_sync_env() -> Iterator[OpenSyncEnvironment]:
    """Give a test without an event loop a way to open environments, which are closed when it ends."""
    from mainspring.testing.environments import SyncEnvironment

    opened: list[SyncEnvironment] = []

    def open_one(app: Application, **options: Any) -> SyncEnvironment:
        opened.append(SyncEnvironment(app, **options))
        return opened[-1]

    yield open_one
    for env in reversed(opened):
        env._close()
