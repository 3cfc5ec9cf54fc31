"""Settings: arguments over ``MAINSPRING_*`` over ``mainspring.toml`` over defaults.

The only module that reads the environment or a settings file.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.errors import SettingsError, ValidationError
from mainspring.model.nearest import nearest
from mainspring.model.wire import NAME

if TYPE_CHECKING:
    from mainspring.control.health import HealthLimits
    from mainspring.engine.dispatcher import DispatcherSettings
    from mainspring.engine.worker_settings import WorkerSettings

FILE = "mainspring.toml"
PREFIX = "MAINSPRING_"
#: What variables begin with that hold secrets of handlers. No setting does: none can be asked for by that way.
_HELD = "MAINSPRING_SECRET__"
#: Variables that are no settings: where the settings file is, and what clients go by.
_READ_ELSEWHERE = tuple(f"{PREFIX}{name}" for name in ("CONFIG", "SERVER", "API_KEY", "PROFILE"))
_COUNT = re.compile(r"[0-9]{1,6}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
#: The largest number a setting may be, by how its name ends: a year and a day in milliseconds, a century in days.
_MOST = {"ms": 366 * 86_400_000, "days": 36_525}
_MOST_OF = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, under its name in ``mainspring.toml``; in the environment it is upper case after ``MAINSPRING_``.

    Durations are integer milliseconds. ``queues`` is ``name:slots,name:slots``. ``origin`` says where each came from.
    """

    database_url: str = "sqlite:///mainspring.db"
    platform: str = "default"
    timezone: str | None = None
    queues: str = "default:20"
    lease_ms: int = 15_000
    heartbeat_ms: int = 5_000
    poll_ms: int = 1_000
    reap_ms: int = 2_000
    grace_ms: int = 10_000
    drain_grace_ms: int = 30_000
    stop_grace_ms: int = 5_000
    batch_size: int = 500
    max_poisoned: int = 10
    log_lines: int = 10_000
    keep_executions_days: int = 30
    keep_events_days: int = 7
    keep_decisions_days: int = 400
    partition_days: int = 7
    sqlite_synchronous: str = "full"
    postgres_pool: int = 10
    postgres_pooled: bool = False
    redis_url: str | None = None
    transport: str | None = None
    reconcile_ms: int = 5_000
    record_transitions: bool = False
    started_events: bool = False
    webhook_allow: str = ""
    webhook_timeout_ms: int = 15_000
    secret_keys: str = field(default="", repr=False)
    log_format: str = "view"
    tracing: bool = False
    health_warn_ms: int = 10_000
    health_fail_ms: int = 60_000
    metrics_listen: str | None = None
    secrets_dir: str | None = None
    events_in: str | None = None
    events_in_group: str = "mainspring"
    origin: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def on_sqlite(self) -> bool:
        """Whether the record is a SQLite file."""
        return self.database_url.startswith("sqlite")

    @property
    def chosen_transport(self) -> str:
        """What carries queued executions to workers: ``database``, or ``redis``: by default where there is a URL."""
        if self.transport is not None:
            return self.transport
        return "redis" if self.redis_url is not None and not self.on_sqlite else "database"

    def health(self) -> HealthLimits:
        """Return the lags beyond which health is `warn` and `fail`."""
        from mainspring.control.health import HealthLimits

        return HealthLimits(_ms(self.health_warn_ms), _ms(self.health_fail_ms))

    def metrics_address(self) -> tuple[str, int] | None:
        """Return where workers and dispatchers serve their metrics; None: nowhere."""
        return None if self.metrics_listen is None else parse_address(self.metrics_listen)

    def worker(self) -> WorkerSettings:
        """Return what a worker needs of these."""
        from mainspring.engine.worker_settings import WorkerSettings  # reading settings loads no engine

        return WorkerSettings(
            queues=parse_queues(self.queues),
            lease=_ms(self.lease_ms),
            heartbeat=_ms(self.heartbeat_ms),
            poll=_ms(self.poll_ms),
            drain_grace=_ms(self.drain_grace_ms),
            stop_grace=_ms(self.stop_grace_ms),
            log_lines=self.log_lines,
            max_poisoned=self.max_poisoned,
            started_events=self.started_events,
        )

    def dispatcher(self) -> DispatcherSettings:
        """Return what a dispatcher needs of these."""
        from mainspring.engine.deliver import DeliverySettings
        from mainspring.engine.dispatcher import DispatcherSettings
        from mainspring.moves.retain import Retention

        return DispatcherSettings(
            interval_ms=self.poll_ms,
            batch_size=self.batch_size,
            reap=_ms(self.reap_ms),
            grace=_ms(self.grace_ms),
            lease=_ms(self.lease_ms),
            reconcile=_ms(self.reconcile_ms),
            retention=Retention(
                executions=timedelta(days=self.keep_executions_days),
                events=timedelta(days=self.keep_events_days),
                decisions=timedelta(days=self.keep_decisions_days),
            ),
            partition_days=self.partition_days,
            deliveries=DeliverySettings(timeout=_ms(self.webhook_timeout_ms)),
        )


