"""Profiles: a file of the user's own, and what counts over what."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from mainspring.errors import NotFoundError, SettingsError
from mainspring.profiles import (
    Profile,
    Profiles,
    place_of,
    profiles_path,
    read_profiles,
    with_profile,
    without_profile,
    write_profiles,
)

PROD = Profile("prod", server="https://jobs.example.com", platform="acme", key="msk_prod")
LOCAL = Profile("local", db="sqlite:///jobs.db")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with a folder of its own, in use by nobody; the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    write_profiles(Profiles({"prod": PROD, "local": LOCAL}, current="prod"), environ)
    return environ


def test_what_is_written_is_read_again(home: Mapping[str, str]) -> None:
    assert read_profiles(home) == Profiles({"prod": PROD, "local": LOCAL}, "prod")
    odd = Profile("odd", server='https://h/a"b', platform="p")
    write_profiles(with_profile(read_profiles(home), odd), home)
    assert read_profiles(home).named("odd") == odd


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_profiles({"XDG_CONFIG_HOME": str(tmp_path)}) == Profiles({})


def test_the_file_is_its_users_alone_and_one_others_can_read_is_refused(home: Mapping[str, str]) -> None:
    path = profiles_path(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_profiles(home)


@pytest.mark.parametrize(
    ("given", "environ", "server", "db", "platform", "key"),
    [
        ({"server": "http://a"}, {}, "http://a", None, None, None),
        ({"server": "http://a", "key": "k"}, {"MAINSPRING_API_KEY": "e"}, "http://a", None, None, "k"),
        ({"server": "http://a"}, {"MAINSPRING_API_KEY": "e"}, "http://a", None, None, "e"),
        ({"db": "jobs.db"}, {"MAINSPRING_SERVER": "http://e"}, None, "jobs.db", None, None),
        ({}, {"MAINSPRING_SERVER": "http://e", "MAINSPRING_PROFILE": "local"}, "http://e", None, None, None),
        ({"profile": "local"}, {"MAINSPRING_SERVER": "http://e"}, None, "sqlite:///jobs.db", None, None),
        ({}, {"MAINSPRING_PROFILE": "local"}, None, "sqlite:///jobs.db", None, None),
        ({}, {"MAINSPRING_DATABASE_URL": "sqlite:///e.db"}, None, "sqlite:///e.db", None, None),
        ({}, {}, "https://jobs.example.com", None, "acme", "msk_prod"),
        ({"platform": "mine"}, {}, "https://jobs.example.com", None, "mine", "msk_prod"),
        ({}, {"MAINSPRING_PLATFORM": "e"}, "https://jobs.example.com", None, "e", "msk_prod"),
    ],
)
def test_what_is_nearer_counts_over_what_is_farther(
    home: dict[str, str],
    given: dict[str, str],
    environ: dict[str, str],
    server: str | None,
    db: str | None,
    platform: str | None,
    key: str | None,
) -> None:
    place = place_of(**given, environ=home | environ)
    assert (place.server, place.db, place.platform, place.key) == (server, db, platform, key)


def test_a_profiles_key_goes_to_no_other_server(home: Mapping[str, str]) -> None:
    assert place_of(server="http://other", environ=home).key is None


def test_the_project_counts_over_the_profile_in_use(home: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "mainspring.toml").write_text('database_url = "sqlite:///project.db"\nplatform = "acme"\n')
    place = place_of(environ=home)
    assert (place.db, place.platform) == ("sqlite:///project.db", "acme")


def test_nothing_said_is_the_default_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of(environ={"XDG_CONFIG_HOME": str(tmp_path)}).db == "sqlite:///mainspring.db"


def test_what_cannot_be_meant_is_refused(home: Mapping[str, str]) -> None:
    with pytest.raises(SettingsError, match="not both"):
        place_of(server="http://a", db="b", environ=home)
    with pytest.raises(NotFoundError, match="profile 'prd'"):
        place_of(profile="prd", environ=home)
    for url in ("jobs.example.com", "ftp://a", "http://", "http://a b"):
        with pytest.raises(SettingsError, match="not the URL of a server"):
            place_of(server=url, environ=home)
    with pytest.raises(SettingsError, match="holds no password"):
        place_of(server="https://me:pw@host", environ=home)
    with pytest.raises(SettingsError, match="server or of a database"):
        with_profile(Profiles({}), Profile("both", server="http://a", db="b"))


def test_a_profile_that_goes_is_no_longer_in_use(home: Mapping[str, str]) -> None:
    left = without_profile(read_profiles(home), "prod")
    assert left.current is None
    assert list(left.by_name) == ["local"]
    with pytest.raises(NotFoundError):
        without_profile(left, "prod")
