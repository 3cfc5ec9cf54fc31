"""Payloads and defaults, checked by what nodes have announced of a handler: no code of the handler is needed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model.node import HandlerRow
from mainspring.moves.enqueue import encoded_size
from mainspring.ports.store import Tx


def announced(tx: Tx, platform_id: str, handler: str) -> HandlerRow | None:
    """Return what is known of a handler on a platform; None where no node has announced it."""
    return next((row for row in tx.nodes.handlers(platform_id) if row.name == handler), None)


def check_payload(row: HandlerRow | None, payload: Mapping[str, Any]) -> None:
    """Refuse a payload the handler's schema does not allow, or that is too large, with the path of what is wrong."""
    payload_check(row)(payload)


def payload_check(row: HandlerRow | None) -> Callable[[Mapping[str, Any]], None]:
    """Return `check_payload` for one handler, its schema read once: for many payloads of the same handler."""
    if row is None or not row.schema:
        return _check_size
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    validator = Draft202012Validator(row.schema)

    def check(payload: Mapping[str, Any]) -> None:
        encoded_size(payload)
        plain = dict(payload)
        if validator.is_valid(plain):
            return
        # Only what is wrong pays for finding out which of its errors tells most.
        error = best_match(validator.iter_errors(plain))
        path = ".".join(["payload", *map(str, error.absolute_path)])
        raise ValidationError(error.message[:300], field=path, fix=f"See the schema of handler {row.name!r}")

    return check


def _check_size(payload: Mapping[str, Any]) -> None:
    encoded_size(payload)


def with_defaults(row: HandlerRow | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's fields with the handler's defaults where the job says nothing."""
    return {**(row.defaults if row is not None else {}), **fields}
