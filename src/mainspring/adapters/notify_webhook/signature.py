"""The signature of a webhook, by the Standard Webhooks specification (symmetric scheme, ``v1``).

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)


def key_of(secret: str) -> bytes:
    """Return the key a secret stands for: base64 after ``whsec_``, of 24 to 64 bytes. Raises `ValueError`.

    The message says nothing of the secret itself.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a webhook secret is {PREFIX!r} and base64") from None
    if len(key) not in SECRET_BYTES:
        raise ValueError(f"a webhook secret has 24 to 64 bytes, this one has {len(key)}")
    return key


def signed(keys: Sequence[bytes], *, key: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the three headers of a webhook.

    Args:
        keys: One signature is made with each: during a rotation receivers may know the old one or the new one.
        key: The message's id, the same whenever it is sent again.
        timestamp: When this try is made, in seconds since 1970.
        body: The bytes that are sent.
    """
    content = f"{key}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, content, hashlib.sha256).digest() for secret in keys)
    signatures = " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)
    return {"webhook-id": key, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}
