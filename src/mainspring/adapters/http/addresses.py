"""Which network addresses may be reached from here: the public internet, and what an operator has allowed by name.

Pure: it judges an address that was resolved already. Text that merely looks like an address (octal, hexadecimal, one
big number) is the resolver's to read; what it answers comes here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: IANA's special-purpose IPv4 blocks, and one address that is public by number only. Written out rather than taken
#: from ``is_global``, whose answers differ between Python versions.
_NOT_PUBLIC_4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(block), what)
    for block, what in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's own services"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

#: Of IPv6 only the global unicast block is public, without the parts of it that are not, or that lead into IPv4.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(block), what)
    for block, what in (
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4 in IPv6"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """A network and a port that may be reached although they are not public, or the port is unusual.

    >>> Allowed.parse("10.20.0.0/16:8443")
    Allowed(network=IPv4Network('10.20.0.0/16'), port=8443)
    >>> Allowed.parse("[fd00::/8]:443").port
    443
    """

    network: Network
    port: int

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Read ``NETWORK:PORT``, with brackets around an IPv6 network. Raises `ValueError`."""
        network, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r} names no port: write 10.20.0.0/16:8443 or [fd00::/8]:443")
        return cls(ip_network(network.removeprefix("[").removesuffix("]")), int(port))


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses on ``ports``, and whatever ``allow`` names."""

    allow: tuple[Allowed, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})

    @classmethod
    def allowing(cls, targets: Iterable[str]) -> AddressPolicy:
        """Return the default policy that also allows these targets; see `Allowed.parse`."""
        return cls(tuple(Allowed.parse(target) for target in targets))

    def objection(self, address: str, port: int) -> str | None:
        """Return why an address must not be connected to, or None.

        >>> AddressPolicy().objection("169.254.169.254", 80)
        'link-local'
        >>> AddressPolicy.allowing(["127.0.0.1/32:8080"]).objection("127.0.0.1", 8080)
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return "not an address"
        if any(parsed in entry.network and port == entry.port for entry in self.allow):
            return None
        if port not in self.ports:
            return f"port {port} is not allowed"
        return not_public(parsed)


def not_public(address: Address) -> str | None:
    """Return what an address is, if it is not one of the public internet.

    >>> not_public(ip_address("64:ff9b::a00:1"))
    'NAT64'
    >>> not_public(ip_address("8.8.8.8"))
    """
    if isinstance(address, IPv4Address):
        return next((what for block, what in _NOT_PUBLIC_4 if address in block), None)
    if address.scope_id is not None:
        return "link-local"
    found = next((what for block, what in _NOT_PUBLIC_6 if address in block), None)
    return found or (None if address in _PUBLIC_6 else "reserved")
