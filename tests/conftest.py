"""What every test may use: how much Hypothesis tries, one seed per test, and real servers once per test process."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import servers

# Chosen with --hypothesis-profile. No deadline: the machine's load is no property of the code.
settings.register_profile("quick", max_examples=30, deadline=None)
settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
settings.register_profile(
    "thorough", max_examples=3000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

SEED = "MAINSPRING_TEST_SEED"


def pytest_configure(config: pytest.Config) -> None:
    # In the environment, so that the processes of pytest-xdist draw from the same seed.
    os.environ.setdefault(SEED, str(secrets.randbits(32)))


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {os.environ[SEED]} (run again with {SEED}={os.environ[SEED]})"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number for random.Random: another in each run and each test, and printed when the test fails."""
    name = f"{os.environ[SEED]} {request.node.nodeid}"
    drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    line = f"seed {drawn}; the same again with {SEED}={os.environ[SEED]}"
    request.node.add_report_section("setup", "seed", line)
    return drawn


@pytest.fixture(scope="session")
def postgres15_url() -> Iterator[str]:
    """The same for the oldest version we work with, which no wheel has: skips where it is not installed."""
    programs = servers.installed_postgres(15)
    if programs is None:
        pytest.skip("PostgreSQL 15 is not installed")
    with servers.postgres(bin_dir=programs) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres16_url() -> Iterator[str]:
    """The URL of a PostgreSQL 16 that runs until the last test of this process; take servers.new_database on it."""
    with servers.postgres(16) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres18_url() -> Iterator[str]:
    """The same for PostgreSQL 18."""
    with servers.postgres(18) as server:
        yield server.url


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a Valkey that runs until the last test of this process; tests keep to keys of their own."""
    with servers.valkey() as server:
        yield server.url
