"""Connecting to Redis: the URL, timeouts, and what an error means.

Every command has a time limit and none is repeated behind our back: whoever sends it knows what a repeat would do.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from mainspring.errors import SettingsError

logger = logging.getLogger("mainspring")

#: What it looks like when the server is away, frozen, restarting, unreachable, or a replica by now, rather than
#: refusing one command.
AWAY = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, MasterDownError, OSError)
#: The oldest server whose commands we use (XAUTOCLAIM).
OLDEST = (6, 2)


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where Redis is, and how long it may take.

    ``url``: ``redis://user:password@host:6379/0``, ``rediss://…`` for TLS (the certificate and its name are checked;
    ``?ssl_ca_certs=/path`` names an authority of one's own), or ``unix:///path/to/socket``. ``timeout`` bounds every
    connect and every command that does not block.
    """

    url: str
    timeout: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            found = parts.scheme or "no scheme"
            raise SettingsError(f"redis_url: cannot use {found!r}. Write redis://host:6379/0, rediss://… or unix://…")
        if parts.scheme != "unix" and not parts.hostname:
            raise SettingsError("redis_url: names no host. Write redis://host:6379/0")


def connect(settings: RedisSettings, *, block: timedelta | None = None) -> Redis:
    """Return a client, not yet connected; replies are bytes. With ``block`` its reads may wait that much longer.

    Raises `SettingsError` for a URL whose options make no sense.
    """
    wait = settings.timeout + (block or timedelta())
    if "none" in parse_qs(urlsplit(settings.url).query).get("ssl_cert_reqs", []):
        logger.warning("redis_url switches the check of the server's certificate off: anybody may answer for it")
    try:
        client: Redis = Redis.from_url(
            settings.url,
            protocol=2,
            socket_timeout=wait.total_seconds(),
            socket_connect_timeout=settings.timeout.total_seconds(),
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            client_name="mainspring",
        )
    except (ValueError, TypeError, RedisError) as error:
        raise SettingsError(f"redis_url: {error}") from error
    return client


async def server_warnings(client: Redis) -> list[str]:
    """Return what is wrong with a server for our use, in sentences; raises what the driver raises.

    A server that hides its memory settings (an ACL may) is not warned about.
    """
    found = []
    server = await client.info("server")
    version = str(server.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        found.append(f"Redis {version} is too old: streams need 6.2 or newer")
    memory = await client.info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"Redis may evict our streams (maxmemory-policy is {policy}): nothing would be lost, but work would start "
            "late. Set maxmemory-policy noeviction"
        )
    return found
