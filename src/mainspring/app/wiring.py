"""Which adapter stands behind which port: the only module that knows drivers, and it imports them when asked to."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from mainspring.adapters.memory.bus import InProcessBus
from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.adapters.system import SystemClock, system_random
from mainspring.errors import SettingsError
from mainspring.ports.bus import Bus
from mainspring.ports.clock import Clock, Wakeups
from mainspring.ports.http import HttpClient
from mainspring.ports.inbound import Inbound
from mainspring.ports.sealing import Sealer, Unsealed
from mainspring.ports.store import Store
from mainspring.ports.tracing import Tracing
from mainspring.ports.transport import Announcer, DatabaseTransport, Transport
from mainspring.ports.webhooks import WebhookSender
from mainspring.settings import Settings

if TYPE_CHECKING:
    from mainspring.adapters.http import HttpLimits


@dataclass(frozen=True)
class Roles:
    """What a process does. Any mix is allowed."""

    dispatcher: bool = True
    worker: bool = True

    def __str__(self) -> str:
        return "+".join(name for name in ("dispatcher", "worker") if getattr(self, name)) or "client"


@dataclass
class SystemParts:
    """What an application takes from its surroundings; tests and simulations put their own here."""

    clock: Clock = field(default_factory=SystemClock)
    random: random.Random = field(default_factory=system_random)
    wakeups: Wakeups = field(default_factory=InProcessWakeups)
    bus: Bus | None = None
    store: Store | None = None
    transport: Transport | None = None
    tracing: Tracing | None = None


def open_transport(settings: Settings, parts: SystemParts) -> Transport:
    """Return what carries queued executions to workers, not yet opened. Raises `SettingsError`."""
    if parts.transport is not None:
        return parts.transport
    if settings.chosen_transport == "database":
        return DatabaseTransport()
    _need_redis()
    from mainspring.adapters.redis.connection import RedisSettings
    from mainspring.adapters.redis.transport import RedisTransport

    assert settings.redis_url is not None, "the settings were checked"
    return RedisTransport(RedisSettings(settings.redis_url), wakeups=parts.wakeups, random=parts.random)


def open_bus(settings: Settings, parts: SystemParts) -> Bus:
    """Return where events go: a Redis stream where there is a ``redis_url``, else the subscribers of this process."""
    if parts.bus is not None:
        return parts.bus
    if settings.redis_url is None:
        return InProcessBus()
    _need_redis()
    from mainspring.adapters.redis.bus import RedisBus
    from mainspring.adapters.redis.connection import RedisSettings

    return RedisBus(RedisSettings(settings.redis_url), random=parts.random)


def open_tracing(settings: Settings, parts: SystemParts) -> Tracing | None:
    """Return what makes spans; None, and nothing is loaded, where ``tracing`` is off. Raises `SettingsError`."""
    if parts.tracing is not None or not settings.tracing:
        return parts.tracing
    try:
        from mainspring.adapters.otel import tracing
    except ImportError as error:
        raise SettingsError("tracing needs its packages: pip install 'mainspring[otel]'") from error
    return tracing()


def open_inbound(settings: Settings, consumer: str) -> Inbound | None:
    """Return the stream events come in by; None where no setting names one."""
    if settings.events_in is None or settings.redis_url is None:
        return None
    _need_redis()
    from mainspring.adapters.redis.connection import RedisSettings
    from mainspring.adapters.redis.inbound import InboundSettings, RedisInbound

    where = InboundSettings(settings.events_in, settings.events_in_group)
    return RedisInbound(RedisSettings(settings.redis_url), where, consumer=consumer)


def _need_redis() -> None:
    try:
        import redis  # noqa: F401 - asked for here, so that its absence is told in our words
    except ImportError as error:
        raise SettingsError("Redis needs its driver: pip install 'mainspring[redis]'") from error


def webhook_sender(settings: Settings, parts: SystemParts) -> WebhookSender:
    """Return what posts to webhooks, through the client that guards where calls lead. Raises `SettingsError`."""
    from mainspring.adapters.notify_webhook.sender import SignedSender

    allowed = [target.strip() for target in settings.webhook_allow.split(",") if target.strip()]

    @cache  # made at the first post: it loads the client and reads the certificate authorities
    def http() -> HttpClient:
        from mainspring.adapters.http import AddressPolicy, OutboundHttp

        return OutboundHttp(AddressPolicy.allowing(allowed), limits=webhook_limits(settings))

    if allowed:
        _check_allowed(settings, allowed)
    return SignedSender(http, parts.clock, open_sealer(settings))


def webhook_limits(settings: Settings) -> HttpLimits:
    """Return what one post may take: ``webhook_timeout_ms``, all of which a receiver may spend in silence."""
    from mainspring.adapters.http import HttpLimits

    seconds = settings.webhook_timeout_ms / 1000
    return HttpLimits(silence=seconds, total=seconds)


def open_sealer(settings: Settings) -> Sealer:
    """Return what seals secrets for the record: nothing, where no keys are set. Raises `SettingsError`."""
    if not settings.secret_keys:
        return Unsealed()
    source = settings.origin.get("secret_keys", "argument")
    try:
        from mainspring.adapters.sealing import AesSealer, read_keys
    except ImportError as error:
        raise SettingsError(f"secret_keys ({source}) needs pip install 'mainspring[encryption]'") from error
    try:
        keys = read_keys(settings.secret_keys)
    except ValueError as error:
        raise SettingsError(f"secret_keys ({source}): {error}") from error
    return AesSealer(keys) if keys else Unsealed()


def _check_allowed(settings: Settings, allowed: list[str]) -> None:
    from mainspring.adapters.http.addresses import AddressPolicy

    try:
        AddressPolicy.allowing(allowed)
    except ValueError as error:
        source = settings.origin.get("webhook_allow", "argument")
        raise SettingsError(f"webhook_allow ({source}): {error}. Write 10.20.0.0/16:8443,...") from error


def open_store(settings: Settings, parts: SystemParts, announcer: Announcer | None = None) -> Store:
    """Return the store a database URL names, not yet connected. Raises `SettingsError`."""
    if parts.store is not None:
        return parts.store
    kind = settings.database_url.split(":")[0].split("+")[0]
    if kind in ("postgresql", "postgres"):
        return _postgres(settings, parts, announcer)
    if kind != "sqlite":
        source = settings.origin.get("database_url", "argument")
        fix = "Write sqlite:///jobs.db or postgresql://user@host/database"
        raise SettingsError(f"database_url ({source}): cannot use {kind!r} databases. {fix}")
    from mainspring.adapters.sql.store import SqlStore

    return SqlStore(
        settings.database_url,
        clock=parts.clock,
        random=parts.random,
        wakeups=parts.wakeups,
        announcer=announcer,
        synchronous=settings.sqlite_synchronous,
        record_transitions=settings.record_transitions,
    )


def _postgres(settings: Settings, parts: SystemParts, announcer: Announcer | None) -> Store:
    try:
        import psycopg  # noqa: F401 - asked for here, so that its absence is told in our words
    except ImportError as error:
        raise SettingsError("PostgreSQL needs its driver: pip install 'mainspring[postgres]'") from error
    from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore

    return PostgresStore(
        settings.database_url,
        random=parts.random,
        settings=PostgresSettings(pool_size=settings.postgres_pool, pooled=settings.postgres_pooled),
        wakeups=parts.wakeups,
        announcer=announcer,
        record_transitions=settings.record_transitions,
    )
