"""Where settings come from, and what is refused."""

from typing import Any

import pytest

from mainspring.errors import SettingsError
from mainspring.settings import Settings, load_settings


def test_arguments_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path):
    file = tmp_path / "mainspring.toml"
    file.write_text('poll_ms = 100\nlease_ms = 20000\nqueues = "a:1"\n')
    environ = {"MAINSPRING_LEASE_MS": "30000", "MAINSPRING_QUEUES": "b:2"}
    settings = load_settings(environ=environ, file=file, queues="c:3")
    assert (settings.poll_ms, settings.lease_ms, settings.queues) == (100, 30_000, "c:3")
    assert settings.origin["poll_ms"] == str(file)
    assert settings.origin["lease_ms"] == "MAINSPRING_LEASE_MS"
    assert settings.origin["queues"] == "argument"
    assert settings.origin["reap_ms"] == "default"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"MAINSPRING_POLL_MS": "soon"}, "MAINSPRING_POLL_MS: poll_ms must be a whole number"),
        ({"MAINSPRING_POLL_MS": "0"}, "at least 1"),
        ({"MAINSPRING_RECORD_TRANSITIONS": "perhaps"}, "true or false"),
        ({"MAINSPRING_QUEUES": "default:many"}, "MAINSPRING_QUEUES: queues: 'default:many' is not NAME:SLOTS"),
        ({"MAINSPRING_METRICS_LISTEN": "here"}, "MAINSPRING_METRICS_LISTEN: metrics_listen: 'here' is no address"),
        ({"MAINSPRING_HEARTBEAT_MS": "9000"}, "under half of lease_ms"),
        ({"MAINSPRING_QUEUES": "default:2,reports:1,default:3"}, "queues: 'default' is named twice"),
        ({"MAINSPRING_LEASE_MS": "99999999999999999999"}, "MAINSPRING_LEASE_MS: lease_ms must be at most 31622400000"),
        ({"MAINSPRING_KEEP_EVENTS_DAYS": "1000000"}, "keep_events_days must be at most 36525"),
        ({"MAINSPRING_BATCH_SIZE": "9999999999"}, "batch_size must be at most 1000000"),
        ({"MAINSPRING_POLL_MS": "1_000"}, "poll_ms must be a whole number"),
        ({"MAINSPRING_CONFIG": "/nowhere/at/all.toml"}, "no such file"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_source(environ, problem):
    with pytest.raises(SettingsError, match=problem.replace(".", r"\.")):
        load_settings(environ=environ)


def test_a_typo_in_the_file_is_met_with_the_nearest_name(tmp_path):
    file = tmp_path / "mainspring.toml"
    file.write_text("lease_msec = 5\n")
    with pytest.raises(SettingsError, match="Did you mean 'lease_ms'"):
        load_settings(environ={}, file=file)
    file.write_text("lease_ms = \n")
    with pytest.raises(SettingsError, match=str(file)):
        load_settings(environ={}, file=file)


def test_with_nothing_given_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}) == Settings()
    assert Settings().worker().queues == {"default": 20}
    assert Settings().dispatcher().interval_ms == 1000


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, "database"),
        ({"redis_url": "redis://h"}, "database"),
        ({"redis_url": "redis://h", "database_url": "postgresql://h/d"}, "redis"),
        ({"redis_url": "redis://h", "database_url": "postgresql://h/d", "transport": "database"}, "database"),
        ({"database_url": "postgresql://h/d"}, "database"),
    ],
)
def test_the_transport_is_redis_where_there_is_one_and_a_fleet(given: dict[str, Any], chosen: str) -> None:
    assert load_settings(environ={}, **given).chosen_transport == chosen


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"transport": "redis", "database_url": "postgresql://h/d"}, "no redis_url"),
        ({"transport": "redis", "redis_url": "redis://h"}, "SQLite"),
        ({"transport": "kafka"}, "must be database or redis, got 'kafka'"),
    ],
)
def test_a_transport_that_cannot_be_is_refused_with_the_way_out(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings(environ={}, **given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"queues": "a b:2"}, "is not NAME:SLOTS"),
        ({"queues": "default:\u0663"}, "is not NAME:SLOTS"),
        ({"platform": "a b\n"}, "platform must be letters"),
        ({"timezone": "Mars/Phobos"}, "MAINSPRING_TIMEZONE: timezone: not a zone name"),
        ({"sqlite_synchronous": "off"}, "sqlite_synchronous must be full or normal, got 'off'"),
    ],
)
def test_a_name_no_job_could_have_is_refused_with_its_source(given: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings(environ={f"MAINSPRING_{name.upper()}": value for name, value in given.items()})


@pytest.mark.parametrize("value", ["20000.5", "true", "[20000]", '"20 s"'])
def test_a_number_in_the_file_is_never_rounded_or_guessed(tmp_path, value):
    """A float was cut to whole milliseconds, and `true` was read as 1."""
    file = tmp_path / "mainspring.toml"
    file.write_text(f"lease_ms = {value}\n")
    with pytest.raises(SettingsError, match=r"mainspring\.toml: lease_ms must be a whole number"):
        load_settings(environ={}, file=file)


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "mainspring.toml").mkdir()
    with pytest.raises(SettingsError, match=r"mainspring\.toml: cannot be read: Is a directory"):
        load_settings(environ={}, file=tmp_path / "mainspring.toml")
