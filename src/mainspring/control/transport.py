"""How the transport stands: the streams of every queue that is served or has work."""

from __future__ import annotations

from typing import Any

from mainspring.control.health import ALIVE
from mainspring.model.wire import instant
from mainspring.ports.store import Store, Tx
from mainspring.ports.transport import Transport, TransportFigures

#: Most queues whose streams are looked at.
QUEUES = 100


async def collect_transport(store: Store, transport: Transport) -> TransportFigures:
    """Return how the transport of this process stands. Asks its server, in bounded time; never raises for that."""
    return await transport.figures(await store.read(_queues))


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
