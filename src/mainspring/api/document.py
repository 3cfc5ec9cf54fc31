"""The OpenAPI document: made from the routes, with what they do not say of themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mainspring.api.shapes.base import Problem

_DESCRIPTION = """Jobs that run when they are due, once, and can say what they did and why.

Every request but the probes and signed callbacks needs an API key, as soon as one has been made. Errors are RFC 9457
problems with a documented `code`. Lists are keyset pages; changes take `Idempotency-Key` and `dry_run=true`."""


def document(api: FastAPI) -> dict[str, Any]:
    """Return the document of an application, made once."""
    if api.openapi_schema is None:
        made = get_openapi(
            title=api.title,
            version="1",
            description=_DESCRIPTION,
            routes=api.routes,
            openapi_version="3.1.0",
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schemas["Problem"].pop("$defs", {}))
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "msk"}}
        made["security"] = [{"key": []}]
        api.openapi_schema = made
    return api.openapi_schema
