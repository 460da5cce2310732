"""Leader election: no replica leads without the lease, whatever goes wrong with it."""

from __future__ import annotations

import asyncio

from tests.support.controller import LEASE, Process
from tests.support.scripted import Reply, Script
from tests.support.waiting import IN_TIME

SOON = IN_TIME
UNEXPECTED = Reply(200, {"metadata": {"name": "dynamiq-operator"}, "spec": ["no object"]})
"""An answer that no API server gives and our code does not expect."""


async def test_an_unexpected_error_is_not_taken_for_the_lease(process: Process, script: Script) -> None:
    free = {"metadata": {"name": "dynamiq-operator", "resourceVersion": "1"}, "spec": {}}
    script.on("GET", LEASE, UNEXPECTED, free).on("PUT", LEASE, free)
    await asyncio.wait_for(process.election.acquire(), SOON)
    assert [sent.method for sent in script.sent if "watch" not in sent.query] == ["GET", "GET", "PUT"]
    process.election.require_leadership()


async def test_a_leader_that_cannot_renew_after_an_unexpected_error_stops(process: Process, script: Script) -> None:
    await process.lead()
    script.on("GET", LEASE, UNEXPECTED)
    lost = asyncio.Event()
    await asyncio.wait_for(process.election.renew_until_lost(lost.set), SOON)
    assert lost.is_set()
