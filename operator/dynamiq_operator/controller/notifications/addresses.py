"""Which addresses a notification may be sent to. Who may name a sink is not thereby let into the cluster, or to what its machines alone reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"), ipaddress.IPv6Network("::/96"))
"""Addresses of IPv6 whose last 32 bits are the address of IPv4 that is reached: NAT64 (RFC 6052), SIIT (RFC 7915), compatible (RFC 4291)."""
_TUNNELS: tuple[Network, ...] = (
    *(ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("64:ff9b:1::/48")),
    ipaddress.IPv4Network("192.88.99.0/24"),
)
"""Addresses that lead to others in another way: 6to4, Teredo, NAT64 of one's own, and the relays of 6to4. No receiver needs one."""
_PUBLIC = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out of IPv6 for the internet."""
_METADATA: tuple[Network, ...] = (ipaddress.IPv6Network("fd00:ec2::/32"), ipaddress.IPv4Network("168.63.129.16/32"))
"""Where a cloud's metadata are, at an address that is no link-local one: AWS's over IPv6, and Azure's WireServer, which is of a public network."""


@dataclass(frozen=True)
class Allowed:
    """What a sink's address may be: of the internet, or of `networks`, and never one of the `cluster`'s own.

    `cluster`: addresses of the API server, of the operator's pods and of its node, as far as they are known.
    """

    networks: tuple[Network, ...] = ()
    cluster: frozenset[Address] = frozenset()

    def refusal(self, text: str) -> str:
        """Why nothing is sent to an address; empty where it may be. An address in words that say another one is that one."""
        try:
            found = _plain(ipaddress.ip_address(text))
        except ValueError:
            return "it is no address"
        if found in self.cluster:
            return "it is one of the cluster's own"
        if found.is_unspecified or found.is_multicast or found.is_link_local or _has(_METADATA, found):
            return "it is unspecified, multicast, link-local or of a cloud's metadata"
        if _has(_TUNNELS, found):
            return "it leads to another one by a tunnel"
        if self.names(found) or (found.is_global and not found.is_reserved and (found.version == 4 or found in _PUBLIC)):
            return ""
        return "it is of no public network, and --notify-allow-networks does not name it"

    def names(self, address: Address) -> bool:
        """Whether one of `networks` has the address."""
        return _has(self.networks, address)

    def named(self, text: str) -> bool:
        """The same of an address in words."""
        return self.names(_plain(ipaddress.ip_address(text)))


def _has(networks: Iterable[Network], address: Address) -> bool:
    return any(address in each for each in networks if each.version == address.version)


def _plain(address: Address) -> Address:
    """The address of IPv4 that one of IPv6 stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in each for each in _TRANSLATED) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return ipaddress.IPv6Address(int(address))  # without the zone of a link-local one


def addresses(texts: Iterable[str]) -> frozenset[Address]:
    """Those of the texts that are addresses, as they are compared."""
    found = set()
    for text in texts:
        try:
            found.add(_plain(ipaddress.ip_address(text.strip().strip("[]"))))
        except ValueError:
            continue
    return frozenset(found)
