"""Who may do what: scopes, the roles that bundle them, and API keys. Pure; the secret's randomness is passed in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: What a key's text starts with, so that scanners for leaked secrets know it.
PREFIX = "msk"
#: The platform of a key that may use all of them, in text.
ALL_PLATFORMS = "*"

_READ = (
    "jobs:read",
    "executions:read",
    "logs:read",
    "deadletters:read",
    "events:read",
    "workers:read",
    "handlers:read",
    "metrics:read",
)
_OPERATE = ("jobs:run", "executions:write", "deadletters:write")
_EDIT = ("jobs:write", "executions:create", "events:write", "payloads:read", "webhooks:read")
_ADMIN = ("webhooks:write", "limits:write", "calendars:write", "audit:read", "keys:admin", "platforms:admin")

SCOPES = (*_READ, *_OPERATE, *_EDIT, *_ADMIN)


class Role(StrEnum):
    """Bundles of scopes, each holding those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"


ROLES: Mapping[Role, frozenset[str]] = {
    Role.VIEWER: frozenset(_READ),
    Role.OPERATOR: frozenset((*_READ, *_OPERATE)),
    Role.EDITOR: frozenset((*_READ, *_OPERATE, *_EDIT)),
    Role.ADMIN: frozenset(SCOPES),
}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored: never its secret, only a salted hash of it.

    ``platform_id`` None: every platform. ``scopes`` narrow the role, empty ones leave it whole. After a rotation the
    former secret (``old_digest``) holds until ``old_until``.
    """

    id: str
    platform_id: str | None
    name: str
    role: Role
    digest: str
    created_at: datetime
    created_by: str
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    old_digest: str | None = None
    old_until: datetime | None = None

    @property
    def allowed(self) -> frozenset[str]:
        """The scopes it carries."""
        allowed = ROLES[self.role]
        return allowed & frozenset(self.scopes) if self.scopes else allowed

    def opens(self, secret: str, now: datetime) -> bool:
        """Tell whether ``secret`` is this key's, and the key holds at ``now``. Takes the same time for any secret."""
        digest = digest_of(self.id, secret)
        right = hmac.compare_digest(digest, self.digest)
        old = hmac.compare_digest(digest, self.old_digest or "") and self.old_until is not None and now < self.old_until
        held = self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
        return (right or old) and held


def digest_of(key_id: str, secret: str) -> str:
    """Return the hash under which a secret is stored, salted with the key's id.

    The secret has 256 random bits, so a fast hash is as good as a slow one: there is nothing to guess.
    """
    salt = hashlib.blake2b(key_id.encode(), digest_size=16).digest()
    return hashlib.blake2b(secret.encode(), salt=salt, person=b"mainspring.key", digest_size=32).hexdigest()


def key_text(key_id: str, secret: str) -> str:
    """Return the text a person is given once: prefix, the key's public id, the secret.

    >>> key_text("019ca8a0-3e80-7d8e-91b7-584a2265b1f5", "s")
    'msk_019ca8a03e807d8e91b7584a2265b1f5_s'
    """
    return f"{PREFIX}_{key_id.replace('-', '')}_{secret}"


def read_key(text: str) -> tuple[str, str] | None:
    """Return (key id, secret) of a key's text; None for what is none.

    >>> read_key("msk_019ca8a03e807d8e91b7584a2265b1f5_s")
    ('019ca8a0-3e80-7d8e-91b7-584a2265b1f5', 's')
    """
    parts = text.split("_", 2)
    if len(text) > 256 or len(parts) != 3 or parts[0] != PREFIX or not text.isascii():
        return None
    digits, secret = parts[1], parts[2]
    if len(digits) != 32 or not secret or any(sign not in "0123456789abcdef" for sign in digits):
        return None
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}", secret
