"""Errors as RFC 9457 problems: one table from the type of an error to its status, and one shape for all of them.

The ``code`` is the contract; docs/reference/api.md has a section for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from mainspring import errors
from mainspring.control.rows import UnknownFieldError
from mainspring.errors import MainspringError

MEDIA_TYPE = "application/problem+json"
_DOCS = "https://mainspring.dev/errors/"


class ApiError(MainspringError):
    """What only a request can get wrong. ``status`` and ``code`` are told as they are."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str = "", headers: Mapping[str, str] = {}
    ) -> None:
        self.status, self.code, self.field, self.headers = status, code, field, headers
        super().__init__(message)


#: Type of error -> status. The nearest base class counts, so a new kind of conflict is a 409 without a line here.
STATUS: Mapping[type[MainspringError], int] = {
    errors.ValidationError: 422,
    errors.FilterError: 400,
    UnknownFieldError: 400,
    errors.UnauthorizedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.RevisionConflictError: 412,
    errors.IdempotencyConflictError: 422,
    errors.LimitExceededError: 422,
    errors.LeaseLostError: 409,
    errors.StoreUnavailableError: 503,
    errors.SealedError: 503,
    errors.SchemaError: 503,
    errors.StoreError: 500,
    errors.EngineBusyError: 409,
}

#: Every code an answer may carry -> its title. A test holds docs/reference/api.md to it.
CODES: Mapping[str, str] = {
    "malformed_json": "The body is not JSON as it should be",
    "unknown_field": "A field there is not",
    "unknown_parameter": "A query parameter there is not",
    "validation": "A value that cannot be used",
    "schedule": "A schedule that cannot be used",
    "nothing_to_come": "A schedule whose every instant has passed",
    "filter": "A filter that cannot be read",
    "ambiguous_filter": "A filter with AND and OR side by side",
    "filter_field_unknown": "A filter names a field there is not",
    "filter_operator": "A filter compares in a way that does not fit the field",
    "filter_value": "A filter has a value that does not fit the field",
    "filter_not_indexed": "A filter looks at a field without an index",
    "unauthorized": "No key, or one that does not hold",
    "forbidden": "The key's role does not allow it",
    "not_found": "No such thing on this platform",
    "method_not_allowed": "The method is not one of this resource's",
    "conflict": "The present state does not allow it",
    "overlap": "The job is active and its overlap policy refuses another execution",
    "revision": "The job changed since it was read",
    "lease_lost": "Another attempt owns the execution",
    "engine_busy": "Another process is the engine",
    "idempotency_key_reused": "The idempotency key was used for another request",
    "idempotency_in_progress": "The first request with this idempotency key is still running",
    "idempotency_not_supported": "This request's answer cannot be kept for a repeat",
    "precondition_required": "If-Match is missing",
    "payload_too_large": "The body is too large",
    "unsupported_media_type": "The body is not application/json",
    "limit": "A quota or a size is exceeded",
    "rate_limited": "Too many requests",
    "store_unavailable": "The database is away",
    "sealed": "A stored secret that this server has no key for",
    "schema": "The database's schema is another version's",
    "store": "The database failed",
    "internal": "A defect of the server",
    "timeout": "The request took too long",
    "error": "It failed",
}

_RETRYABLE = (429, 503)


def status_of(error: MainspringError) -> int:
    """Return the status of an error: that of its nearest base class in the table."""
    if isinstance(error, ApiError):
        return error.status
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str = "",
    request_id: str = "",
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] = {},
    **more: Any,
) -> Response:
    """Return a problem as a response. What is under ``errors`` says where in the request: pointer, code, message."""
    body = {
        "type": _DOCS + code,
        "title": CODES.get(code, CODES["error"]),
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        "errors": errors or [],
        "retryable": status in _RETRYABLE,
        **more,
    }
    kept = dict(headers)
    if status == 401:
        kept.setdefault("WWW-Authenticate", 'Bearer realm="mainspring"')
    if status in _RETRYABLE:
        kept.setdefault("Retry-After", "1")
    return Response(orjson.dumps(body, default=str), status, kept, MEDIA_TYPE)


def of_error(error: MainspringError, *, instance: str = "", request_id: str = "") -> Response:
    """Return one of our errors as a problem."""
    status, code = status_of(error), error.code if error.code in CODES else "error"
    more: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    if isinstance(error, errors.ValidationError) or (isinstance(error, ApiError) and error.field):
        fix = getattr(error, "fix", None)
        said = getattr(error, "problem", str(error))
        found = [{"pointer": pointer(_within_body(error)), "code": code, "message": said, "hint": fix}]
        if isinstance(error, errors.ScheduleError):
            found[0]["text"] = error.text
    if isinstance(error, errors.OverlapConflictError):
        more["running"] = error.running
    if isinstance(error, errors.RevisionConflictError):
        more["current_revision"] = error.current
    headers = error.headers if isinstance(error, ApiError) else {}
    detail = _told(error) if status < 500 or isinstance(error, errors.StoreUnavailableError) else CODES[code]
    return problem(
        status, code, detail, instance=instance, request_id=request_id, errors=found, headers=headers, **more
    )


#: What a schedule is made of. Its errors name a part as the schedule has it, and bodies have it under ``schedule``.
_SCHEDULE = frozenset(
    (
        "cron", "seconds", "day_match", "every", "every_ms", "anchor_at", "rrule", "dtstart", "exdate", "rdate",
        "run_at", "events", "filter", "debounce_ms", "throttle", "dst_gap", "dst_fold", "jitter_ms", "calendars",
        "start_at", "end_at", "max_executions",
    )
)  # fmt: skip


def _within_body(error: errors.ValidationError | ApiError) -> str:
    inside = isinstance(error, errors.ScheduleError) and re.split(r"[.\[]", error.field)[0] in _SCHEDULE
    return f"schedule.{error.field}" if inside else error.field


def pointer(field: str) -> str:
    """Return a field's path as a JSON pointer.

    >>> pointer("retry.max_retries"), pointer("on_success[0]"), pointer("")
    ('/retry/max_retries', '/on_success/0', '')
    """
    parts = field.replace("[", ".").replace("]", "").split(".") if field else []
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts)


def _told(error: MainspringError) -> str:
    if isinstance(error, errors.StoreUnavailableError):
        return "The database cannot be reached now; nothing was written. Try again."  # no names of hosts or files
    return str(error)
