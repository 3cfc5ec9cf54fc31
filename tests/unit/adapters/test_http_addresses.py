from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.adapters.http.addresses import AddressPolicy, Allowed, not_public

REFUSED = {
    "0.0.0.0": "this host",
    "10.255.255.255": "private",
    "100.100.100.200": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "a cloud's own services",
    "169.254.169.254": "link-local",
    "172.31.0.1": "private",
    "192.0.0.8": "reserved",
    "192.168.1.1": "private",
    "198.19.0.1": "benchmarking",
    "203.0.113.7": "documentation",
    "224.0.0.251": "multicast",
    "255.255.255.255": "reserved",
    "::": "reserved",
    "::1": "loopback",
    "::7f00:1": "reserved",
    "::ffff:127.0.0.1": "IPv4 in IPv6",
    "::ffff:8.8.8.8": "IPv4 in IPv6",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "reserved",
    "2001:0:7f00:1::": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "3fff::1": "documentation",
    "fc00::1": "unique-local",
    "fd00:ec2::254": "unique-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "2606:4700::1%eth0": "link-local",
    "fec0::1": "reserved",
    "ff02::1": "multicast",
    "4000::1": "reserved",
}


@pytest.mark.parametrize(("address", "what"), REFUSED.items())
def test_what_is_not_public_is_refused_and_named(address: str, what: str) -> None:
    assert AddressPolicy().objection(address, 443) == what


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111"])
def test_the_public_internet_is_open_on_its_usual_ports(address: str) -> None:
    assert AddressPolicy().objection(address, 443) is None
    assert AddressPolicy().objection(address, 80) is None
    assert AddressPolicy().objection(address, 6379) == "port 6379 is not allowed"


@given(st.ip_addresses())
def test_it_is_never_laxer_than_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not_public(address) is not None


@given(st.ip_addresses(v=4))
def test_no_spelling_of_ipv4_in_ipv6_gets_through(address: IPv4Address) -> None:
    for prefix in ("::", "::ffff:", "64:ff9b::", "64:ff9b:1::"):
        assert not_public(ip_address(f"{prefix}{address}")) is not None
    high, low = int(address) >> 16, int(address) & 0xFFFF
    assert not_public(ip_address(f"2002:{high:x}:{low:x}::1")) is not None


def test_an_allowed_target_is_a_network_and_a_port() -> None:
    policy = AddressPolicy.allowing(["10.20.0.0/16:8443", "[fd00::/8]:443"])
    assert policy.objection("10.20.3.4", 8443) is None
    assert policy.objection("fd12::1", 443) is None
    assert policy.objection("10.20.3.4", 443) == "private"
    assert policy.objection("10.21.3.4", 8443) == "port 8443 is not allowed"
    assert policy.objection("::ffff:10.20.3.4", 8443) is not None


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:70000", "10.0.0.1/8:80", ":80"]
)
def test_an_allowed_target_that_says_too_little_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|network|host bits"):
        Allowed.parse(text)


def test_what_is_no_address_is_refused() -> None:
    assert AddressPolicy().objection("localhost", 80) == "not an address"
