"""Strict JSON at the border: what JSON leaves open, and readers disagree about, is refused.

Duplicate keys, NaN and infinity, numbers no 64 bits hold, text no UTF-8 carries, null characters, depth beyond
`DEPTH`. All in time linear in the text, whose size whoever reads it bounds before.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

DEPTH = 64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NESTED = re.compile(rb"[\[\]{}]")


def read_strict(body: bytes) -> Any:
    """Return what a text says. Raises `ValueError` with the reason for anything but strict JSON.

    >>> read_strict(b'{"a": [1, true]}')
    {'a': [1, True]}
    >>> read_strict(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    ValueError: the key 'a' is there twice
    """
    _check_depth(body)
    text = body.decode("utf-8")
    value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    if "\\u" in text:
        _check_text(value)
    return value


def _check_text(value: Any) -> None:
    """Refuse what only an escape can say and no database takes: half a surrogate pair, and the null character."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a null character in text")
        value.encode("utf-8")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


def _check_depth(body: bytes) -> None:
    depth = 0
    for sign in _NESTED.finditer(_STRING.sub(b"", body)):
        depth += 1 if sign[0] in b"[{" else -1
        if depth > DEPTH:
            raise ValueError(f"nested deeper than {DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:60]!r} is there twice")
    return made


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**63:
        raise ValueError("a whole number beyond 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text) if len(text) <= 400 else math.inf
    if math.isinf(number):
        raise ValueError("a number too large")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
