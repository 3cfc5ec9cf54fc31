"""A mailbox, or several, as a place messages go to: one SMTP conversation per try, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import smtplib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal

from mainspring.ports.notifier import Delivery, DeliveryStatus, Message

#: Recipients of one channel; a longer list wants a mailing list.
RECIPIENTS = 50


@dataclass(frozen=True)
class SmtpChannel:
    """Recipients behind one mail server. All of it stands in code or settings; no payload can name an address.

    Args:
        host: The server; it is trusted, and may be a private one.
        sender: Address of the sender, and of the envelope.
        recipients: 1 to 50 addresses.
        port: By default 587, 465 for ``tls``, 25 for ``none``.
        security: ``starttls`` (refused if the server has none), ``tls`` from the first byte, or ``none``.
        timeout: Seconds for the whole conversation.
    """

    host: str
    sender: str
    recipients: tuple[str, ...]
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    security: Literal["starttls", "tls", "none"] = "starttls"
    timeout: float = 20.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse at start what would fail at the first message."""
        if not 1 <= len(self.recipients) <= RECIPIENTS:
            raise ValueError(f"an e-mail channel has 1 to {RECIPIENTS} recipients, not {len(self.recipients)}")
        if any(not _plain_address(address) for address in (self.sender, *self.recipients)):
            raise ValueError("e-mail addresses are written name@example.org, nothing else")

    async def send(self, message: Message, *, key: str) -> Delivery:
        """Send once. A temporary refusal (4xx) and a lost connection may be tried again, a final one (5xx) not."""
        mail = self.mail(message, key=key)
        client = _client(self)
        try:
            async with asyncio.timeout(self.timeout):
                refused = await asyncio.to_thread(self._converse, client, mail)
        except (TimeoutError, asyncio.CancelledError) as error:
            # The thread sits in a read of its socket, and would until the server has said its last slow byte.
            _hang_up(client)
            if isinstance(error, asyncio.CancelledError):
                raise
            return Delivery(DeliveryStatus.RETRY, f"{self.host} did not finish within {self.timeout:g} s")
        except smtplib.SMTPRecipientsRefused as error:
            return _all_refused(error.recipients)
        except smtplib.SMTPResponseException as error:
            status = DeliveryStatus.RETRY if 400 <= error.smtp_code < 500 else DeliveryStatus.REFUSED
            return Delivery(status, _answer(error.smtp_code, error.smtp_error))
        except smtplib.SMTPNotSupportedError as error:
            return Delivery(DeliveryStatus.REFUSED, f"{self.host}: {error}"[:200])
        except (smtplib.SMTPException, OSError) as error:
            return Delivery(DeliveryStatus.RETRY, f"{self.host}: {type(error).__name__}: {error}"[:200])
        if refused:
            count = f"{len(refused)} of {len(self.recipients)} recipients were refused"
            return Delivery(DeliveryStatus.PARTIAL, count, refused=_answers(refused))
        return Delivery(DeliveryStatus.DELIVERED, f"{self.host} took it for {len(self.recipients)} recipients")

    def mail(self, message: Message, *, key: str) -> EmailMessage:
        """Return the mail. Its Message-ID comes from ``key``: mailboxes that know it show a repeated one once."""
        mail = EmailMessage(policy=SMTP)
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail["Subject"] = message.title or message.text.split("\n", 1)[0][:100] or "Notification"
        mail["Date"] = format_datetime(message.sent_at)
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        mail["Message-ID"] = f"<{name}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps out-of-office replies away
        mail.set_content(message.text)
        return mail

    def _converse(self, client: smtplib.SMTP, mail: EmailMessage) -> dict[str, tuple[int, bytes]]:
        default = {"starttls": 587, "tls": 465, "none": 25}[self.security]
        try:
            code, greeting = client.connect(self.host, self.port or default)
            if code != 220:
                raise smtplib.SMTPConnectError(code, greeting)
            if self.security == "starttls":
                client.starttls(context=self.tls or ssl.create_default_context())
            if self.username is not None:
                client.login(self.username, self.password or "")
            refused = client.send_message(mail, self.sender, list(self.recipients))
            with contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()  # it has been taken: how the goodbye goes does not matter
            return refused
        finally:
            client.close()


def _client(channel: SmtpChannel) -> smtplib.SMTP:
    """Return a client that is not connected yet, so that its socket can be closed by somebody else."""
    name = socket.gethostname()  # unless told, smtplib asks the network for one, and may wait for it
    if channel.security == "tls":
        tls = channel.tls or ssl.create_default_context()
        client: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=name, timeout=channel.timeout, context=tls)
    else:
        client = smtplib.SMTP(local_hostname=name, timeout=channel.timeout)
    # What certificates are checked against. Only the constructor sets it, and the constructor would connect at once.
    client._host = channel.host  # type: ignore[attr-defined]
    return client


def _hang_up(client: smtplib.SMTP) -> None:
    if client.sock is not None:
        with contextlib.suppress(OSError):
            client.sock.shutdown(socket.SHUT_RDWR)


def _all_refused(recipients: Mapping[str, tuple[int, bytes]]) -> Delivery:
    # One temporary refusal is enough to try again: nobody has the message yet.
    temporary = any(400 <= code < 500 for code, _ in recipients.values())
    status = DeliveryStatus.RETRY if temporary else DeliveryStatus.REFUSED
    return Delivery(status, "all recipients were refused", refused=_answers(recipients))


def _answers(recipients: Mapping[str, tuple[int, bytes]]) -> dict[str, str]:
    return {address: _answer(code, text) for address, (code, text) in recipients.items()}


def _answer(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} " + " ".join(words.split())[:160]


def _plain_address(address: str) -> bool:
    name, at, domain = address.rpartition("@")
    return (
        bool(name and at and domain)
        and address.isascii()
        and address.isprintable()
        and not set(address) & set(' ,;<>"')
    )
