"""Allowed addresses of notifications: the internet and networks that a setting names.

Addresses that only the cluster's machines reach are refused.
"""

from __future__ import annotations

import ipaddress

import pytest

from dynamiq_operator.controller.notifications.addresses import Allowed, addresses

INTERNET = ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34")
ALWAYS_REFUSED = (
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "::a9fe:a9fe",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "192.88.99.1",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "nonsense",
    "",
)
NAMED_ALONE = ("10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "::1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "240.0.0.1", "fd12::1")
MORE_NAMED = ("255.255.255.255", "fec0::1", "::ffff:10.1.2.3", "64:ff9b::a01:203", "::ffff:127.0.0.1", "::7f00:1")
EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@pytest.mark.parametrize("address", INTERNET)
def test_public_addresses_may_be_notified(address: str) -> None:
    assert not Allowed().refusal(address)


@pytest.mark.parametrize("address", ALWAYS_REFUSED)
def test_link_local_and_reserved_addresses_are_always_refused(address: str) -> None:
    assert Allowed().refusal(address)
    assert Allowed(EVERYTHING).refusal(address)


@pytest.mark.parametrize("address", [*NAMED_ALONE, *MORE_NAMED])
def test_a_private_address_is_refused_until_a_setting_names_its_network(address: str) -> None:
    assert "--notify-allow-networks" in Allowed((ipaddress.ip_network("203.0.113.0/24"),)).refusal(address)
    assert not Allowed(EVERYTHING).refusal(address)


@pytest.mark.parametrize("address", ["10.96.0.1", "::ffff:10.96.0.1", "64:ff9b::a60:1"])
def test_the_clusters_own_is_refused_though_its_network_is_allowed(address: str) -> None:
    assert "cluster" in Allowed(EVERYTHING, addresses(["10.96.0.1", "", "no address"])).refusal(address)
