"""What a command line that runs an application's roles comes down to: plain values, which do it when called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from mainspring.cli.door import Door
from mainspring.cli.exits import Exit
from mainspring.cli.loading import Wanted
from mainspring.cli.output import Format

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class RunRoles:
    """Run an application's roles in this process, and show what happens, until it is told to stop.

    ``parent`` is the process id of a supervisor. With a ``door`` the API is served there, beside the roles.
    """

    command: str
    wanted: Wanted
    output: Format
    level: Level
    dispatcher: bool = True
    worker: bool = True
    parent: int | None = None
    door: Door | None = None

    def __call__(self) -> int:
        """Return the exit code. Raises what keeps the application from running."""
        from mainspring.app.loop import run_loop
        from mainspring.app.wiring import Roles
        from mainspring.cli.live import view_for
        from mainspring.cli.process import Process, Role

        app, roles = self.wanted.app(), Roles(dispatcher=self.dispatcher, worker=self.worker)
        # Several processes on one terminal would write across each other's lower lines.
        view = view_for(self.output, color=not _no_color(), live=self.parent is None)
        patient = self.command != "dev"
        role = Role(self.command, self.wanted.where, app, roles, patient=patient, parent=self.parent, door=self.door)
        run_loop(Process(role, view).run(self.level))
        return Exit.DONE


def _no_color() -> bool:
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
