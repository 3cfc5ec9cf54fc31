"""notify:send: one message to one configured channel. Trying again is the engine's business, with its backoff.

One channel per execution: each delivery has its own attempts, its own result and, if given up on, its own dead letter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mainspring.engine.context import Context
from mainspring.handlers.configured import find
from mainspring.handlers.message_text import VALUES, Value, fill, one_line
from mainspring.model.execution import Execution
from mainspring.model.outcome import Fail, Retry
from mainspring.model.wire import instant
from mainspring.ports.clock import Clock
from mainspring.ports.notifier import Delivery, DeliveryStatus, Message, Notifier

_FIX = "Set it up: Builtins(channels=Channels({...: webhook_channel(url, secrets=...) or SmtpChannel(host, ...)}))"


@dataclass(frozen=True)
class Channels:
    """Where messages may go, by name: set up by whoever runs the system, since a payload can name no address.

    Args:
        shared: Channels every platform may use.
        by_platform: Channels that only one platform may use, by platform and name.
    """

    shared: Mapping[str, Notifier] = field(default_factory=dict)
    by_platform: Mapping[str, Mapping[str, Notifier]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """A message that was taken. ``refused`` names recipients that were not, each with the reason."""

    channel: str
    status: str
    detail: str
    key: str
    refused: dict[str, str]


Handler = Callable[..., Awaitable[Sent]]


def notify_send(channels: Channels, clock: Clock) -> Handler:
    """Return the handler for these channels."""

    async def send(
        ctx: Context,
        about: Execution,
        channel: str,
        text: str = "$job: $status",
        title: str = "",
        level: Literal["info", "warning", "error"] = "info",
        values: dict[str, Value] | None = None,
        data: dict[str, Any] | None = None,
    ) -> Sent:
        """Send a message to a channel. ``$name`` in title and text stands for ``values`` and for the execution.

        In a chain (``on_success``, ``on_failure``) the execution is the one that led here: ``$job``, ``$handler``,
        ``$execution``, ``$status``, ``$error``, ``$scheduled_at``, ``$attempt``, ``$platform``.
        """
        notifier = find(
            "channel", channel, channels.shared, channels.by_platform, platform_id=ctx.platform_id, fix=_FIX
        )
        if values is not None and len(values) > VALUES:
            raise Fail(f"{len(values)} values are over the limit of {VALUES}")
        known = {**facts(about), **(values or {})}
        message = Message(
            one_line(fill("title", title, known)),
            fill("text", text, known),
            level,
            ctx.scheduled_at or clock.now(),
            {**(data or {}), "platform_id": ctx.platform_id, "execution_id": about.id, "job": about.job_name},
        )
        # Not the idempotency key a caller chose: two platforms may choose the same, and no receiver could tell.
        return settled(ctx, channel, await notifier.send(message, key=ctx.execution_id))

    return send


def facts(about: Execution) -> dict[str, Value]:
    """Return what a message may say of an execution, by name."""
    error = about.error or {}
    return {
        "job": about.job_name or about.handler,
        "handler": about.handler,
        "execution": about.id,
        "status": about.status.value,
        "error": f"{error.get('type')}: {error.get('message')}" if error else "",
        "scheduled_at": instant(about.scheduled_at) or "",
        "attempt": about.attempt,
        "platform": about.platform_id,
    }


def settled(ctx: Context, channel: str, delivery: Delivery) -> Sent:
    """Return the result of a delivery, or raise what the engine is to do: `Retry` or `Fail`."""
    reason = f"channel {channel!r}: {delivery.detail}"
    match delivery.status:
        case DeliveryStatus.RETRY:
            raise Retry(delivery.retry_after, reason)
        case DeliveryStatus.REFUSED:
            raise Fail(reason)
        case DeliveryStatus.PARTIAL:
            ctx.log.warning(reason, refused=dict(delivery.refused))
    return Sent(channel, delivery.status.value, delivery.detail, ctx.execution_id, dict(delivery.refused))
