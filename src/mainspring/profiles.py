"""Profiles: servers and databases under names, in a file of the user's own; and which of them is meant.

Told first to last, the first that says something counts: an argument, ``MAINSPRING_SERVER`` or ``MAINSPRING_PROFILE``,
a ``database_url`` of the environment or of ``mainspring.toml`` here, the profile in use, the default database.
A key belongs to its server: a profile's is never sent to another.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mainspring.errors import NotFoundError, SettingsError
from mainspring.model.wire import NAME
from mainspring.settings import PREFIX, environment, load_settings

_FIELDS = ("server", "db", "platform", "key")


@dataclass(frozen=True, slots=True)
class Profile:
    """A place to ask: a server's URL or a database's, the platform there, and the key for a server."""

    name: str
    server: str | None = None
    db: str | None = None
    platform: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles of a user, and the name of the one in use."""

    by_name: Mapping[str, Profile]
    current: str | None = None

    def named(self, name: str) -> Profile:
        """Return a profile; `NotFoundError` if there is none of that name."""
        if name not in self.by_name:
            raise NotFoundError("profile", name)
        return self.by_name[name]


@dataclass(frozen=True, slots=True)
class Place:
    """Where to ask. Exactly one of ``server`` and ``db`` is set; ``origin`` says what decided."""

    origin: str
    server: str | None = None
    db: str | None = None
    platform: str | None = None
    key: str | None = None


def profiles_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return where profiles are kept: ``$XDG_CONFIG_HOME/mainspring/profiles.toml``, in ``~/.config`` by default.

    >>> profiles_path({"XDG_CONFIG_HOME": "/home/me/.config"}).as_posix()
    '/home/me/.config/mainspring/profiles.toml'
    """
    environ = environment() if environ is None else environ
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "mainspring" / "profiles.toml"


def read_profiles(environ: Mapping[str, str] | None = None) -> Profiles:
    """Read the profiles; none where there is no file. Raises `SettingsError` for a file that cannot be used."""
    path = profiles_path(environ)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Profiles({})
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error
    rows = found.get("profiles", {})
    by_name = {name: _profile(name, row, path) for name, row in rows.items()}
    if any(profile.key for profile in by_name.values()) and not _private(path):
        raise SettingsError(f"{path}: others can read it, and it holds keys. Run: chmod 600 {path}")
    return Profiles(by_name, found.get("current"))


def write_profiles(profiles: Profiles, environ: Mapping[str, str] | None = None) -> Path:
    """Write the profiles whole, readable by their user alone; return where."""
    path = profiles_path(environ)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [f"current = {json.dumps(profiles.current)}"] if profiles.current else []
    for name, profile in sorted(profiles.by_name.items()):
        lines += ["", f"[profiles.{json.dumps(name)}]"]
        lines += [f"{field} = {_toml(value)}" for field in _FIELDS if (value := getattr(profile, field)) is not None]
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix="profiles.")  # mode 0600 from the start
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines).lstrip() + "\n")
    Path(temporary).replace(path)
    return path


def with_profile(profiles: Profiles, profile: Profile) -> Profiles:
    """Return the profiles with one more, or with one of that name replaced."""
    if not NAME.fullmatch(profile.name):
        raise SettingsError(f"{profile.name[:60]!r} is not a name: use letters, digits and . _ - , at most 128")
    if (profile.server is None) == (profile.db is None):
        raise SettingsError("a profile is of a server or of a database: give one of them")
    if profile.server is not None:
        server_url(profile.server)
    return replace(profiles, by_name={**profiles.by_name, profile.name: profile})


def without_profile(profiles: Profiles, name: str) -> Profiles:
    """Return the profiles without one; `NotFoundError` if there is none of that name."""
    profiles.named(name)
    rest = {other: profile for other, profile in profiles.by_name.items() if other != name}
    return Profiles(rest, None if profiles.current == name else profiles.current)


def place_of(
    *,
    server: str | None = None,
    db: str | None = None,
    profile: str | None = None,
    platform: str | None = None,
    key: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Place:
    """Return where to ask, by what was given, the environment, and the files.

    Raises:
        SettingsError: For a server and a database at once, or a URL that is none.
        NotFoundError: For a profile there is none of.
    """
    environ = environment() if environ is None else environ
    if server is not None and db is not None:
        raise SettingsError("give a server or a database, not both")
    found = _chosen(server, db, profile, environ)
    platform = platform or environ.get(f"{PREFIX}PLATFORM") or found.platform
    if found.server is None:
        return replace(found, platform=platform, key=None)
    key = key or environ.get(f"{PREFIX}API_KEY") or found.key
    return replace(found, server=server_url(found.server), platform=platform, key=key)


def _chosen(server: str | None, db: str | None, profile: str | None, environ: Mapping[str, str]) -> Place:
    if server is not None:
        return Place("argument", server=server)
    if db is not None:
        return Place("argument", db=db)
    if profile is None and (found := environ.get(f"{PREFIX}SERVER")):
        return Place(f"{PREFIX}SERVER", server=found)
    if profile is None and (named := environ.get(f"{PREFIX}PROFILE")):
        return _of_profile(read_profiles(environ).named(named), f"{PREFIX}PROFILE")
    if profile is not None:
        return _of_profile(read_profiles(environ).named(profile), "argument")
    settings = load_settings(environ=environ)
    origin = settings.origin["database_url"]
    if origin == "default":
        profiles = read_profiles(environ)
        if profiles.current is not None:
            return _of_profile(profiles.named(profiles.current), "the profile in use")
    named_platform = settings.platform if settings.origin["platform"] != "default" else None
    return Place(origin, db=settings.database_url, platform=named_platform)


def _of_profile(profile: Profile, origin: str) -> Place:
    told = f"profile {profile.name!r} ({origin})"
    return Place(told, profile.server, profile.db, profile.platform, profile.key)


def server_url(text: str) -> str:
    """Return a server's URL, checked, without a slash at its end. Raises `SettingsError`.

    >>> server_url("https://jobs.example.com/")
    'https://jobs.example.com'
    """
    scheme, _, rest = text.partition("://")
    if scheme not in ("http", "https") or not rest or any(sign.isspace() for sign in text):
        raise SettingsError(f"{text[:80]!r} is not the URL of a server: write http://127.0.0.1:8700")
    if "@" in rest.partition("/")[0]:
        raise SettingsError("a server's URL holds no password: give the key as MAINSPRING_API_KEY or --key")
    return text.rstrip("/")


def _profile(name: str, row: Any, path: Path) -> Profile:
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        raise SettingsError(f"{path}: profile {name!r} must hold texts")
    unknown = sorted(row.keys() - set(_FIELDS))
    if unknown:
        raise SettingsError(f"{path}: profile {name!r} has {unknown[0]!r}, which is none of: {', '.join(_FIELDS)}")
    return Profile(name, **row)


def _private(path: Path) -> bool:
    return os.name == "nt" or not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _toml(text: str) -> str:
    return json.dumps(text)  # a JSON string is a TOML string
