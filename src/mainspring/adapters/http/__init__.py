"""The one HTTP client for calls to the outside."""

from mainspring.adapters.http.addresses import AddressPolicy, Allowed
from mainspring.adapters.http.client import HttpLimits, OutboundHttp
from mainspring.adapters.http.targets import TargetLimits, Targets

__all__ = ["AddressPolicy", "Allowed", "HttpLimits", "OutboundHttp", "TargetLimits", "Targets"]
