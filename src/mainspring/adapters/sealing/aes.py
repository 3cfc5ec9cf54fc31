"""AES-256-GCM with named keys: the first one seals, each of them opens what was sealed with it.

A sealed text is ``sealed:1:KEY:BASE64``: the nonce, then what was encrypted. Key and purpose are authenticated with it.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mainspring.errors import SealedError
from mainspring.ports.sealing import PREFIX

KEY_BYTES, NONCE_BYTES = 32, 12
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


def read_keys(text: str) -> dict[str, bytes]:
    """Read ``name:base64,name:base64``, the key that seals first. Raises `ValueError`, which repeats no key.

    >>> list(read_keys("k2:" + "A" * 43 + "=,k1:" + "B" * 43 + "="))
    ['k2', 'k1']
    """
    keys: dict[str, bytes] = {}
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        name, _, encoded = part.partition(":")
        if not _NAME.fullmatch(name):
            raise ValueError(f"key {number} has no name: write NAME:BASE64")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key {name} is no base64") from None
        if len(key) != KEY_BYTES:
            raise ValueError(f"key {name} must be {KEY_BYTES} bytes, not {len(key)}")
        if name in keys:
            raise ValueError(f"key {name} is there twice")
        keys[name] = key
    return keys


class AesSealer:
    """`Sealer` with the keys of `read_keys`; at least one."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._first = next(iter(keys))

    def seal(self, secret: str, purpose: str) -> str:
        nonce, name = secrets.token_bytes(NONCE_BYTES), self._first
        sealed = nonce + self._keys[name].encrypt(nonce, secret.encode(), _bound_to(name, purpose))
        return f"{PREFIX}1:{name}:{base64.b64encode(sealed).decode()}"

    def open(self, stored: str, purpose: str) -> str:
        if not stored.startswith(PREFIX):
            return stored
        name, sealed = _parts(stored)
        if name not in self._keys:
            raise SealedError(f"sealed with key {name}, which is not among secret_keys here")
        try:
            opened = self._keys[name].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(name, purpose))
        except (InvalidTag, ValueError):
            why = f"not opened by key {name}: another key of that name sealed it, or it was changed"
            raise SealedError(why) from None
        return opened.decode()

    def is_current(self, stored: str) -> bool:
        return stored.startswith(f"{PREFIX}1:{self._first}:")


def _parts(stored: str) -> tuple[str, bytes]:
    try:
        version, name, encoded = stored.removeprefix(PREFIX).split(":", 2)
        sealed = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise SealedError("in no form that this version knows") from None
    if version != "1":
        raise SealedError(f"in form {version[:10]}, which this version does not know")
    return name, sealed


def _bound_to(name: str, purpose: str) -> bytes:
    return f"mainspring/1/{name}/{purpose}".encode()
