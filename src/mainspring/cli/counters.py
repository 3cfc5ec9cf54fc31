"""What has happened since this process started, counted from what is told; and what runs in it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mainspring.model.events import Event, EventType
from mainspring.model.execution import Execution

_ENDED: Mapping[str, str] = {
    EventType.EXECUTION_SUCCESS: "finished",
    EventType.EXECUTION_FAILED: "failed",
    EventType.EXECUTION_CANCELLED: "cancelled",
    EventType.EXECUTION_EXPIRED: "expired",
}


@dataclass
class Counters:
    """``done`` counts by word; ``running`` maps the executions started here to since when they run."""

    done: Counter[str] = field(default_factory=Counter)
    running: dict[str, datetime] = field(default_factory=dict)

    def start(self, execution: Execution) -> None:
        """Count the start of an attempt."""
        if execution.started_at is not None:
            self.running[execution.id] = execution.started_at

    def end(self, execution_id: str, what: str) -> None:
        """Count the end of an attempt that no event of this process tells of."""
        self.done[what] += 1
        self.running.pop(execution_id, None)

    def count(self, event: Event) -> None:
        """Count an event."""
        ended = "retried" if event.type == EventType.EXECUTION_RETRY else _ENDED.get(event.type)
        if ended is not None:
            self.done[ended] += 1
            if self.running:  # they run in other processes where this one has none
                self.running.pop(str(event.data.get("execution_id")), None)
        elif event.type == EventType.EXECUTION_DEAD:
            self.done["dead"] += 1
        elif event.type == EventType.OCCURRENCE_SKIPPED:
            self.done["skipped"] += int(event.data.get("count") or 1)

    def keep(self, execution_ids: set[str]) -> None:
        """Forget what no longer runs here: a snooze or a release ends an attempt without an event."""
        for execution_id in self.running.keys() - execution_ids:
            del self.running[execution_id]

    def told(self) -> str:
        """Return the counts in one phrase; what never happened is left out, except what everybody looks for.

        >>> Counters(Counter(finished=3, skipped=1)).told()
        '3 finished, 0 failed, 1 skipped'
        """
        words = ("finished", "failed", "retried", "dead", "cancelled", "expired", "skipped")
        return ", ".join(
            f"{self.done[word]} {word}" for word in words if self.done[word] or word in ("finished", "failed")
        )
