"""The arguments a handler asks for by annotation."""

from __future__ import annotations

from typing import Any

from mainspring.engine.context import Context
from mainspring.engine.registry import Signature
from mainspring.errors import ValidationError
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.model.wire import execution_from_wire


def inject(signature: Signature, context: Context, execution: Execution) -> dict[str, Any]:
    """Return the injected arguments by parameter name.

    ``Context`` is the attempt. ``Event`` is the event that caused it. ``Execution`` is the finished execution that
    led to it in a chain, else the execution itself. Raises `ValidationError` for an event where there is none.
    """
    return {name: _value(kind, context, execution) for name, kind in signature.injected.items()}


def _value(kind: type, context: Context, execution: Execution) -> Any:
    if kind is Context:
        return context
    body = execution.event or {}
    if kind is Execution:
        return execution_from_wire(body["execution"]) if "execution" in body else execution
    if not body:
        raise ValidationError(
            "this handler takes an Event, and this execution was not made by one",
            field=f"handler {execution.handler}",
            fix="Trigger it by publishing an event, or give the parameter another type",
        )
    at = execution.scheduled_at or execution.created_at
    source, subject = str(body.get("source", "mainspring")), body.get("subject")
    data = body.get("data", body)
    return Event(str(body["id"]), str(body["type"]), execution.platform_id, at, source, subject, data)
