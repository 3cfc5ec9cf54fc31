"""Bodies of requests: strict JSON, or a problem that says what is wrong with them."""

from __future__ import annotations

from typing import Any

from mainspring.api.problems import ApiError
from mainspring.model.strict_json import read_strict

BODY_LIMIT = 1024 * 1024


def read_json(body: bytes) -> Any:
    """Return what a body says. Raises `ApiError` 400 ``malformed_json`` for anything but strict JSON.

    >>> read_json(b'{"a": [1, true]}')
    {'a': [1, True]}
    """
    try:
        return read_strict(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise ApiError(400, "malformed_json", f"the body is not strict JSON: {str(error)[:200]}") from None
