"""The two clients: one that blocks and one that awaits, with the same nouns and methods."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self

from mainspring.client import nouns
from mainspring.client.drivers import Awaiting, Blocking
from mainspring.client.exchange import Caller, Patience
from mainspring.client.nouns import D
from mainspring.errors import SettingsError
from mainspring.profiles import place_of

if TYPE_CHECKING:
    import httpx2


class _Client(Generic[D]):
    """What both clients have."""

    def __init__(self, driver: D) -> None:
        self._driver: D = driver
        self.jobs: nouns.Jobs[D] = nouns.Jobs(driver)
        self.executions: nouns.Executions[D] = nouns.Executions(driver)
        self.dead_letters: nouns.DeadLetters[D] = nouns.DeadLetters(driver)
        self.events: nouns.Events[D] = nouns.Events(driver)
        self.operations: nouns.Operations[D] = nouns.Operations(driver)
        self.fleet: nouns.Fleet[D] = nouns.Fleet(driver)
        self.limits: nouns.Limits[D] = nouns.Limits(driver)
        self.calendars: nouns.Calendars[D] = nouns.Calendars(driver)
        self.schedules: nouns.Schedules[D] = nouns.Schedules(driver)
        self.webhooks: nouns.Webhooks[D] = nouns.Webhooks(driver)
        self.keys: nouns.Keys[D] = nouns.Keys(driver)
        self.platforms: nouns.Platforms[D] = nouns.Platforms(driver)
        self.audit: nouns.Audit[D] = nouns.Audit(driver)
        self.service: nouns.Service[D] = nouns.Service(driver)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._driver.caller.server!r}, platform={self._driver.caller.platform!r})"


class Client(_Client[Blocking]):
    """A client of a Mainspring server that blocks. Threads may share one.

    Args:
        server: The server's URL; by default ``MAINSPRING_SERVER``, else the profile's.
        key: The API key; by default ``MAINSPRING_API_KEY``, else the profile's. A server without keys needs none.
        platform: The tenant; by default ``MAINSPRING_PLATFORM``, else the profile's, else the key's own.
        profile: A profile to take these from; by default ``MAINSPRING_PROFILE``, else the one in use.
        timeout: Longest time one request may take, in seconds.
        patience: How often what failed for the moment is tried again, and after which pauses.
        transport: How requests travel, for tests; by default over the network.

    Raises:
        SettingsError: If nothing names a server.

    Every method raises a `Problem` for a refusal, which is also the error of `mainspring.errors` that says the same,
    and `ServerUnreachableError` where no answer came. Changes carry an ``Idempotency-Key``, so that what is tried
    again is done once.

    For example:

        with Client("http://127.0.0.1:8700") as client:
            client.jobs.create(name="nightly", type="manual", handler="reports:nightly")
            run = client.jobs.trigger("nightly")
            print(client.executions.result(run.id, timeout=60))
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        key: str | None = None,
        platform: str | None = None,
        profile: str | None = None,
        timeout: float = 30.0,
        patience: Patience | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        caller = _caller(server, key, platform, profile, timeout, patience)
        super().__init__(Blocking(caller, transport))

    def close(self) -> None:
        """Close the connections; leaving a ``with`` block does it too."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncClient(_Client[Awaiting]):
    """A client of a Mainspring server for asyncio: as `Client`, its methods awaited, its lists for ``async for``.

    For example:

        async with AsyncClient("http://127.0.0.1:8700") as client:
            run = await client.jobs.trigger("nightly")
            async for line in client.executions.follow_logs(run.id):
                print(line.at, line.message)
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        key: str | None = None,
        platform: str | None = None,
        profile: str | None = None,
        timeout: float = 30.0,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        caller = _caller(server, key, platform, profile, timeout, patience)
        super().__init__(Awaiting(caller, transport))

    async def close(self) -> None:
        """Close the connections; leaving an ``async with`` block does it too."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def _caller(
    server: str | None,
    key: str | None,
    platform: str | None,
    profile: str | None,
    timeout: float,
    patience: Patience | None,
) -> Caller:
    place = place_of(server=server, profile=profile, platform=platform, key=key)
    if place.server is None:
        fix = "give its URL, or set MAINSPRING_SERVER, or use a profile of a server"
        raise SettingsError(f"no server is named ({place.origin}: {place.db}): {fix}")
    return Caller(place.server, place.platform or "self", place.key, timeout, patience or Patience())
