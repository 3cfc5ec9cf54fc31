"""Options of lists as filters of the one language; what an option says holds besides what ``--filter`` says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from mainspring.model.wire import instant

_BARE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/<>@-]*")
#: Words the language keeps for itself.
_KEPT = {"and", "or", "not", "in", "null", "true", "false", "now"}


def narrowed(given: str | None, *conditions: str | None) -> str | None:
    """Return a filter that holds where the one given and every condition holds; None for none at all.

    >>> narrowed("a = 1 OR b = 2", equals("job", "nightly"), None)
    '(a = 1 OR b = 2) AND job = nightly'
    """
    parts = [f"({given})" if given else None, *conditions]
    return " AND ".join(part for part in parts if part) or None


def equals(field: str, value: str | None) -> str | None:
    """Return the condition that a field has a value; None for no value.

    >>> equals("owner", "ops team"), equals("owner", None)
    ('owner = "ops team"', None)
    """
    return None if value is None else f"{field} = {quoted(value)}"


def one_of(field: str, values: Sequence[str]) -> str | None:
    """Return the condition that a field has one of some values; None for none.

    >>> one_of("status", ["failed", "expired"])
    'status IN (failed, expired)'
    """
    return f"{field} IN ({', '.join(map(quoted, values))})" if values else None


def compared(field: str, operator: str, at: datetime | None) -> str | None:
    """Return the condition that compares a field with an instant; None for no instant."""
    return None if at is None else f"{field} {operator} {instant(at)}"


def contains(field: str, text: str | None) -> str | None:
    """Return the condition that a field contains a text."""
    return None if text is None else f"{field} ~ {quoted(text)}"


def quoted(text: str) -> str:
    r"""Return a text as the language takes it.

    >>> quoted("nightly"), quoted('say "hi"'), quoted("or")
    ('nightly', '"say \\"hi\\""', '"or"')
    """
    if _BARE.fullmatch(text) and text.lower() not in _KEPT:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
