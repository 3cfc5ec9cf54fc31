"""The finding about what carries queued executions to workers."""

from __future__ import annotations

from mainspring.control.doctor import Finding, Grade
from mainspring.control.transport import transport_to_wire
from mainspring.ports.transport import TransportFigures


def judge_transport(figures: TransportFigures) -> Finding:
    """Return the finding.

    >>> judge_transport(TransportFigures("database")).detail
    'the database wakes the workers itself'
    """
    evidence = transport_to_wire(figures)
    if not figures.reachable:
        fix = ("see that the server of redis_url runs and can be reached from here",)
        return Finding("transport", Grade.WARNING, "; ".join(figures.problems), evidence, fix)
    if figures.problems:
        return Finding("transport", Grade.WARNING, "; ".join(figures.problems), evidence)
    if figures.kind == "database":
        return Finding("transport", Grade.OK, "the database wakes the workers itself", evidence)
    entries, pending = (sum(getattr(s, name) for s in figures.streams) for name in ("entries", "pending"))
    told = f"{figures.server or 'Redis'}: {entries} entries in the streams, {pending} being tried"
    by_streams, found = figures.counters.get("claimed", 0), figures.counters.get("found", 0)
    if by_streams + found:
        told += f"; since its workers started {by_streams} executions came by streams and {found} were found by looking"
    return Finding("transport", Grade.OK, told, evidence)
