"""The names of the streams, and what an entry says.

An entry carries ids and trace headers, never trust: whatever else it may say is not read, and what an id stands for is
looked up in the database by whoever claims it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mainspring.model.dispatch import Band

DISPATCH = "stream:scheduler:job.dispatch"
RETRY = "stream:scheduler:job.retry"
DEAD = "stream:scheduler:job.dead"
GROUP = "mainspring"

#: Most ids in one entry that we write, and that we read: a forged one must not fill a worker's memory.
IDS_PER_ENTRY, MOST_IDS = 32, 1000
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: An id with its trace header, None without a trace.
Named = tuple[str, str | None]


def stream_of(queue: str, band: Band) -> str:
    """Return the stream of a queue and a band; queue names have no colon, so no two of them meet.

    >>> stream_of("default", Band.NORMAL), stream_of("default", Band.HIGH)
    ('stream:scheduler:job.dispatch', 'stream:scheduler:job.dispatch:default:high')
    >>> stream_of("reports", Band.NORMAL), stream_of("reports", Band.LOW)
    ('stream:scheduler:job.dispatch:reports', 'stream:scheduler:job.dispatch:reports:low')
    """
    if band is not Band.NORMAL:
        return f"{DISPATCH}:{queue}:{band}"
    return DISPATCH if queue == "default" else f"{DISPATCH}:{queue}"


def to_entries(named: Sequence[Named]) -> list[dict[str, str]]:
    """Return what to add to one stream. The more there is, the more goes into one entry, which one worker gets.

    >>> to_entries([("a", None), ("b", "00-1-2-01")])
    [{'ids': 'a'}, {'ids': 'b', 'traceparents': '00-1-2-01'}]
    """
    size = max(1, min(IDS_PER_ENTRY, len(named) // 16))
    return [_entry(named[start : start + size]) for start in range(0, len(named), size)]


def _entry(named: Sequence[Named]) -> dict[str, str]:
    entry = {"ids": ",".join(execution_id for execution_id, _ in named)}
    if any(trace for _, trace in named):
        entry["traceparents"] = ",".join(trace or "" for _, trace in named)
    return entry


def from_entry(fields: Mapping[bytes, bytes] | None) -> tuple[list[str], int]:
    """Return the ids an entry names, each once, and how many of its words were none. An emptied entry has neither.

    >>> from_entry({b"ids": b"0198c2a0-0000-7000-8000-000000000000,x"})
    (['0198c2a0-0000-7000-8000-000000000000'], 1)
    >>> from_entry(None), from_entry({b"other": b"x"})
    (([], 0), ([], 1))
    """
    if not fields:
        return [], 0
    words = fields.get(b"ids", b"").split(b",", MOST_IDS)
    ids = dict.fromkeys(word.decode() for word in words[:MOST_IDS] if _ID.fullmatch(word))
    return list(ids), len(words) - len(ids)
