"""The Gateway API may be installed and removed: the operator checks for it while an App needs it, at a limited rate."""

from __future__ import annotations

import asyncio

import pytest

from dynamiq_operator.controller.cached.gateway_api import DISCOVERY_PERIOD
from dynamiq_operator.kube import errors
from tests.support.controller import Process
from tests.support.scripted import Script, failure
from tests.support.waiting import IN_TIME

PATH = "/apis/gateway.networking.k8s.io/v1"


async def test_it_is_looked_for_at_intervals_until_it_is_installed(process: Process, script: Script) -> None:
    script.on("GET", PATH, failure(404, "NotFound"), {"resources": [{"name": "gateways"}]}, {"resources": [{"name": "httproutes"}]})
    for _ in range(2):
        assert not await process.gateway_api.require()
    assert len(script.sent) == 1
    process.clock.later(DISCOVERY_PERIOD)
    assert not await process.gateway_api.require()
    found = asyncio.create_task(process.gateway_api.until_may_list())
    await asyncio.sleep(0)
    assert not found.done()
    process.clock.later(DISCOVERY_PERIOD)
    assert not await process.gateway_api.require(), "it can be used once its routes are watched"
    await asyncio.wait_for(found, IN_TIME)


async def test_it_is_not_looked_for_while_it_is_served(process: Process, script: Script) -> None:
    process.gateway_api.on_listed(True)
    assert await process.gateway_api.require()
    assert script.sent == []


async def test_an_unavailable_api_server_does_not_mean_that_the_gateway_api_is_missing(process: Process, script: Script) -> None:
    script.on("GET", PATH, failure(503, "ServiceUnavailable"))
    with pytest.raises(errors.Unavailable):
        await process.gateway_api.require()
