"""Secrets kept out of records and answers: by the name they go under, wherever they stand in plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "[redacted]"
_SECRET = re.compile(
    r"pass(?:word|wd|phrase)?|secret|token|api[_-]?key|apikey|authori[sz]ation|credential|private[_-]?key|cookie|dsn",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]{1,20}://)[^\s/@]{1,200}@", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&;](?:access_|refresh_|id_)?(?:token|key|api_?key|secret|sig|signature|password|passwd|auth|credential)=)"
    r"[^&;#\s\"'<>]{1,2000}",
    re.IGNORECASE,
)
_NAMES = "(?:password|passwd|passphrase|secret|token|api[_-]?key|credential)"
#: In messages, as programs write what they were called with: ``password=x``, ``--api-key='x y'``, ``{'token': 'x'}``.
_NAMED = re.compile(
    rf"(?<![A-Za-z0-9_-])([A-Za-z0-9_-]{{0,40}}{_NAMES}=)(?!secret://|\[redacted\])"
    r"(?:\"[^\"]{1,2000}\"|'[^']{1,2000}'|[\"']?[^\s,;&\"'<>]{1,2000})",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    rf"([\"'][A-Za-z0-9_-]{{0,40}}{_NAMES}[\"']\s{{0,2}}:\s{{0,2}})(?![\"']secret://)"
    r"(?:\"[^\"]{1,2000}\"|'[^']{1,2000}')",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer\s+)(?=[^\s0-9]{0,100}[0-9])[A-Za-z0-9._~+/-]{8,2000}=*", re.IGNORECASE)
_OURS = re.compile(r"\b(msk_[0-9a-f]{32}_)[A-Za-z0-9_-]{1,200}")
#: Words that name no secret though they hold one of the above.
_PLAIN = frozenset({"max_tokens", "tokens", "token_count", "input_tokens", "output_tokens", "secret_ref"})


def without(value: Any, secrets: Sequence[str]) -> Any:
    """Return plain data in which no text holds one of ``secrets``.

    >>> without({"url": "https://x/?key=hunter2", "n": [1]}, ["hunter2"])
    {'url': 'https://x/?key=[redacted]', 'n': [1]}
    """
    if isinstance(value, Mapping):
        return {key: without(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without(item, secrets) for item in value]
    if isinstance(value, str):
        for one in secrets:
            value = value.replace(one, HIDDEN)
    return value


def redacted(value: Any) -> Any:
    """Return plain data with what goes under a secret's name hidden, and without passwords in URLs.

    >>> redacted({"password": "x", "url": "postgresql://me:pw@db/jobs", "n": 1})
    {'password': '[redacted]', 'url': 'postgresql://[redacted]@db/jobs', 'n': 1}
    """
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(key, item) else redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return without_credentials(value) if isinstance(value, str) else value


def without_credentials(text: str) -> str:
    """Return text in which URLs have lost their passwords and what known query keys hold, and messages their secrets.

    >>> without_credentials("GET https://me:pw@host/a?token=abc&page=2 failed")
    'GET https://[redacted]@host/a?token=[redacted]&page=2 failed'
    >>> without_credentials("cannot connect: host=db password='a b' (max_tokens=5)")
    'cannot connect: host=db password=[redacted] (max_tokens=5)'
    """
    if "://" in text:
        text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    if "=" in text:
        text = _NAMED.sub(rf"\1{HIDDEN}", _QUERY.sub(rf"\1{HIDDEN}", text))
    if "':" in text or '":' in text:
        text = _QUOTED.sub(rf"\1{HIDDEN}", text)
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return _OURS.sub(rf"\1{HIDDEN}", text) if "msk_" in text else text


def names_secret(key: str) -> bool:
    """Tell whether what goes under a name is hidden.

    >>> names_secret("api_key"), names_secret("max_tokens")
    (True, False)
    """
    return key.lower() not in _PLAIN and _SECRET.search(key) is not None


def _is_secret(key: Any, value: Any) -> bool:
    if not isinstance(key, str) or isinstance(value, bool | None):
        return False
    return names_secret(key) and not _is_reference(value)


def _is_reference(value: Any) -> bool:
    """A reference to a secret is none: it may be seen, and sent back."""
    return isinstance(value, str) and value.startswith("secret://")
