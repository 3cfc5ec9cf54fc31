"""Findings about what the whole fleet shares: its database beside our work, and what carries executions to workers.

They name sessions, users and queues of everybody. So they are for whoever has the database, or a key of every platform.
"""

from __future__ import annotations

from mainspring.control.doctor import Finding
from mainspring.control.doctor_activity import USUAL, ActivityBounds, judge_activity
from mainspring.control.doctor_transport import judge_transport
from mainspring.control.transport import collect_transport
from mainspring.ports.activity import SharedDatabase
from mainspring.ports.store import Store
from mainspring.ports.transport import Transport


async def examine_fleet(store: Store, transport: Transport, bounds: ActivityBounds = USUAL) -> list[Finding]:
    """Return the findings: of the database's activity where others use it as well, then of the transport."""
    activity = judge_activity(await store.activity(), bounds) if isinstance(store, SharedDatabase) else []
    return [*activity, judge_transport(await collect_transport(store, transport))]
