"""The lease: whatever goes wrong with it, nobody goes on working without it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.leader import Lease

SOON = 10.0  # seconds


class _Broken:
    """A client that fails in a way that no API server answers, `times` times, and then has a free lease."""

    def __init__(self, times: float) -> None:
        self.left = times

    async def get(self, *_: Any) -> dict[str, Any]:
        self.left -= 1
        if self.left >= 0:
            raise RuntimeError("unforeseen")
        return {"metadata": {"resourceVersion": "1"}, "spec": {}}

    async def request(self, *_: Any, body: dict[str, Any]) -> dict[str, Any]:
        return body


async def test_an_unexpected_error_is_not_taken_for_the_lease() -> None:
    client = _Broken(1)
    lease = Lease(cast(Client, client), "ns", "lease", "me")
    await asyncio.wait_for(lease.acquire(), SOON)
    assert client.left < 0
    lease.require()


async def test_a_leader_that_cannot_renew_after_an_unexpected_error_stops() -> None:
    lost = asyncio.Event()
    await asyncio.wait_for(Lease(cast(Client, _Broken(float("inf"))), "ns", "lease", "me").hold(lost.set), SOON)
    assert lost.is_set()
