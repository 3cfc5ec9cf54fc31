"""Where the API is to listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PORT = 8700


@dataclass(frozen=True, slots=True)
class Door:
    """Where the API is to listen. ``port`` None: the usual one.

    ``modest``: without the packages it needs it is left out, and where the usual port is taken any free one does.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    modest: bool = False

    def settings(self, module: Any) -> Any:
        """Return what the server takes; ``module`` is its own, which is loaded when it is needed."""
        return module.ServerSettings(
            self.host,
            PORT if self.port is None else self.port,
            self.certificate,
            self.certificate_key,
            or_any_port=self.modest and self.port is None,
        )
