"""How the transport stands: the streams of every queue that is served or has work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mainspring.control.health import ALIVE
from mainspring.model.node import DispatcherNode, WorkerNode
from mainspring.model.wire import instant
from mainspring.ports.store import Store, Tx
from mainspring.ports.transport import Transport, TransportFigures

#: Most queues whose streams are looked at.
QUEUES = 100


async def collect_transport(store: Store, transport: Transport) -> TransportFigures:
    """Return how the transport stands, with what the live processes of the fleet have counted.

    Asks its server, in bounded time; never raises for that.
    """
    queues, counters = await store.read(lambda tx: (_queues(tx), _counters(tx)))
    return replace(await transport.figures(queues), counters=counters)


def _counters(tx: Tx) -> dict[str, int]:
    """Add up the counters of the processes alive; one that dispatches and works has told them twice."""
    since, told = tx.now - ALIVE, dict[tuple[str, int], Mapping[str, int]]()
    nodes: list[WorkerNode | DispatcherNode] = [
        *tx.nodes.dispatchers(seen_since=since),
        *tx.nodes.workers(seen_since=since),
    ]
    for node in nodes:
        told[node.host, node.pid] = node.stats.get("transport") or {}
    total: Counter[str] = Counter()
    for counters in told.values():
        total.update(counters)
    return dict(total)


def _queues(tx: Tx) -> list[str]:
    served = {queue for worker in tx.nodes.workers(seen_since=tx.now - ALIVE) for queue in worker.queues}
    return sorted(served | set(tx.executions.queues_waiting(QUEUES)))[:QUEUES]


def transport_to_wire(figures: TransportFigures) -> dict[str, Any]:
    """Return the figures as plain data."""
    return {
        "kind": figures.kind,
        "reachable": figures.reachable,
        "server": figures.server,
        "problems": list(figures.problems),
        "streams": [
            {
                "name": stream.name,
                "entries": stream.entries,
                "pending": stream.pending,
                "unread": stream.unread,
                "consumers": stream.consumers,
                "oldest_at": instant(stream.oldest_at),
            }
            for stream in figures.streams
        ],
        "counters": dict(figures.counters),
    }
