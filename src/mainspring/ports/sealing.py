"""Secrets at rest: what is sealed before the record keeps it, and opened where it is used."""

from __future__ import annotations

from typing import Protocol

from mainspring.errors import SealedError

#: What a sealed text begins with; no secret of ours does.
PREFIX = "sealed:"


class Sealer(Protocol):
    """Seals short texts for the record."""

    def seal(self, secret: str, purpose: str) -> str:
        """Return what may be stored; a secret sealed for one purpose does not open for another."""

    def open(self, stored: str, purpose: str) -> str:
        """Return the secret, also where it was stored as it is. Raises `SealedError`."""

    def is_current(self, stored: str) -> bool:
        """Tell whether ``stored`` is as `seal` would make it now, and not an earlier key's."""


class Unsealed:
    """`Sealer` where no key has been set: the record keeps secrets as they are, guarded by its own access alone."""

    def seal(self, secret: str, purpose: str) -> str:
        """Return it as it is."""
        return secret

    def open(self, stored: str, purpose: str) -> str:
        """Return it as it is; refuse what somebody with a key has sealed."""
        if stored.startswith(PREFIX):
            raise SealedError("sealed, and this process has no key: set MAINSPRING_SECRET_KEYS as elsewhere")
        return stored

    def is_current(self, stored: str) -> bool:
        """Tell whether it is not sealed."""
        return not stored.startswith(PREFIX)