def load_settings(*, environ: Mapping[str, str] | None = None, file: Path | None = None, **given: Any) -> Settings:
    """Read the settings; what is given as None counts as not given. Raises `SettingsError`, naming the source.

    Args:
        environ: The environment; the process's own by default.
        file: The settings file; by default ``MAINSPRING_CONFIG``, else ``mainspring.toml`` here, if there is one.
        given: Settings by name, over everything else.
    """
    environ = os.environ if environ is None else environ
    fields = {f.name: f for f in dataclasses.fields(Settings) if f.name != "origin"}
    values: dict[str, Any] = {}
    origin = dict.fromkeys(fields, "default")
    for name, value, source in [*_from_file(environ, file), *_from_environ(environ, fields), *_from_arguments(given)]:
        if name not in fields:
            near = nearest(name, fields)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"{source}: unknown setting {name!r}.{hint}")
        values[name] = _typed(name, value, fields[name].default, source)
        origin[name] = source
    settings = Settings(**values, origin=origin)
    _check_names(settings)
    _check_transport(settings)
    if settings.health_warn_ms > settings.health_fail_ms:
        raise SettingsError(
            f"health_warn_ms ({settings.health_warn_ms}, {origin['health_warn_ms']}) must not be over health_fail_ms "
            f"({settings.health_fail_ms}, {origin['health_fail_ms']})"
        )
    if not 1_000 <= settings.webhook_timeout_ms <= 300_000:
        raise SettingsError(
            f"webhook_timeout_ms ({settings.webhook_timeout_ms}, {origin['webhook_timeout_ms']}) must be from 1000 to "
            "300000: a try belongs to who makes it for so long"
        )
    if settings.heartbeat_ms * 2 >= settings.lease_ms:
        raise SettingsError(
            f"heartbeat_ms ({settings.heartbeat_ms}, {origin['heartbeat_ms']}) must be under half of lease_ms "
            f"({settings.lease_ms}, {origin['lease_ms']}): one lost heartbeat must not cost a lease"
        )
    return settings


def _check_names(settings: Settings) -> None:
    """Refuse names that no job could have, and a zone there is none of, naming the source."""
    _named("queues", settings, lambda: parse_queues(settings.queues))
    _named("metrics_listen", settings, settings.metrics_address)
    if not NAME.fullmatch(settings.platform):
        source, found = settings.origin.get("platform", "argument"), settings.platform[:60]
        raise SettingsError(f"{source}: platform must be letters, digits and . _ - , at most 128, got {found!r}")
    if settings.timezone is not None:
        from mainspring.schedule.zones import zone  # most settings name none, and reading them loads no zone data

        try:
            zone(settings.timezone)
        except ValidationError as error:
            raise SettingsError(f"{settings.origin.get('timezone', 'argument')}: {error}") from None
    if settings.log_format not in ("view", "console", "json"):
        source, found = settings.origin.get("log_format", "argument"), settings.log_format
        raise SettingsError(f"{source}: log_format must be view, console or json, got {found!r}")
    if settings.sqlite_synchronous not in ("full", "normal"):
        source, found = settings.origin.get("sqlite_synchronous", "argument"), settings.sqlite_synchronous
        raise SettingsError(f"{source}: sqlite_synchronous must be full or normal, got {found!r}")


def _named(name: str, settings: Settings, read: Callable[[], object]) -> None:
    """Read a setting's value for its errors alone, and let them name where it came from."""
    try:
        read()
    except SettingsError as error:
        raise SettingsError(f"{settings.origin.get(name, 'argument')}: {error}") from None


