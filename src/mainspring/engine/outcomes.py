"""From what a handler did to an outcome, the same in a task, a thread and a child process."""

from __future__ import annotations

import traceback
from typing import Any

from mainspring.engine.context import hidden_here
from mainspring.engine.registry import Signature
from mainspring.errors import ValidationError
from mainspring.model.outcome import Fail, Failed, Outcome, Retry, Signal, Snooze, Snoozed, Succeeded
from mainspring.model.redact import without_credentials
from mainspring.model.wire import RESULT_LIMIT

#: Error texts are cut to these many characters; a traceback keeps its end, where the cause is.
MESSAGE_LIMIT, TRACEBACK_LIMIT = 4_096, 16_384

#: What most handlers return.
_NOTHING = Succeeded()


def outcome_of_result(signature: Signature, value: Any) -> Outcome:
    """Return success with the value as JSON data, or a failure that no retry would mend."""
    if value is None:
        return _NOTHING
    try:
        result = signature.result(value)
        if result is not None and not isinstance(result, bool | int):
            import orjson

            size = len(orjson.dumps(result))
            if size > RESULT_LIMIT:
                problem = f"is {size} bytes of JSON, over the limit of {RESULT_LIMIT}"
                raise ValidationError(problem, field="result", fix="Store it elsewhere and return where it is")
    except (ValidationError, TypeError) as error:
        return Failed({"type": "ResultError", "message": str(error)[:MESSAGE_LIMIT], "traceback": ""}, retryable=False)
    return Succeeded(result)


def outcome_of_error(error: BaseException) -> Outcome:
    """Return the outcome a raised exception stands for."""
    match error:
        case Snooze():
            return Snoozed(error.after)
        case Retry():
            return Failed(_error("Retry", error.reason, error), retry_after=error.after)
        case Fail():
            return Failed(_error("Fail", error.reason, error), retryable=False)
    return Failed(describe(error))


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as text: type, message, traceback. Never its locals, never the object."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:  # a broken __str__ must not hide that the handler failed
        message = f"<{name} whose message cannot be read>"
    return _error(name, message, error)


def _error(name: str, message: str, error: BaseException) -> dict[str, Any]:
    text = "" if isinstance(error, Signal) else "".join(traceback.format_exception(error))
    return {
        "type": name[:200],
        "message": without_credentials(hidden_here(_plain(message))[:MESSAGE_LIMIT]),
        "traceback": without_credentials(hidden_here(_plain(text))[-TRACEBACK_LIMIT:]),
    }


def _plain(text: str) -> str:
    """Return text that any store can keep: lone surrogates and null characters made visible."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
