"""What every connection to PostgreSQL carries: limits on how long anything may take, and how statements are planned.

A client that freezes keeps its locks, because to the server it looks alive: hence the limits. A plan made while a table
was small stays while it grows: hence no plan may read a table to find a few of its rows, whatever it costs at the time.
Behind a proxy that hands connections on after each transaction nothing may be set for a session; each transaction then
sets the same for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

#: Every hot statement looks rows up by an index or reads them in the order of one. To compile a plan, or to make it
#: anew for each batch, costs more than to run it.
_PLANS = {
    "enable_seqscan": "off",
    "seq_page_cost": "1000000",  # PostgreSQL 18 forgets "off" where all but one of a table's partitions are left out
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

#: What the operating system does for a connection whose other end has vanished.
KEEPALIVES: Mapping[str, int] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def server_settings(statement: timedelta, lock: timedelta, idle: timedelta) -> dict[str, str]:
    """Return the server's settings for our connections, by name.

    >>> server_settings(timedelta(seconds=30), timedelta(seconds=10), timedelta(seconds=5))["lock_timeout"]
    '10000'
    """
    limits = {"statement_timeout": statement, "lock_timeout": lock, "idle_in_transaction_session_timeout": idle}
    return {name: str(limit // timedelta(milliseconds=1)) for name, limit in limits.items()} | _PLANS


def for_session(settings: Mapping[str, str]) -> str:
    """Return settings as the ``options`` of a connection that is ours alone.

    >>> for_session({"jit": "off", "lock_timeout": "10000"})
    '-c jit=off -c lock_timeout=10000'
    """
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def connect_arguments(settings: Mapping[str, str], *, pooled: bool) -> dict[str, Any]:
    """Return the driver's arguments for a connection. ``pooled``: nothing of ours may outlive a transaction."""
    # Replicas show commits late and in another order: of several hosts the one is taken that takes writes.
    found: dict[str, Any] = {"application_name": "mainspring", "target_session_attrs": "read-write"}
    # What is kept on the server we keep ourselves: after some statements the driver would have all of it forgotten.
    found |= {"connect_timeout": 5, **KEEPALIVES, "prepare_threshold": None}
    return found if pooled else found | {"options": for_session(settings)}
