"""Webhooks and mail to real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from mainspring.adapters.notify_smtp import SmtpChannel
from mainspring.handlers import webhook_channel
from mainspring.ports.notifier import Delivery, DeliveryStatus, Message
from mainspring.testing.clock import START, ManualClock
from tests.integration.local_servers import Asked, HttpServer, SmtpServer, client_tls, server_tls, serving, status
from tests.waiting import PATIENCE

MESSAGE = Message("Report failed", "Grüße,\n.\nline two", "error", START, {"job": "report"})


def verified(asked: Asked, secret: str, *, now: int) -> dict[str, Any]:
    """What a receiver of Standard Webhooks does, written from its specification and not from our signer."""
    sent_at = int(asked.headers["webhook-timestamp"])
    assert abs(now - sent_at) <= 300, "too old or too new"
    to_sign = b".".join((asked.headers["webhook-id"].encode(), str(sent_at).encode(), asked.body))
    expected = hmac.digest(base64.b64decode(secret.split("_", 1)[1]), to_sign, hashlib.sha256)
    given = [s.split(",", 1) for s in asked.headers["webhook-signature"].split(" ")]
    assert any(v == "v1" and hmac.compare_digest(base64.b64decode(mac), expected) for v, mac in given), "bad signature"
    return json.loads(asked.body)


def secret(size: int = 32) -> str:
    return "whsec_" + base64.b64encode(os.urandom(size)).decode()


async def post(server: HttpServer, *, key: str = "e1", clock: ManualClock | None = None, **options: Any) -> Delivery:
    async with serving(server.talk) as port:
        channel = webhook_channel(
            f"http://127.0.0.1:{port}/hook", allow=[f"127.0.0.1/32:{port}"], clock=clock or ManualClock(), **options
        )
        return await channel.send(MESSAGE, key=key)


async def test_a_webhook_is_signed_and_any_receiver_can_tell() -> None:
    server, mine = HttpServer(), secret()
    delivery = await post(server, secrets=[mine], headers={"X-Team": "ops"})
    assert delivery == Delivery(DeliveryStatus.DELIVERED, "the receiver answered 204")
    asked = server.asked[0]
    body = verified(asked, mine, now=int(START.timestamp()))
    assert body["type"] == "notification.error"
    assert body["timestamp"] == "2026-03-02T09:00:00.000000Z"
    assert body["data"] == {
        "job": "report",
        "title": "Report failed",
        "text": "Grüße,\n.\nline two",
        "level": "error",
    }
    assert (asked.method, asked.headers["content-type"], asked.headers["x-team"]) == ("POST", "application/json", "ops")
    with pytest.raises(AssertionError, match="bad signature"):
        verified(Asked("POST", "/", asked.headers, asked.body + b" "), mine, now=int(START.timestamp()))
    with pytest.raises(AssertionError, match="bad signature"):
        verified(asked, secret(), now=int(START.timestamp()))


async def test_a_retry_has_the_same_id_and_a_fresh_timestamp() -> None:
    server, mine, clock = HttpServer(), secret(), ManualClock()
    await post(server, secrets=[mine], clock=clock)
    clock.advance(timedelta(hours=3))
    await post(server, secrets=[mine], clock=clock)
    first, second = server.asked
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "e1"
    assert first.body == second.body
    verified(second, mine, now=int(clock.now().timestamp()))
    with pytest.raises(AssertionError, match="too old"):
        verified(first, mine, now=int(clock.now().timestamp()))


async def test_during_a_rotation_both_secrets_verify() -> None:
    server, old, new = HttpServer(), secret(), secret(64)
    await post(server, secrets=[new, old])
    for mine in (old, new):
        verified(server.asked[0], mine, now=int(START.timestamp()))


@pytest.mark.parametrize("bad", ["whsec_", "whsec_!!", "", "whsec_" + "QUFB" * 7, "whsec_" + "QUFB" * 22], ids=len)
def test_a_weak_secret_is_refused_at_start_and_not_shown(bad: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret") as error:
        webhook_channel("https://example.org/", secrets=[bad])
    assert not bad.removeprefix("whsec_") or bad.removeprefix("whsec_") not in str(error.value)


def test_a_channel_does_not_show_its_secrets() -> None:
    mine = secret()
    channel = webhook_channel("https://example.org/hunter2", secrets=[mine], headers={"Authorization": "hunter2"})
    mail = SmtpChannel("mail", "a@example.org", ("b@example.org",), password="hunter2")
    assert "hunter2" not in f"{channel!r}{mail!r}"
    assert mine not in repr(channel)


@pytest.mark.parametrize(
    ("code", "headers", "expected", "after"),
    [
        (200, {}, DeliveryStatus.DELIVERED, None),
        (202, {}, DeliveryStatus.DELIVERED, None),
        (301, {"location": "http://169.254.169.254/"}, DeliveryStatus.REFUSED, None),
        (400, {}, DeliveryStatus.RETRY, None),
        (410, {}, DeliveryStatus.REFUSED, None),
        (429, {"retry_after": "120"}, DeliveryStatus.RETRY, timedelta(minutes=2)),
        (503, {"retry_after": "Mon, 02 Mar 2026 09:05:00 GMT"}, DeliveryStatus.RETRY, timedelta(minutes=5)),
        (503, {"retry_after": "Mon, 02 Mar 2020 09:05:00 GMT"}, DeliveryStatus.RETRY, None),
        (503, {"retry_after": "0"}, DeliveryStatus.RETRY, None),
        (503, {"retry_after": "99999999999999999999"}, DeliveryStatus.RETRY, timedelta(days=1)),
        (503, {"retry_after": "soon"}, DeliveryStatus.RETRY, None),
        (503, {"retry_after": "-5"}, DeliveryStatus.RETRY, None),
        (500, {}, DeliveryStatus.RETRY, None),
    ],
)
async def test_a_status_decides_and_retry_after_is_honoured(
    code: int, headers: dict[str, str], expected: DeliveryStatus, after: timedelta | None
) -> None:
    delivery = await post(HttpServer(status(code, b"<script>", **headers)))
    assert (delivery.status, delivery.retry_after) == (expected, after)
    assert str(code) in delivery.detail
    assert "<script>" not in delivery.detail


async def test_an_endless_answer_does_not_hold_a_delivery_up() -> None:
    async def endless(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    assert (await post(HttpServer(endless))).status is DeliveryStatus.DELIVERED


async def test_a_private_target_that_nobody_allowed_is_refused_for_good() -> None:
    server = HttpServer()
    async with serving(server.talk) as port:
        delivery = await webhook_channel(f"http://127.0.0.1:{port}/").send(MESSAGE, key="e1")
    assert delivery.status is DeliveryStatus.REFUSED
    assert server.asked == []


async def test_nobody_at_home_may_be_tried_again() -> None:
    async with serving(HttpServer().talk) as port:
        pass
    channel = webhook_channel(f"http://127.0.0.1:{port}/", allow=[f"127.0.0.1/32:{port}"])
    assert (await channel.send(MESSAGE, key="e1")).status is DeliveryStatus.RETRY


async def test_a_body_may_have_a_shape_of_its_own() -> None:
    server = HttpServer()
    await post(server, body=lambda message: {"text": f"*{message.title}*"})
    assert json.loads(server.asked[0].body) == {"text": "*Report failed*"}
    assert "webhook-signature" not in server.asked[0].headers


# -- mail -----------------------------------------------------------------------------------------------------------


async def mail(server: SmtpServer, *recipients: str, key: str = "e1", **options: Any) -> Delivery:
    async with serving(server.talk) as port:
        fields: dict[str, Any] = {"security": "none", "timeout": 5.0, "port": port, **options}
        channel = SmtpChannel("127.0.0.1", "mainspring@example.org", recipients or ("ops@example.org",), **fields)
        return await channel.send(MESSAGE, key=key)


async def test_a_mail_arrives_as_it_was_written() -> None:
    server = SmtpServer()
    delivery = await mail(server, "ops@example.org", "boss@example.org")
    assert delivery.status is DeliveryStatus.DELIVERED
    (arrived,) = server.mails
    assert (arrived.sender, arrived.recipients) == ("mainspring@example.org", ["ops@example.org", "boss@example.org"])
    parsed = message_from_bytes(arrived.content.replace(b"\r\n..", b"\r\n."), policy=default)
    assert parsed["subject"] == "Report failed"
    assert parsed["auto-submitted"] == "auto-generated"
    assert parsed["date"].datetime == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert parsed.get_content().splitlines() == ["Grüße,", ".", "line two"]


async def test_the_same_message_has_the_same_id_whenever_it_is_sent() -> None:
    server = SmtpServer()
    for key in ("e1", "e1", "e2"):
        await mail(server, key=key)
    ids = [message_from_bytes(arrived.content)["message-id"] for arrived in server.mails]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@example.org>")


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (SmtpServer(greeting="421 busy"), DeliveryStatus.RETRY),
        (SmtpServer(greeting="554 go away"), DeliveryStatus.REFUSED),
        (SmtpServer(answers={"MAIL": "451 later"}), DeliveryStatus.RETRY),
        (SmtpServer(answers={"MAIL": "550 never"}), DeliveryStatus.REFUSED),
        (SmtpServer(answers={"RCPT": "450 greylisted"}), DeliveryStatus.RETRY),
        (SmtpServer(answers={"RCPT": "550 unknown"}), DeliveryStatus.REFUSED),
        (SmtpServer(end="452 full"), DeliveryStatus.RETRY),
        (SmtpServer(end="554 spam"), DeliveryStatus.REFUSED),
        (SmtpServer(end="hang up"), DeliveryStatus.RETRY),
        (SmtpServer(answers={"QUIT": "500 what"}), DeliveryStatus.DELIVERED),
    ],
    ids=lambda value: value.value if isinstance(value, DeliveryStatus) else "",
)
async def test_the_servers_answer_decides(server: SmtpServer, expected: DeliveryStatus) -> None:
    assert (await mail(server)).status is expected


async def test_some_refused_recipients_are_named_and_the_rest_have_it() -> None:
    server = SmtpServer(answers={"RCPT TO:<gone@": "550 no such user"})
    delivery = await mail(server, "ops@example.org", "gone@example.org")
    assert delivery.status is DeliveryStatus.PARTIAL
    assert delivery.refused == {"gone@example.org": "550 no such user"}
    assert server.mails[0].recipients == ["ops@example.org"]


async def test_a_password_travels_only_inside_tls() -> None:
    server = SmtpServer(tls=server_tls())
    login: dict[str, Any] = {"username": "u", "password": "hunter2", "security": "starttls"}
    # The certificate is that of mail.example.test, and the channel says 127.0.0.1.
    delivery = await mail(server, tls=client_tls(), **login)
    assert delivery.status is DeliveryStatus.RETRY
    assert "certificate" in delivery.detail.lower()
    assert not any(command.startswith("AUTH") for command in server.commands)

    trusting = client_tls()
    trusting.check_hostname = False
    server = SmtpServer(tls=server_tls())
    assert (await mail(server, tls=trusting, **login)).status is DeliveryStatus.DELIVERED
    commands = [command.split(" ")[0] for command in server.commands]
    assert commands.index("STARTTLS") < commands.index("AUTH")


async def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    server = SmtpServer()
    delivery = await mail(server, security="starttls", username="u", password="hunter2")
    assert delivery.status is DeliveryStatus.REFUSED
    assert [command.split(" ")[0].upper() for command in server.commands] == ["EHLO"]


async def test_tls_from_the_first_byte() -> None:
    trusting = client_tls()
    trusting.check_hostname = False
    server = SmtpServer()
    async with serving(server.talk, server_tls()) as port:
        channel = SmtpChannel(
            "127.0.0.1", "a@example.org", ("b@example.org",), port=port, security="tls", tls=trusting, timeout=30
        )
        assert (await channel.send(MESSAGE, key="e1")).status is DeliveryStatus.DELIVERED
    assert len(server.mails) == 1


async def test_a_dripping_server_is_hung_up_on_and_the_thread_ends() -> None:
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220-")
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
                if reader.at_eof():
                    break
        finally:
            over.set()

    async with serving(drip) as port:
        channel = SmtpChannel("127.0.0.1", "a@example.org", ("b@example.org",), port=port, security="none", timeout=0.3)
        delivery = await channel.send(MESSAGE, key="e1")
        assert delivery == Delivery(DeliveryStatus.RETRY, "127.0.0.1 did not finish within 0.3 s")
        async with asyncio.timeout(PATIENCE):
            await over.wait()


@pytest.mark.parametrize(
    "address", ["", "ops", "ops@", "a@b, c@d", "a <a@b.c>", "a@b\r\nRCPT TO:<x@y>", "ö@example.org"]
)
def test_an_address_is_an_address_and_nothing_else(address: str) -> None:
    with pytest.raises(ValueError, match="e-mail addresses are written"):
        SmtpChannel("mail", "a@example.org", (address,))
