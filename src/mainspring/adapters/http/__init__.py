"""The one HTTP client for calls to the outside."""

from mainspring.adapters.http.addresses import AddressPolicy, Allowed
from mainspring.adapters.http.client import HttpLimits, OutboundHttp

__all__ = ["AddressPolicy", "Allowed", "HttpLimits", "OutboundHttp"]