def _check_transport(settings: Settings) -> None:
    """Refuse a transport that cannot be, naming the source."""
    source, chosen = settings.origin.get("transport", "argument"), settings.transport
    if chosen not in (None, "database", "redis"):
        raise SettingsError(f"{source}: transport must be database or redis, got {chosen!r}")
    if chosen == "redis" and settings.redis_url is None:
        raise SettingsError(f"{source}: transport is redis and there is no redis_url. Set {PREFIX}REDIS_URL")
    if settings.events_in is not None and settings.redis_url is None:
        where = settings.origin.get("events_in", "argument")
        raise SettingsError(f"{where}: events_in names a Redis stream and there is no redis_url. Set {PREFIX}REDIS_URL")
    if chosen == "redis" and settings.on_sqlite:
        raise SettingsError(
            f"{source}: transport is redis and the database a SQLite file, whose one engine needs no transport. Leave "
            "transport out, or use a postgresql:// database_url"
        )


def environment() -> Mapping[str, str]:
    """Return the process's environment, for whoever has to find a file by it."""
    return os.environ


def secret_variable(name: str) -> str | None:
    """Return the secret of the environment that ``secret://env/NAME`` refers to, as it is now."""
    return os.environ.get(f"{_HELD}{name}")


def unread(environ: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Return variables that look like settings and are none, each with the one that was probably meant.

    >>> unread({"MAINSPRING_LEASE_MSS": "1", "HOME": "/root"})
    {'MAINSPRING_LEASE_MSS': 'MAINSPRING_LEASE_MS'}
    """
    environ = os.environ if environ is None else environ
    known = [f"{PREFIX}{f.name.upper()}" for f in dataclasses.fields(Settings) if f.name != "origin"]
    ours = [key for key in environ if key.startswith(PREFIX) and not key.startswith(_HELD)]
    others = [key for key in ours if key not in (*known, *_READ_ELSEWHERE)]
    return {key: next(iter(nearest(key, known)), None) for key in others}


def parse_queues(text: str) -> dict[str, int]:
    """Read queues with their slots.

    >>> parse_queues("default:20,reports:2")
    {'default': 20, 'reports': 2}
    """
    queues: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        queue, _, slots = part.partition(":")
        if not NAME.fullmatch(queue) or not _COUNT.fullmatch(slots or "20") or not 1 <= int(slots or 20) <= 100_000:
            raise SettingsError(f"queues: {part!r} is not NAME:SLOTS, such as default:20")
        if queue in queues:
            raise SettingsError(f"queues: {queue!r} is named twice. Write it once, with its slots")
        queues[queue] = int(slots or 20)
    if not queues:
        raise SettingsError("queues: name at least one queue, such as default:20")
    return queues


def parse_address(text: str) -> tuple[str, int]:
    """Read an address to listen on; a port alone is this machine's.

    >>> parse_address("9464"), parse_address("0.0.0.0:9464"), parse_address("[::1]:0")
    (('127.0.0.1', 9464), ('0.0.0.0', 9464), ('::1', 0))
    """
    host, _, port = text.strip().rpartition(":")
    if not _COUNT.fullmatch(port) or int(port) > 65_535:
        raise SettingsError(f"metrics_listen: {text!r} is no address. Write 9464, or 0.0.0.0:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


def _from_file(environ: Mapping[str, str], file: Path | None) -> list[tuple[str, Any, str]]:
    path = file or Path(environ.get(f"{PREFIX}CONFIG", FILE))
    if not path.exists():
        if file is not None or f"{PREFIX}CONFIG" in environ:
            raise SettingsError(f"{path}: no such file")
        return []
    import tomllib  # only here: many processes have no such file

    try:
        return [(name, value, str(path)) for name, value in tomllib.loads(path.read_text("utf-8")).items()]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error


def _from_environ(environ: Mapping[str, str], fields: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    names = {f"{PREFIX}{name.upper()}": name for name in fields}
    return [(names[key], value, key) for key, value in environ.items() if key in names]


def _from_arguments(given: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    return [(name, value, "argument") for name, value in given.items() if value is not None]


def _typed(name: str, value: Any, default: Any, source: str) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            return str(value).lower() in ("1", "true", "yes", "on")
        raise SettingsError(f"{source}: {name} must be true or false, got {value!r}")
    if isinstance(default, int):
        return _whole(name, value, source)
    if not isinstance(value, str):
        raise SettingsError(f"{source}: {name} must be text, got {value!r}")
    return value


def _whole(name: str, value: Any, source: str) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(f"{source}: {name} must be a whole number, got {value!r}")
    if value < 1:
        raise SettingsError(f"{source}: {name} must be at least 1, got {value}")
    most = _MOST.get(name.rpartition("_")[2], _MOST_OF)
    if value > most:
        raise SettingsError(f"{source}: {name} must be at most {most}, got {value}")
    return value


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=milliseconds)
