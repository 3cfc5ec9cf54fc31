"""What a process tells whoever watches it: metrics, whether it is ready, and how healthy the fleet is.

Everything here blocks and is called from a thread: the API's and the one of a node's own small server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mainspring._version import __version__
from mainspring.app.process_figures import process_figures
from mainspring.control.fleet_figures import fleet_figures, transport_figures
from mainspring.control.health import check_health, health_to_wire
from mainspring.control.transport import collect_transport
from mainspring.errors import SettingsError, StoreError
from mainspring.model import metrics as m
from mainspring.model.metrics import Figure
from mainspring.model.wire import instant

if TYPE_CHECKING:
    from mainspring.app.application import Application
    from mainspring.ports.store import Tx

#: Seconds the transport has to answer.
PATIENCE = 2.0
#: How old the fleet's figures may be: whoever asks more often is given the same again.
FRESH = timedelta(seconds=2)


class Exposition:
    """What one process tells. ``fleet``: also the figures of the whole fleet, from the database.

    ``loop`` is where the application's connections live, to ask the transport in; None: it is not asked.
    """

    def __init__(
        self, app: Application, *, fleet: bool, loop: Callable[[], asyncio.AbstractEventLoop | None] = lambda: None
    ) -> None:
        self._app, self._fleet, self._loop = app, fleet, loop
        self._kept: tuple[datetime, list[Figure]] | None = None
        self._reading = threading.Lock()

    def figures(self) -> list[Figure]:
        """Return every figure. Those of the fleet are missing while the database is away, and one figure says so."""
        found = list(process_figures(self._app))
        if self._fleet:
            fleet = self._of_fleet()
            found += [Figure(m.FLEET_UP, value=float(fleet is not None)), *(fleet or ())]
        return found

    def metrics(self, accept: str = "") -> tuple[bytes, str]:
        """Return the figures as Prometheus reads them, with their content type. Raises `SettingsError`."""
        try:
            from mainspring.adapters.prometheus import render
        except ImportError as error:
            raise SettingsError("metrics need their package: pip install 'mainspring[metrics]'") from error
        return render(self.figures(), accept)

    def health(self) -> dict[str, Any]:
        """Return the document of ``application/health+json``; raises `StoreUnavailableError`."""
        limits = self._app.settings.health()

        def work(tx: Tx) -> dict[str, Any]:
            return health_to_wire(check_health(tx, limits=limits), version=__version__, at=instant(tx.now))

        return self._app.store.read_blocking(work)

    def ready(self, check: Callable[[Tx], str | None] = lambda tx: None) -> str | None:
        """Return what keeps this process from being ready, None where nothing does: its database answers at least."""
        try:
            return self._app.store.read_blocking(check)
        except StoreError as error:
            return str(error)

    def _of_fleet(self) -> list[Figure] | None:
        with self._reading:  # scrapes that come together ask once
            now = self._app.parts.clock.now()
            if self._kept is None or not timedelta(0) <= now - self._kept[0] < FRESH:
                try:
                    self._kept = now, [*self._app.store.read_blocking(fleet_figures), *self._of_transport()]
                except StoreError:
                    return None
            return self._kept[1]

    def _of_transport(self) -> list[Figure]:
        loop = self._loop()
        if loop is None or not loop.is_running():
            return []
        asking = asyncio.run_coroutine_threadsafe(collect_transport(self._app.store, self._app.transport), loop)
        try:
            return transport_figures(asking.result(PATIENCE))
        except TimeoutError:  # the loop does not turn, which /livez says; the other figures are told all the same
            asking.cancel()
            return []
