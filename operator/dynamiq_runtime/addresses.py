"""Decides to which addresses callbacks may go, and which texts are URLs of callbacks. It resolves and connects nothing.

Sources: IANA's registries of special-purpose addresses, for IPv4 and IPv6; the metadata services of clouds by their manuals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

URL_LIMIT = 2048  # characters
_URL = re.compile(
    r"https://(?:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?(?:[/?][!-~]*)?"
)
"""Matches URLs that every parser reads alike: no user info, backslash, blank, or character that is not ASCII."""
_NUMBER = re.compile(r"[0-9]+|0[Xx][0-9A-Fa-f]*")
"""Matches a last label by which a host is an address, whatever else it looks like (WHATWG URL, "ends in a number")."""


class Reach(Enum):
    """Who may be called at an address. INTERNAL: only a host that the App lists. NEVER: no host, whoever lists it."""

    PUBLIC = "public"
    INTERNAL = "internal"
    NEVER = "never"


def _v4(*networks: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, networks))


def _v6(*networks: str) -> tuple[IPv6Network, ...]:
    return tuple(map(IPv6Network, networks))


_NEVER_4 = _v4(
    "0.0.0.0/8",  # this network
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, with the metadata of most clouds
    "192.0.0.0/24",  # protocol assignments, with the metadata of Oracle's cloud
    "192.88.99.0/24",  # relays of 6to4
    "100.100.100.200/32",  # metadata of Alibaba's cloud
    "168.63.129.16/32",  # of Azure's: public by its range
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, with broadcast
)
_INTERNAL_4 = _v4(
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",  # shared
    "198.18.0.0/15",  # benchmarks
    "192.0.2.0/24",  # documentation
    "198.51.100.0/24",
    "203.0.113.0/24",
)
_GLOBAL_6 = IPv6Network("2000::/3")
"""Addresses outside of it are NEVER reached, but for those below: loopback, IPv4-compatible ones, NAT64 of a network's own, and many more."""
_NEVER_6 = _v6(
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
    "2002::/16",  # 6to4
    "fd00:ec2::254/128",  # metadata of AWS
    "fd20:ce::254/128",  # of Google's cloud
    "fd00:42::42/128",  # of Scaleway's
)
_INTERNAL_6 = _v6(
    "fc00::/7",
    "2001:db8::/32",  # documentation
    "3fff::/20",
)
_LEADS_TO_4 = _v6("::ffff:0:0/96", "64:ff9b::/96")
"""IPv4-mapped addresses, and those of NAT64: the IPv4 address in them decides."""


def reach_of(address: str) -> Reach:
    """Returns who may be called at an address: a text without brackets. Any other text is NEVER one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return Reach.NEVER
    return _of_v4(parsed) if isinstance(parsed, IPv4Address) else _of_v6(parsed)


def is_allowed(address: str, *, listed: bool) -> bool:
    """Returns True if a callback may be sent to an address. `listed`: True for a host that the App lists."""
    reach = reach_of(address)
    return reach is Reach.PUBLIC or (listed and reach is Reach.INTERNAL)


def are_allowed(addresses: Iterable[str], *, listed: bool) -> bool:
    """Returns True if a host's addresses are all allowed: one that also has another may be about to give that one."""
    return all(is_allowed(each, listed=listed) for each in addresses)


def host_of(url: str) -> str | None:
    """Returns the host of a callback's URL, in lower case and without brackets; None if the text is no such URL."""
    match = _URL.fullmatch(url) if len(url) <= URL_LIMIT and "#" not in url else None
    if match is None or (match["port"] is not None and not 1 <= int(match["port"]) <= 65535):
        return None
    host: str = (match["name"] or match["v6"]).lower()
    if match["v6"] is None and (".." in host or len(host) > 254 or any(len(label) > 63 for label in host.split("."))):
        return None
    return host


def is_literal(host: str) -> bool:
    """Returns True for a host that is an address, also in an old form such as `127.1` or `0x7f000001`."""
    return ":" in host or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def _of_v4(address: IPv4Address) -> Reach:
    if any(address in network for network in _NEVER_4):
        return Reach.NEVER
    return Reach.INTERNAL if any(address in network for network in _INTERNAL_4) else Reach.PUBLIC


def _of_v6(address: IPv6Address) -> Reach:
    """Returns the reach; of an address that leads to an IPv4 address that of the latter."""
    if address.scope_id is not None:
        return Reach.NEVER
    if any(address in network for network in _LEADS_TO_4):
        return _of_v4(IPv4Address(int(address) & 0xFFFF_FFFF))
    if any(address in network for network in _NEVER_6):
        return Reach.NEVER
    if any(address in network for network in _INTERNAL_6):
        return Reach.INTERNAL
    return Reach.PUBLIC if address in _GLOBAL_6 else Reach.NEVER
