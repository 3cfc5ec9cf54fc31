from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from mainspring.handlers.message_text import TEMPLATE_LIMIT, TEXT_LIMIT, fill, one_line
from mainspring.handlers.notify import Channels, notify_send
from mainspring.model.execution import Status
from mainspring.model.outcome import Fail, Retry
from mainspring.ports.notifier import Delivery, DeliveryStatus, Message
from mainspring.testing.clock import START, ManualClock
from tests.unit.handlers.attempts import Attempt

DELIVERED = Delivery(DeliveryStatus.DELIVERED, "ok")


@dataclass
class Notifier:
    delivery: Delivery = DELIVERED
    sent: list[tuple[Message, str]] = field(default_factory=list)

    async def send(self, message: Message, *, key: str) -> Delivery:
        self.sent.append((message, key))
        return self.delivery


async def send(notifier: Notifier, attempt: Attempt | None = None, about: Attempt | None = None, **payload: Any) -> Any:
    attempt = attempt or Attempt()
    handler = notify_send(Channels({"ops": notifier}), ManualClock())
    return await handler(attempt.ctx, (about or attempt).execution, **({"channel": "ops"} | payload))


async def test_a_message_speaks_of_the_execution_that_led_to_it() -> None:
    notifier = Notifier()
    error = {"type": "KeyError", "message": "'region'", "traceback": "..."}
    failed = Attempt(id="e0", job_name="report", status=Status.FAILED, error=error)
    sent = await send(notifier, Attempt(id="e7"), failed, text="$job $status: $error at ${scheduled_at}", title="$job")
    message, key = notifier.sent[0]
    assert message.text == "report failed: KeyError: 'region' at 2026-03-02T09:00:00.000000Z"
    assert (message.title, message.level, message.sent_at) == ("report", "info", START)
    assert message.data == {"platform_id": "acme", "execution_id": "e0", "job": "report"}
    assert (key, sent.key, sent.status) == ("e7", "e7", "delivered")


async def test_values_are_text_and_never_templates() -> None:
    notifier = Notifier()
    values = {"a": "$b {0.__class__} {{7*7}}", "b": 5, "c": None}
    await send(notifier, text="$a/$b/$c", values=values, data={"execution_id": "forged", "n": 1})
    message = notifier.sent[0][0]
    assert message.text == "$b {0.__class__} {{7*7}}/5/"
    assert message.data["execution_id"] == "e1"


async def test_a_title_is_one_line_whatever_it_is_filled_with() -> None:
    notifier = Notifier()
    await send(notifier, title="$x", values={"x": "hi\r\nBcc: eve@example.org\u2028!"})
    assert notifier.sent[0][0].title == "hi Bcc: eve@example.org !"
    assert len(one_line("x" * 1000)) == 200


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("$nobody", r"\$nobody, which has no value"),
        ("costs $5", r"\$ at character 7"),
        ("x" * (TEMPLATE_LIMIT + 1), "over the limit"),
        ("$a" * 8000, f"over the limit of {TEXT_LIMIT}"),
    ],
)
async def test_a_template_that_cannot_be_filled_is_refused(template: str, words: str) -> None:
    notifier = Notifier()
    with pytest.raises(Fail, match=words):
        await send(notifier, text=template, values={"a": "y" * 4096})
    assert not notifier.sent


def test_a_long_value_is_cut() -> None:
    assert len(fill("text", "$a", {"a": "y" * 100_000})) == 4096


async def test_what_the_channel_says_is_what_the_engine_does() -> None:
    with pytest.raises(Retry) as retry:
        await send(Notifier(Delivery(DeliveryStatus.RETRY, "answered 503", timedelta(seconds=90))))
    assert (retry.value.after, retry.value.reason) == (timedelta(seconds=90), "channel 'ops': answered 503")
    with pytest.raises(Retry) as retry:
        await send(Notifier(Delivery(DeliveryStatus.RETRY, "no answer")))
    assert retry.value.after is None
    with pytest.raises(Fail, match="answered 410"):
        await send(Notifier(Delivery(DeliveryStatus.REFUSED, "answered 410")))


async def test_a_partial_delivery_is_a_success_that_names_who_was_refused() -> None:
    attempt = Attempt()
    partial = Delivery(DeliveryStatus.PARTIAL, "1 of 2", refused={"eve@example.org": "550 no"})
    sent = await send(Notifier(partial), attempt)
    assert (sent.status, sent.refused) == ("partial", {"eve@example.org": "550 no"})
    assert attempt.said.lines[0][0] == "warning"


async def test_a_payload_names_a_channel_and_never_an_address() -> None:
    for name in ("https://example.org/hook", "ops@example.org", "nobody"):
        with pytest.raises(Fail, match=r"no channel named .* is configured \(configured: ops\)"):
            await send(Notifier(), channel=name)


async def test_a_foreign_channel_looks_unknown() -> None:
    handler = notify_send(Channels(by_platform={"globex": {"ops": Notifier()}}), ManualClock())
    attempt = Attempt("acme")
    with pytest.raises(Fail, match="configured: none"):
        await handler(attempt.ctx, attempt.execution, channel="ops")
