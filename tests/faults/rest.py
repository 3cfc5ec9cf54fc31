"""The server as a customer sees it, over HTTP and with nothing of the product's."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


def post(port: int, body: dict[str, Any], key: str) -> Answer:
    """Ask the server for an execution. Raises `OSError` where there is no answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/platforms/default/executions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": key},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, json.load(answer), _lower(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, json.load(error), _lower(error.headers))


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
