"""Channels put together from their adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from mainspring.adapters.notify_webhook import WebhookChannel, standard_body
from mainspring.adapters.system import SystemClock
from mainspring.ports.clock import Clock
from mainspring.ports.http import HttpClient
from mainspring.ports.notifier import Message


def webhook_channel(
    url: str,
    *,
    secrets: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    allow: Sequence[str] = (),
    body: Callable[[Message], Mapping[str, Any]] = standard_body,
    clock: Clock | None = None,
) -> WebhookChannel:
    """Return a channel that posts signed JSON to a URL, by the client that guards where calls lead.

    Args:
        url: Where to post. It stands in code or settings; no payload can name one.
        secrets: ``whsec_...``; several while one replaces the other. None: not signed.
        headers: Sent along, such as ``{"Authorization": "Bearer ..."}``. They never go to another host.
        allow: Private targets this channel may reach, by network and port: ``("10.20.0.0/16:8443",)``.
        body: From a message to the JSON that is sent, for tools that want a shape of their own.
        clock: Whose time is signed.
    """

    @cache  # one per channel, made at the first message: it reads the certificate authorities once
    def http() -> HttpClient:
        from mainspring.adapters.http import AddressPolicy, OutboundHttp

        return OutboundHttp(AddressPolicy.allowing(allow))

    return WebhookChannel(url, http, clock or SystemClock(), tuple(secrets), dict(headers or {}), body)
