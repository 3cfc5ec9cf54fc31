"""Payloads and defaults, checked by what nodes have announced of a handler: no code of the handler is needed here."""

from __future__ import annotations

from collections.abc import Mapping
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
    encoded_size(payload)
    if row is None or not row.schema:
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(row.schema).iter_errors(dict(payload)))
    if error is not None:
        path = ".".join(["payload", *map(str, error.absolute_path)])
        raise ValidationError(error.message[:300], field=path, fix=f"See the schema of handler {row.name!r}")


def with_defaults(row: HandlerRow | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's fields with the handler's defaults where the job says nothing."""
    return {**(row.defaults if row is not None else {}), **fields}
