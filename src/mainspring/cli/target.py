"""Which database and platform a command speaks of, and how its answer is to look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from cyclopts import Group, Parameter

from mainspring.cli.exits import DatabaseMissingError

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.control.scheduler import SchedulerService

T = TypeVar("T")

GLOBAL = Group("Options of every command", sort_key=100)
Format = Literal["table", "json", "jsonl"]


@Parameter(name="*", group=GLOBAL)
@dataclass(frozen=True)
class Target:
    """The options every command takes."""

    db: str | None = None
    """Database URL, or the path of a SQLite file; by default as in `mainspring config`."""

    platform: str | None = None
    """The tenant."""

    output: Annotated[Format, Parameter(name=["--output", "-o"])] = "table"
    """How to print the answer."""

    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="", show_default=False)] = False
    """Show tracebacks of errors."""

    def app(self) -> Mainspring:
        """Return the application behind the database, not yet connected."""
        from mainspring.app import Mainspring

        return Mainspring(database_url(self.db), platform=self.platform)

    def run(self, work: Callable[[Client], Awaitable[T]], *, create: bool = False) -> T:
        """Connect as a client, run ``work``, and let go. Without ``create`` a SQLite file must be there already."""
        return asyncio.run(self._run(work, create))

    async def _run(self, work: Callable[[Client], Awaitable[T]], create: bool) -> T:
        app = self.app()
        path = sqlite_path(app.settings.database_url)
        if not create and path is not None and not path.exists():
            raise DatabaseMissingError(str(path))
        await app.open()
        try:
            return await work(Client(app, app.scheduler(actor="cli")))
        finally:
            await app.close()


@dataclass(frozen=True)
class Client:
    """An open application, with the service that answers."""

    app: Mainspring
    scheduler: SchedulerService


def database_url(given: str | None) -> str | None:
    """Return the URL of what ``--db`` says: a URL as it is, anything else as the path of a SQLite file.

    >>> database_url("jobs.db"), database_url("/var/jobs.db"), database_url("postgresql://host/jobs")
    ('sqlite:///jobs.db', 'sqlite:////var/jobs.db', 'postgresql://host/jobs')
    """
    if given is None or "://" in given or given.startswith("sqlite:"):
        return given
    return f"sqlite:///{given}"


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL; None for another database, or one in memory.

    >>> sqlite_path("sqlite:///a/jobs.db")
    PosixPath('a/jobs.db')
    """
    if not url.startswith("sqlite:"):
        return None
    text = url.split("://", 1)[-1].partition("?")[0].removeprefix("/")
    return Path(text) if text and ":memory:" not in text else None
