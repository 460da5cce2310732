"""Decides to which addresses a notification may be sent. It resolves no name.

Whoever may name a sink must not thereby reach the cluster, or what only its machines reach.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"), ipaddress.IPv6Network("::/96"))
"""IPv6 addresses whose last 32 bits are the IPv4 address that is reached.

NAT64 (RFC 6052), SIIT (RFC 7915), compatible (RFC 4291)."""
_TUNNELS: tuple[Network, ...] = (
    *(ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("64:ff9b:1::/48")),
    ipaddress.IPv4Network("192.88.99.0/24"),
)
"""Addresses that lead to others in another way: 6to4, Teredo, private NAT64, and the relays of 6to4. No receiver needs one."""
_PUBLIC = ipaddress.IPv6Network("2000::/3")
"""All IPv6 addresses that IANA has assigned for the internet."""
_METADATA: tuple[Network, ...] = (ipaddress.IPv6Network("fd00:ec2::/32"), ipaddress.IPv4Network("168.63.129.16/32"))
"""Metadata services of clouds at addresses that are not link-local: AWS's over IPv6, and Azure's WireServer, in a public network."""


@dataclass(frozen=True)
class Allowed:
    """The addresses that a sink may have: on the internet or in `networks`, and never one of the `cluster`'s own.

    `cluster`: addresses of the API server, of the operator's pods and of its node, as far as they are known.
    """

    networks: tuple[Network, ...] = ()
    cluster: frozenset[Address] = frozenset()

    def refusal(self, text: str) -> str:
        """Returns why nothing is sent to an address; empty if it is allowed. An address that encodes another one is treated as that."""
        try:
            address = _plain(ipaddress.ip_address(text))
        except ValueError:
            return "it is not an address"
        if address in self.cluster:
            return "it is one of the cluster's own"
        if address.is_unspecified or address.is_multicast or address.is_link_local or _has(_METADATA, address):
            return "it is unspecified, multicast, link-local or of a cloud's metadata"
        if _has(_TUNNELS, address):
            return "it is a tunnel to another address"
        if self.names(address) or (address.is_global and not address.is_reserved and (address.version == 4 or address in _PUBLIC)):
            return ""
        return "it is not public, and --notify-allow-networks does not name its network"

    def names(self, address: Address) -> bool:
        """Returns True if one of `networks` has the address."""
        return _has(self.networks, address)

    def named(self, text: str) -> bool:
        """Returns the same of an address as text."""
        return self.names(_plain(ipaddress.ip_address(text)))


def _has(networks: Iterable[Network], address: Address) -> bool:
    return any(address in each for each in networks if each.version == address.version)


def _plain(address: Address) -> Address:
    """Returns the IPv4 address that an IPv6 address encodes; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in each for each in _TRANSLATED) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return ipaddress.IPv6Address(int(address))  # without the zone of a link-local one


def addresses(texts: Iterable[str]) -> frozenset[Address]:
    """Returns the texts that are addresses, in the form in which they are compared."""
    parsed = set()
    for text in texts:
        try:
            parsed.add(_plain(ipaddress.ip_address(text.strip().strip("[]"))))
        except ValueError:
            continue
    return frozenset(parsed)
