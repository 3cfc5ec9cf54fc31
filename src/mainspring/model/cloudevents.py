"""Events as CloudEvents 1.0, in the structured JSON form: what goes to buses and webhooks, and what comes from them.

One function each way. Attributes of our own are extensions: ``platformid``; ``sequence``, which numbers the events of
one execution without a gap; ``chaindepth``, how many executions led here; ``traceparent`` of W3C Trace Context.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from mainspring.errors import ValidationError
from mainspring.model.events import Event
from mainspring.model.wire import instant

#: The media type of the structured JSON form.
MEDIA_TYPE = "application/cloudevents+json"
_CORE = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
)
_EXTENSION = re.compile(r"[a-z0-9]{1,20}")
#: The first of an execution's events, which is stored without its number.
_FIRST = "00000001"
_MOST_EXTENSIONS = 32


def to_cloudevent(event: Event) -> dict[str, Any]:
    """Return an event as a CloudEvent.

    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    >>> found = to_cloudevent(Event("1", "scheduler:job.paused", "default", at, subject="j", data={"job": "tidy"}))
    >>> found["type"], found["source"], found["platformid"], found["data"]
    ('scheduler:job.paused', 'mainspring', 'default', {'job': 'tidy'})
    """
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": str(event.type),
        "time": instant(event.at),
        "datacontenttype": "application/json",
        "platformid": event.platform_id,
    }
    if event.type.startswith("scheduler:execution."):
        # What is the same for most is not stored with each of them.
        found["chaindepth"] = 1
        if event.type != "scheduler:execution.started":
            found["sequence"] = _FIRST
    found.update(event.extensions)
    if event.subject is not None:
        found["subject"] = event.subject
    found["data"] = dict(event.data)
    return found


def encoded(event: Event) -> str:
    """Return an event as the text of a CloudEvent."""
    return orjson.dumps(to_cloudevent(event)).decode()


def from_cloudevent(found: object, *, platform_id: str, at: datetime) -> Event:
    """Read a CloudEvent that came in; ``at`` is when it did. Its own ``time`` decides nothing and becomes an extension.

    Raises:
        ValidationError: For what is no CloudEvent 1.0 with JSON data, or names another platform.
    """
    if not isinstance(found, Mapping):
        raise ValidationError(f"must be a JSON object, got {type(found).__name__}", field="event")
    if found.get("specversion") != "1.0":
        raise ValidationError(f"must be '1.0', got {str(found.get('specversion'))[:20]!r}", field="specversion")
    texts = {name: _text(found, name) for name in ("id", "source", "type")}
    if found.get("platformid", platform_id) != platform_id:
        raise ValidationError(f"is {str(found['platformid'])[:40]!r}, this is {platform_id!r}", field="platformid")
    subject = _text(found, "subject") if found.get("subject") is not None else None
    more = _extensions(found)
    return Event(texts["id"], texts["type"], platform_id, at, texts["source"], subject, _data(found), more)


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ValidationError("must be text, and not empty", field=name)
    return value


def _data(found: Mapping[str, Any]) -> Mapping[str, Any]:
    if "data_base64" in found:
        raise ValidationError("binary data cannot be read", field="data_base64", fix="Send JSON in `data`")
    kind = str(found.get("datacontenttype") or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise ValidationError(f"must be JSON, got {kind[:60]!r}", field="datacontenttype")
    data = found.get("data")
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ValidationError(
            f"must be an object, got {type(data).__name__}", field="data", fix='Wrap it: {"value": …}'
        )
    return dict(data)


def _extensions(found: Mapping[str, Any]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    for name, value in found.items():
        if name in _CORE or name == "platformid" or value is None:
            continue
        if not isinstance(name, str) or not _EXTENSION.fullmatch(name):
            fix = "Use at most 20 lower-case letters and digits"
            raise ValidationError("is no name of an attribute", field=str(name)[:40], fix=fix)
        if not isinstance(value, (str, int, bool)):
            raise ValidationError(f"must be text, a whole number or a boolean, got {type(value).__name__}", field=name)
        more[name] = value
    if found.get("time") is not None:
        more["eventtime"] = _text(found, "time")
    if len(more) > _MOST_EXTENSIONS:
        raise ValidationError(f"has {len(more)} extensions, at most {_MOST_EXTENSIONS} are taken", field="event")
    depth = more.get("chaindepth", 0)
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 0:
        raise ValidationError("must be a whole number from 0", field="chaindepth")
    return more
