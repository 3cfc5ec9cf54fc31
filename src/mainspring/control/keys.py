"""API keys: made, listed, revoked and rotated; and told apart when one is shown."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mainspring.control.platforms import make_platform
from mainspring.control.service import PlatformService, Told
from mainspring.errors import ConflictError, ForbiddenError, NotFoundError, UnauthorizedError, ValidationError
from mainspring.model.access import ROLES, SCOPES, ApiKey, Role, digest_of, key_text, read_key
from mainspring.model.wire import instant, refuse_unknown
from mainspring.ports.store import Store, Tx

#: Longest time both secrets hold after a rotation.
OVERLAP_MOST = timedelta(days=30)
#: How exactly the last use is recorded: a write per request would cost more than it tells.
USE_STEP = timedelta(minutes=1)

Secrets = Callable[[], str]


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key with its text, which nobody can be told a second time."""

    key: ApiKey
    text: str


class KeyService(PlatformService):
    """The keys of one platform, and for keepers of every platform (``everywhere``) those that open all of them.

    ``granted`` are the scopes of whoever asks: no key made here has more.
    """

    everywhere: bool = False
    granted: frozenset[str] = frozenset(SCOPES)

    async def create(
        self,
        *,
        role: str,
        name: str = "",
        scopes: Sequence[str] = (),
        expires_at: datetime | None = None,
        all_platforms: bool = False,
        secret: Secrets = new_secret,
    ) -> MadeKey:
        """Make a key of a role, narrowed to ``scopes`` where they are given; the platform is made if it is new."""
        found = _role(role)
        refuse_unknown(scopes, SCOPES, "scopes.")
        missing = sorted(set(scopes) - ROLES[found])
        if missing:
            raise ValidationError(f"{missing[0]!r} is not among the scopes of a {role}", field="scopes")
        beyond = sorted((frozenset(scopes) or ROLES[found]) - self.granted)
        if beyond:
            raise ForbiddenError(beyond[0], why="a key cannot make one that may do more")
        if all_platforms and not self.everywhere:
            raise ForbiddenError("platforms:admin", why="only a key of every platform makes another")
        if len(name) > 200:
            raise ValidationError("must be text of at most 200 characters", field="name")

        def work(tx: Tx) -> MadeKey:
            if expires_at is not None and expires_at <= tx.now:
                raise ValidationError(f"must be in the future, got {expires_at.isoformat()}", field="expires_at")
            make_platform(tx, self.platform_id)
            key_id, text = tx.new_id(), secret()
            key = ApiKey(
                key_id,
                None if all_platforms else self.platform_id,
                name,
                found,
                digest_of(key_id, text),
                tx.now,
                self._actor,
                scopes=tuple(scopes),
                expires_at=expires_at,
            )
            tx.admin.put_key(key)
            return MadeKey(key, key_text(key_id, text))

        return await self._change("key.create", name or role, work, after=_told)

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key at once; again changes nothing."""

        def work(tx: Tx) -> ApiKey:
            key = self._existing(tx, key_id)
            if key.revoked_at is not None:
                return key
            revoked = replace(key, revoked_at=tx.now)
            tx.admin.put_key(revoked)
            return revoked

        return await self._change("key.revoke", key_id, work)

    async def rotate(
        self, key_id: str, *, overlap: timedelta = timedelta(hours=24), secret: Secrets = new_secret
    ) -> MadeKey:
        """Give a key a new secret; the old one holds for ``overlap`` (0 to 30 days)."""
        if not timedelta(0) <= overlap <= OVERLAP_MOST:
            raise ValidationError("must be 0 to 30 days", field="overlap_ms")

        def work(tx: Tx) -> MadeKey:
            key, text = self._existing(tx, key_id), secret()
            if key.revoked_at is not None:
                raise ConflictError(f"key {key_id} is revoked")
            rotated = replace(key, digest=digest_of(key.id, text), old_digest=key.digest, old_until=tx.now + overlap)
            tx.admin.put_key(rotated)
            return MadeKey(rotated, key_text(key.id, text))

        return await self._change("key.rotate", key_id, work)

    async def get(self, key_id: str) -> ApiKey:
        """Return one key."""
        return await self._store.read(lambda tx: self._existing(tx, key_id))

    def _existing(self, tx: Tx, key_id: str) -> ApiKey:
        key = tx.admin.key(key_id)
        mine = (self.platform_id, None) if self.everywhere else (self.platform_id,)
        if key is None or key.platform_id not in mine:
            raise NotFoundError("key", key_id)
        return key


async def identify(store: Store, text: str) -> tuple[ApiKey, datetime]:
    """Return the key whose text was shown, and the store's now. Raises `UnauthorizedError`, always with one message."""
    return _opened(text, await store.read(_named(text)))


def identify_blocking(store: Store, text: str) -> tuple[ApiKey, datetime]:
    """Do `identify` from a thread that has no event loop."""
    return _opened(text, store.read_blocking(_named(text)))


def _named(text: str) -> Callable[[Tx], tuple[ApiKey | None, datetime]]:
    read = read_key(text)
    return lambda tx: (tx.admin.key(read[0]) if read else None, tx.now)


def _opened(text: str, found: tuple[ApiKey | None, datetime]) -> tuple[ApiKey, datetime]:
    read, (key, now) = read_key(text), found
    # An unknown key costs a hash as well, so that nobody can tell it from a wrong secret by the time it takes.
    probe = key or _NOBODY
    if not probe.opens(read[1] if read else "", now) or key is None:
        raise UnauthorizedError("the key is unknown, revoked or expired")
    return key, now


async def used(store: Store, key: ApiKey, now: datetime) -> None:
    """Record that a key was used, at most once a minute."""

    def work(tx: Tx) -> None:
        stored = tx.admin.key(key.id)
        if stored is not None and (stored.last_used_at is None or stored.last_used_at < now):
            tx.admin.put_key(replace(stored, last_used_at=now))

    if key.last_used_at is None or now - key.last_used_at >= USE_STEP:
        await store.write(work)


_NOBODY = ApiKey("-", None, "", Role.VIEWER, "-" * 64, datetime(1970, 1, 1, tzinfo=UTC), "")


def key_to_wire(key: ApiKey) -> dict[str, object]:
    """Return a key as shown: never its secret or the hash of it."""
    return {
        "id": key.id,
        "platform_id": key.platform_id or "*",
        "name": key.name,
        "role": key.role.value,
        "scopes": sorted(key.allowed),
        "created_at": instant(key.created_at),
        "created_by": key.created_by,
        "expires_at": instant(key.expires_at),
        "revoked_at": instant(key.revoked_at),
        "last_used_at": instant(key.last_used_at),
        "rotated_until": instant(key.old_until),
    }


def _told(made: MadeKey) -> Told:
    return {"id": made.key.id, "role": made.key.role.value, "scopes": list(made.key.scopes)}


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise ValidationError(f"{role[:40]!r} is not one of: {', '.join(Role)}", field="role") from None
