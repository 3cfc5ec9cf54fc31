"""Strict JSON at the border: what JSON leaves open, and readers disagree about, is refused.

Duplicate keys, NaN and infinity, numbers no 64 bits hold, text no UTF-8 carries, null characters, depth beyond
`DEPTH`. All in time linear in the body, whose size the server bounds before.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import orjson

from mainspring.api.problems import ApiError

BODY_LIMIT = 1024 * 1024
DEPTH = 64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NESTED = re.compile(rb"[\[\]{}]")


def read_json(body: bytes) -> Any:
    """Return what a body says. Raises `ApiError` 400 ``malformed_json`` for anything but strict JSON.

    >>> read_json(b'{"a": [1, true]}')
    {'a': [1, True]}
    """
    _check_depth(body)
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float, parse_int=_int)
        # One pass in C for what is left: surrogates alone, which no database takes.
        orjson.dumps(value)
    except ApiError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise _malformed(str(error)[:200]) from None
    if "\\u0000" in text and _has_null(value):
        raise _malformed("a null character in text")
    return value


def _check_depth(body: bytes) -> None:
    depth = 0
    for sign in _NESTED.finditer(_STRING.sub(b"", body)):
        depth += 1 if sign[0] in b"[{" else -1
        if depth > DEPTH:
            raise _malformed(f"nested deeper than {DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _malformed(f"the key {twice[:60]!r} is there twice")
    return made


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**63:
        raise _malformed("a whole number beyond 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text) if len(text) <= 400 else math.inf
    if math.isinf(number):
        raise _malformed("a number too large")
    return number


def _refuse(word: str) -> NoReturn:
    raise _malformed(f"{word} is not JSON")


def _has_null(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_null(key) or _has_null(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_null, value))


def _malformed(why: str) -> ApiError:
    return ApiError(400, "malformed_json", f"the body is not strict JSON: {why}")
