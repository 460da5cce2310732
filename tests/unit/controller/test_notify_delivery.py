"""One attempt of a delivery: to the checked address alone, without redirects or proxies. Only the status of the answer is used."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from dynamiq_operator.controller.notifications.addresses import Allowed, Network, addresses
from dynamiq_operator.controller.notifications.delivery import Delivery, Lost, NotDeliveredError, Resolve, system_addresses
from dynamiq_operator.controller.notifications.forms import SIGNATURE, Written, signature
from dynamiq_operator.controller.notifications.sinks import Target
from tests.unit.support.answering import saying
from tests.unit.support.certificates import serving_context
from tests.unit.support.sinks import Receiver, receiving

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
EVENT = Written(b'{"id":"1"}', {"Content-Type": "application/cloudevents+json"})


class Names:
    """A resolver that returns each answer in turn, then repeats the last one. `asked`: the number of lookups."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(Receiver()) as made:
        yield made


async def post(target: Target, resolve: Resolve | None = None, *, networks: tuple[Network, ...] = LOOPBACK) -> None:
    async def allowed() -> Allowed:
        return Allowed(networks, addresses(["127.0.0.1"]))  # where the API server is

    async with Delivery(allowed, plain_http=True, resolve=resolve or system_addresses) as delivery:
        await delivery.post(target, EVENT)


async def refused(url: str, resolve: Resolve | None = None, **how: Any) -> NotDeliveredError:
    with pytest.raises(NotDeliveredError) as found:
        await post(Target(URL(url)), resolve, **how)
    assert "hooks" not in str(found.value)
    return found.value


async def test_it_is_sent_once_with_a_signature_and_under_the_name_of_the_url(receiver: Receiver) -> None:
    resolve = Names(["127.0.0.2"])
    await post(Target(URL(f"http://hooks.example.com:{receiver.port}/in?token=1"), b"0123456789abcdef"), resolve)
    ((body, headers),) = receiver.got
    assert (body, headers["Host"]) == (EVENT.body, f"hooks.example.com:{receiver.port}")
    seconds = int(headers[SIGNATURE].removeprefix("t=").partition(",")[0])
    assert headers[SIGNATURE] == signature(b"0123456789abcdef", seconds, body)
    assert resolve.asked == 1, "what was looked at is what is connected to"


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "0.0.0.0", "::"])
async def test_a_name_of_a_forbidden_address_gets_no_connection(address: str, receiver: Receiver) -> None:
    error = await refused(f"http://hooks.example.com:{receiver.port}/", Names([address]))
    assert (error.reason, receiver.got) == (Lost.FORBIDDEN, [])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "169.254.169.254", "0"]
)
async def test_nor_does_such_an_address_in_any_writing(host: str) -> None:
    async with receiving(Receiver(), "127.0.0.1") as at_the_api_servers:
        error = await refused(f"http://{host}:{at_the_api_servers.port}/")
        assert error.reason in (Lost.FORBIDDEN, Lost.UNREACHABLE)
        assert not at_the_api_servers.got


async def test_one_forbidden_address_among_others_is_enough(receiver: Receiver) -> None:
    error = await refused(f"http://hooks.example.com:{receiver.port}/", Names(["127.0.0.2", "169.254.169.254"]))
    assert (error.reason, receiver.got) == (Lost.FORBIDDEN, [])


async def test_a_name_that_changes_between_look_and_connection_leads_nowhere_else(receiver: Receiver) -> None:
    async with receiving(Receiver(), "127.0.0.1") as at_the_api_servers:
        resolve = Names(["127.0.0.2"], ["127.0.0.1"])
        await post(Target(URL(f"http://hooks.example.com:{receiver.port}/")), resolve)
        error = await refused(f"http://hooks.example.com:{at_the_api_servers.port}/", resolve)
        assert (error.reason, len(receiver.got), at_the_api_servers.got) == (Lost.FORBIDDEN, 1, [])


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    async with receiving(Receiver(), "127.0.0.3") as elsewhere:
        receiver.answer = saying(status=307, Location=f"http://127.0.0.3:{elsewhere.port}/")
        error = await refused(f"http://127.0.0.2:{receiver.port}/")
        assert (error.reason, error.again, elsewhere.got) == (Lost.REFUSED, False, [])


async def test_a_proxy_of_the_environment_is_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(Receiver(), "127.0.0.3") as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.3:{proxy.port}")
        await post(Target(URL(f"http://hooks.example.com:{receiver.port}/")), Names(["127.0.0.2"]))
        assert (len(receiver.got), proxy.got) == (1, [])


async def test_a_private_network_is_notified_only_if_a_setting_names_it(receiver: Receiver) -> None:
    url = f"http://hooks.example.com:{receiver.port}/"
    assert (await refused(url, Names(["127.0.0.2"]), networks=())).reason is Lost.FORBIDDEN
    await post(Target(URL(url)), Names(["127.0.0.2"]))


@pytest.mark.parametrize("port", [22, 6443, 10250, 2379])
async def test_public_addresses_are_notified_at_web_ports_only(port: int) -> None:
    error = await refused(f"https://hooks.example.com:{port}/", Names(["93.184.216.34"]))
    assert (error.reason, str(port) in str(error)) == (Lost.FORBIDDEN, True)


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (429, True), (408, True), (400, False), (404, False), (410, False)]
)
async def test_a_temporary_failure_is_retried_and_a_refusal_is_not(status: int, again: bool, receiver: Receiver) -> None:
    receiver.answer = saying(status=status)
    error = await refused(f"http://127.0.0.2:{receiver.port}/")
    assert (error.again, str(status) in str(error)) == (again, True)


async def test_an_answer_without_end_is_not_read(receiver: Receiver) -> None:
    async def endless() -> web.StreamResponse:
        return web.Response(body=b"x" * 50_000_000)

    receiver.answer = endless
    await post(Target(URL(f"http://127.0.0.2:{receiver.port}/")))
    assert len(receiver.got) == 1


async def test_an_unresolvable_name_is_not_in_its_error() -> None:
    def fails(host: str, port: int) -> Sequence[str]:
        raise OSError(f"no address of {host}")

    assert (await refused("https://hooks.example.com/", fails)).reason is Lost.UNREACHABLE


async def test_https_is_for_the_name_of_the_url_and_an_unknown_authority_is_none(tmp_path: Path) -> None:
    serving, authority = serving_context(tmp_path, "hooks.example.com")
    trusting = ssl.create_default_context(cafile=str(authority))
    async with receiving(Receiver(), trust=serving) as made:
        await post(Target(URL(f"https://hooks.example.com:{made.port}/"), None, trusting), Names(["127.0.0.2"]))
        assert len(made.got) == 1
        with pytest.raises(NotDeliveredError, match="certificate"):
            await post(Target(URL(f"https://other.example.com:{made.port}/"), None, trusting), Names(["127.0.0.2"]))
        assert (await refused(f"https://hooks.example.com:{made.port}/", Names(["127.0.0.2"]))).reason is Lost.UNREACHABLE
        assert len(made.got) == 1
