"""Where a command asks, as whom, and how its answer is to look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Group, Parameter

from mainspring.cli.exits import DatabaseMissingError, UsageError
from mainspring.cli.loading import Wanted
from mainspring.cli.output import Format
from mainspring.cli.urls import database_url, sqlite_path

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.cli.desk import Desk
    from mainspring.control.scheduler import SchedulerService
    from mainspring.profiles import Place

T = TypeVar("T")

GLOBAL = Group("Options of every command", sort_key=100)


@Parameter(name="*", group=GLOBAL)
@dataclass(frozen=True)
class Target:
    """The options every command takes."""

    server: str | None = None
    """URL of a server to ask, instead of a database."""

    key: str | None = None
    """API key for the server; MAINSPRING_API_KEY does the same and is in no list of processes."""

    profile: str | None = None
    """A server or a database by the name it has in `mainspring profiles`."""

    db: str | None = None
    """Database URL, or the path of a SQLite file; by default as in `mainspring config`."""

    platform: str | None = None
    """The tenant."""

    output: Annotated[Format, Parameter(name=["--output", "-o"])] = "table"
    """How to print the answer."""

    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="", show_default=False)] = False
    """Show tracebacks of errors."""

    @property
    def for_people(self) -> bool:
        """Whether the answer is a table, and so times are shown in their zones."""
        return self.output == "table"

    @property
    def whole(self) -> bool:
        """Whether the answer is one document, in JSON or YAML."""
        return self.output in ("json", "yaml")

    def place(self) -> Place:
        """Return the server or the database that is meant."""
        from mainspring.profiles import place_of

        return place_of(server=self.server, db=self.db, profile=self.profile, platform=self.platform, key=self.key)

    def run(self, work: Callable[[Desk], Awaitable[T]], *, create: bool = False) -> T:
        """Go to the desk that is meant and run ``work`` there; without ``create`` a SQLite file must be there."""
        import asyncio  # here: what runs roles only parses by this module, in a process apart

        return asyncio.run(self._run(work, self.place(), create))

    def run_on_store(self, work: Callable[[Opened], Awaitable[T]], *, what: str) -> T:
        """Run what needs the database itself. ``what`` names it where a server is meant."""
        import asyncio

        async def opened() -> T:
            app = self._existing(self._app(self._database(what)), create=False)
            await app.open()
            try:
                return await work(Opened(app, app.scheduler(actor="cli")))
            finally:
                await app.close()

        return asyncio.run(opened())

    def app(self, what: str) -> Mainspring:
        """Return the application behind the database that is meant, not yet connected. ``what`` names the command."""
        return self._app(self._database(what))

    def wanted(self, where: str | None = None, queues: str | None = None) -> Wanted:
        """Return the application a process is to run: that of ``where``, or the one behind a database.

        What runs an engine or a server goes by the settings alone, unless a profile is named.
        """
        if where is not None or (self.server is None and self.profile is None):
            return Wanted(where, database_url(self.db), self.platform, queues)
        place = self._database("this command")
        return Wanted(None, database_url(place.db), place.platform, queues)

    def _database(self, what: str) -> Place:
        place = self.place()
        if place.server is not None:
            problem = f"{what} needs the database itself, and {place.server} ({place.origin}) is a server"
            raise UsageError(problem, fix="Give --db URL, or a profile of a database")
        return place

    async def _run(self, work: Callable[[Desk], Awaitable[T]], place: Place, create: bool) -> T:
        if place.server is not None:
            return await _at_server(work, place)
        from mainspring.cli.desk.store import StoreDesk

        app = self._existing(self._app(place), create=create)
        await app.open()
        try:
            return await work(StoreDesk(app))
        finally:
            await app.close()

    def _app(self, place: Place) -> Mainspring:
        from mainspring.app import Mainspring

        return Mainspring(database_url(place.db), platform=place.platform)

    def _existing(self, app: Mainspring, *, create: bool) -> Mainspring:
        path = sqlite_path(app.settings.database_url)
        if not create and path is not None and not path.exists():
            raise DatabaseMissingError(str(path))
        return app


async def _at_server(work: Callable[[Desk], Awaitable[T]], place: Place) -> T:
    from mainspring.cli.desk.server import ServerDesk
    from mainspring.client.drivers import Awaiting
    from mainspring.client.exchange import Caller, Patience

    assert place.server is not None
    driver = Awaiting(Caller(place.server, place.platform or "self", place.key, patience=Patience(retries=2)))
    try:
        return await work(ServerDesk(driver))
    finally:
        await driver.close()


@dataclass(frozen=True)
class Opened:
    """An open application, with the service that answers: for what needs the database itself."""

    app: Mainspring
    scheduler: SchedulerService
