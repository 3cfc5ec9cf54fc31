"""An attempt for a handler to run in, and what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mainspring.engine.context import Context
from mainspring.model.execution import Cause, Execution, Status
from mainspring.testing.clock import START

EXECUTION = Execution("e1", "acme", "test", Status.RUNNING, Cause.SCHEDULE, START, START, scheduled_at=START)


@dataclass
class Said:
    """A sink that keeps everything."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    progresses: list[Mapping[str, Any]] = field(default_factory=list)

    def log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        self.lines.append((level, message))

    def progress(self, progress: Mapping[str, Any]) -> None:
        self.progresses.append(progress)

    def usage(self, usage: Mapping[str, Any]) -> None:
        pass


class Attempt:
    """A context, told to stop once ``stop_after`` progress reports were made."""

    def __init__(
        self,
        platform_id: str = "acme",
        *,
        id: str = "e1",
        scheduled_at: datetime | None = START,
        stop_after: int | None = None,
        **fields: Any,
    ) -> None:
        self.execution = replace(EXECUTION, id=id, platform_id=platform_id, scheduled_at=scheduled_at, **fields)
        self.said = Said()
        self.ctx = Context(
            self.execution, self.said, lambda: stop_after is not None and len(self.said.progresses) > stop_after
        )
