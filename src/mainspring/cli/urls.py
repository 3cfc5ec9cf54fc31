"""Databases by their URLs, as a command line says them and as they may be shown."""

from __future__ import annotations

import re
from pathlib import Path

#: A password inside a URL.
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):([^@/\s]*)@")


def database_url(given: str | None) -> str | None:
    """Return the URL of what ``--db`` says: a URL as it is, anything else as the path of a SQLite file.

    >>> database_url("jobs.db"), database_url("/var/jobs.db"), database_url("postgresql://host/jobs")
    ('sqlite:///jobs.db', 'sqlite:////var/jobs.db', 'postgresql://host/jobs')
    """
    if given is None or "://" in given or given.startswith("sqlite:"):
        return given
    return f"sqlite:///{given}"


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL; None for another database, or one in memory.

    >>> sqlite_path("sqlite:///a/jobs.db")
    PosixPath('a/jobs.db')
    """
    if not url.startswith("sqlite:"):
        return None
    text = url.split("://", 1)[-1].partition("?")[0].removeprefix("/")
    return Path(text) if text and ":memory:" not in text else None


def masked(value: object) -> object:
    """Return a setting's value without a password.

    >>> masked("postgresql://me:secret@host/jobs"), masked(5)
    ('postgresql://me:***@host/jobs', 5)
    """
    return _PASSWORD.sub(r"\1:***@", value) if isinstance(value, str) else value
