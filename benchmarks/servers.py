"""The servers of a run: PostgreSQL 18 and Valkey from the test wheels, on this machine, durable as a user's are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from tests.servers import Server, new_database, postgres, valkey

#: What anyone gives PostgreSQL on a machine of this size; everything else is its default, fsync and all.
POSTGRES_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
AOF = ("appendonly yes", "appendfsync everysec")


class Servers:
    """Starts each server when it is first needed; all of them stop with the block."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._running: dict[str, Server] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def get(self, kind: str) -> Server:
        """Return a running server: ``postgres``, ``redis`` or ``redis-aof``."""
        if kind not in self._running:
            if kind == "postgres":
                self._running[kind] = self._stack.enter_context(_postgres())
            else:
                options = AOF if kind == "redis-aof" else ()
                self._running[kind] = self._stack.enter_context(valkey(*options))
        return self._running[kind]

    @contextlib.contextmanager
    def empty(self, kinds: tuple[str, ...]) -> Iterator[dict[str, str]]:
        """Give the addresses of an empty database and an emptied Redis, by ``postgres`` and ``redis``."""
        with contextlib.ExitStack() as stack:
            urls = {}
            for kind in kinds:
                server = self.get(kind)
                if kind == "postgres":
                    urls["postgres"] = stack.enter_context(new_database(server.url))
                else:
                    _flush(server)
                    urls["redis"] = server.url
            yield urls

    def pids(self, kinds: tuple[str, ...]) -> list[int]:
        """Return the process ids of these servers; PostgreSQL's has children."""
        return [self.get(kind).pid for kind in kinds]

    def checkpoint(self, kinds: tuple[str, ...]) -> None:
        """Have PostgreSQL write out what came before, so that a drain does not pay for the fill."""
        if "postgres" in kinds:
            with psycopg.connect(self.get("postgres").url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")

    def vacuum(self, urls: dict[str, str]) -> None:
        """Vacuum and analyse a database that was filled in one go."""
        if "postgres" in urls:
            with psycopg.connect(urls["postgres"], autocommit=True) as connection:
                connection.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def _postgres() -> Iterator[Server]:
    with postgres(18, durable=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for name, value in POSTGRES_SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        server.stop()
        server.start()
        yield server


def _flush(server: Server) -> None:
    import redis

    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.flushall()
