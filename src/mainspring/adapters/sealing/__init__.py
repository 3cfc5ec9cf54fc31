"""Secrets at rest, sealed with AES-256-GCM."""

from mainspring.adapters.sealing.aes import AesSealer, read_keys

__all__ = ["AesSealer", "read_keys"]
