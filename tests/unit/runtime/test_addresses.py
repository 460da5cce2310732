"""Callbacks go to public addresses, or to internal ones of listed hosts, and never to others, whatever a name leads to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_runtime import posting
from dynamiq_runtime.addresses import Reach, host_of, is_literal, reach_of
from dynamiq_runtime.posting import FORBIDDEN, Answer, Poster
from tests.support.callbacks import Receiver, own_address, status
from tests.unit.support.certificates import serving_context

PUBLIC = (
    *("8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1"),
    *("169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.167.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "2620:fe::fe"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
)
INTERNAL = (
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "100.64.0.1", "100.127.255.255"),
    *("198.18.0.1", "198.19.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "::ffff:10.0.0.1", "::ffff:192.168.1.1"),
    *("64:ff9b::10.0.0.1", "64:ff9b::c0a8:101", "fc00::1", "fd00::1", "fdff:ffff::1", "2001:db8::1", "3fff::1"),
)
NEVER = (
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "192.0.0.1", "192.0.0.192"),
    *("192.88.99.1", "100.100.100.200", "168.63.129.16", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::127.0.0.1", "::10.0.0.1"),
    *("::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::10.0.0.1", "64:ff9b:1::808:808", "100::1"),
    *("2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"),
    *("fd00:ec2::254", "fd20:ce::254", "fd00:42::42", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "5f00::1"),
    *("4000::1", "127.1", "0177.0.0.1", "1.2.3"),
)


@pytest.mark.parametrize(
    ("address", "reach"),
    [*((each, Reach.PUBLIC) for each in PUBLIC), *((each, Reach.INTERNAL) for each in INTERNAL), *((each, Reach.NEVER) for each in NEVER)],
)
def test_each_address_is_known_for_who_may_be_called_there(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example", "a.example"),
        ("https://A.Example:8443/x?y=%20", "a.example"),
        ("https://[2606:4700::1111]:443/", "2606:4700::1111"),
        ("https://a.example.?x", "a.example."),
        ("https://a.example@b.example/", None),
        ("https://a.example\\@b.example/", None),
        ("https://a.example#b", None),
        ("https://a.example/\r\nX: y", None),
        ("https:///a.example", None),
        ("https:a.example", None),
        ("//a.example", None),
        ("https://a.example:99999/", None),
        ("https://%61.example/", None),
        ("https://[::1%25eth0]/", None),
        ("https://a｡example/", None),
    ],
)
def test_only_a_url_that_every_parser_reads_alike_has_a_host(url: str, host: str | None) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "10.0.0.1.", "::1", "1.0x"])
def test_a_host_that_is_an_address_in_any_form_is_none_by_name(host: str) -> None:
    assert is_literal(host)


# Connections.


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made, authority = serving_context(tmp_path, "a.example", own_address(), "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    return made


@pytest.fixture
def here(context: Any) -> Iterator[Receiver]:
    """Returns a receiver at every address of this machine."""
    with Receiver(context, "0.0.0.0") as receiver:
        yield receiver


class Names:
    """A name server. `answers`: the addresses of each lookup, the last one for all that follow. `asked`: lookups so far."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, port, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]


async def post(url: str, names: Names, *, listed: bool = False) -> Answer:
    poster = Poster(1, names)
    try:
        return await poster.post(url, b"{}", {}, listed=listed)
    finally:
        poster.close()


def literal(address: str, port: int) -> str:
    return f"https://[{address}]:{port}/" if ":" in address else f"https://{address}:{port}/"


async def test_nothing_connects_to_an_address_that_is_forbidden_by_name_or_as_it_is(here: Receiver) -> None:
    forbidden = [(each, listed) for each in NEVER for listed in (False, True)] + [(each, False) for each in INTERNAL]
    assert len({address for address, _ in forbidden}) >= 60
    for address, listed in forbidden:
        assert await post(literal(address, here.port), Names((address,)), listed=listed) == Answer(None, FORBIDDEN), address
        assert await post(f"https://a.example:{here.port}/", Names((address,)), listed=listed) == Answer(None, FORBIDDEN), address
    print(f"{len({address for address, _ in forbidden})} addresses, {2 * len(forbidden)} callbacks: {here.connections} connected")
    assert (here.connections, here.calls) == (0, [])


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "own"])
async def test_the_same_requests_connect_where_nothing_is_checked(here: Receiver, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test before would show nothing."""
    monkeypatch.setattr(posting, "is_allowed", lambda *_, **__: True)
    monkeypatch.setattr(posting, "are_allowed", lambda *_, **__: True)
    address = own_address() if address == "own" else address
    await post(f"https://a.example:{here.port}/", Names((address,)))
    assert (here.connections, len(here.calls)) == (1, 1)


async def test_one_forbidden_address_of_a_name_forbids_it(here: Receiver) -> None:
    for addresses in ((own_address(), "127.0.0.1"), ("127.0.0.1", own_address()), (own_address(), "::1")):
        assert (await post(f"https://a.example:{here.port}/", Names(addresses), listed=True)).error == FORBIDDEN
    assert here.connections == 0


async def test_a_name_that_changes_its_address_is_resolved_once_for_each_attempt(here: Receiver) -> None:
    names = Names((own_address(),), ("127.0.0.1",))
    url = f"https://a.example:{here.port}/"
    assert await post(url, names, listed=True) == Answer(204)
    assert (names.asked, here.connections) == (1, 1), "the address that was checked is the one that was called"
    assert await post(url, names, listed=True) == Answer(None, FORBIDDEN)
    assert here.connections == 1


async def test_what_is_resolved_without_a_check_is_checked_before_the_connection(here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "are_allowed", lambda *_, **__: True)
    assert await post(f"https://a.example:{here.port}/", Names(("127.0.0.1",)), listed=True) == Answer(None, FORBIDDEN)
    assert here.connections == 0


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(here: Receiver, context: Any, code: int) -> None:
    with Receiver(context, own_address()) as redirects:
        redirects.respond = status(code, Location=f"https://127.0.0.1:{here.port}/")
        assert await post(f"https://a.example:{redirects.port}/", Names((own_address(),)), listed=True) == Answer(code)
    assert (len(redirects.calls), here.connections) == (1, 0)


async def test_no_proxy_of_the_environment_is_used(here: Receiver, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{here.port}")
    with Receiver(context, own_address()) as receiver:
        assert await post(f"https://a.example:{receiver.port}/", Names((own_address(),)), listed=True) == Answer(204)
    assert here.connections == 0
