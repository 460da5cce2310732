"""Leader election by a Lease: one replica leads, the others follow, and a leader that cannot renew stops in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.leader import LeaderElection, LeadershipLost
from dynamiq_operator.kube.resources import LEASES
from tests.support.controller import LEASE, QUICK, SYSTEM, Clock, Process
from tests.support.scripted import Answer, Reply, Script, Sent, failure

OTHER = "replica-b"
SOON = 10.0  # seconds


def lease(holder: str = "", version: str = "1", **spec: Any) -> dict[str, Any]:
    held = {"holderIdentity": holder, "leaseDurationSeconds": 15, **spec}
    return {"metadata": {"name": "dynamiq-operator", "namespace": SYSTEM, "resourceVersion": version}, "spec": held}


def echo(sent: Sent) -> dict[str, Any]:
    """The object as it was sent."""
    return dict(sent.body)


def passing(clock: Clock, seconds: float, answer: Answer) -> Answer:
    """An answer that comes after so many seconds of the test's clock."""

    def answered(sent: Sent) -> Any:
        clock.later(seconds)
        return answer(sent) if callable(answer) else answer

    return answered


def holders(script: Script) -> list[str]:
    """Who held the lease after each write, in order."""
    return [sent.body["spec"]["holderIdentity"] for sent in script.writes()]


async def acquire(process: Process) -> None:
    await asyncio.wait_for(process.election.acquire(), SOON)


def test_nobody_leads_at_first(process: Process) -> None:
    with pytest.raises(LeadershipLost):
        process.election.require_leadership()


async def test_lease_that_is_missing_is_created(process: Process, script: Script) -> None:
    script.on("GET", LEASE, failure(404, "NotFound")).on("POST", LEASES.path(SYSTEM), echo)
    await acquire(process)
    process.election.require_leadership()
    (created,) = script.bodies("POST", LEASES.path(SYSTEM))
    assert created["metadata"] == {"name": "dynamiq-operator", "namespace": SYSTEM}
    assert (created["spec"]["holderIdentity"], created["spec"]["leaseDurationSeconds"]) == ("replica-a", 15)


async def test_replica_that_creates_the_lease_too_late_follows(process: Process, script: Script) -> None:
    script.on("GET", LEASE, failure(404, "NotFound"), lease(OTHER), lease("", "2"))
    script.on("POST", LEASES.path(SYSTEM), failure(409, "AlreadyExists")).on("PUT", LEASE, echo)
    await acquire(process)
    assert [sent.method for sent in script.sent] == ["GET", "POST", "GET", "GET", "PUT"]


async def test_lease_that_was_released_is_taken_at_once_and_counts_the_transition(process: Process, script: Script) -> None:
    script.on("GET", LEASE, lease("", leaseTransitions=4)).on("PUT", LEASE, echo)
    await acquire(process)
    (taken,) = script.bodies("PUT", LEASE)
    assert (taken["spec"]["holderIdentity"], taken["spec"]["leaseTransitions"]) == ("replica-a", 5)
    assert taken["metadata"]["resourceVersion"] == "1", "the write is refused where another replica has taken the lease since"


async def test_lease_of_another_is_taken_when_it_has_not_changed_for_its_duration(process: Process, script: Script) -> None:
    unchanged = passing(process.clock, 6, lease(OTHER, "1"))
    renewed = passing(process.clock, 6, lease(OTHER, "2"))
    script.on("GET", LEASE, unchanged, unchanged, renewed, renewed, renewed, renewed).on("PUT", LEASE, echo)
    await acquire(process)
    # Seen to change 12 s after the first read; it expires 15 s after that, whatever renewTime says.
    assert [sent.method for sent in script.sent] == ["GET"] * 6 + ["PUT"]


async def test_another_replica_that_is_faster_leads(process: Process, script: Script) -> None:
    script.on("GET", LEASE, lease(""), lease(OTHER, "2"), lease("", "3")).on("PUT", LEASE, failure(409, "Conflict"), echo)
    await acquire(process)
    assert holders(script) == ["replica-a", "replica-a"]


async def test_replica_waits_while_the_api_server_does_not_answer(process: Process, script: Script) -> None:
    script.on("GET", LEASE, failure(503, "ServiceUnavailable"), Reply(cut=True), lease("")).on("PUT", LEASE, echo)
    await acquire(process)
    process.election.require_leadership()


async def test_leadership_ends_when_the_lease_was_not_renewed_in_time(process: Process) -> None:
    await process.lead()
    process.clock.later(10)
    process.election.require_leadership()
    process.clock.later(0.1)
    with pytest.raises(LeadershipLost):
        process.election.require_leadership()


async def test_renewal_counts_from_when_it_was_asked_for(process: Process, script: Script) -> None:
    script.on("GET", LEASE, passing(process.clock, 8, lease(""))).on("PUT", LEASE, echo)
    await acquire(process)
    process.clock.later(3)
    with pytest.raises(LeadershipLost):
        process.election.require_leadership()


async def test_leader_renews_until_another_holds_the_lease(process: Process, script: Script) -> None:
    await process.lead()
    lost = asyncio.Event()
    script.on("GET", LEASE, lease("replica-a"), failure(503, "ServiceUnavailable"), lease("replica-a", "2"), lease(OTHER, "3"))
    script.on("PUT", LEASE, echo)
    await asyncio.wait_for(process.election.renew_until_lost(lost.set), SOON)
    assert lost.is_set()
    assert holders(script) == ["replica-a", "replica-a"]
    assert "leaseTransitions" not in script.bodies("PUT", LEASE)[0]["spec"], "a renewal is no transition"


async def test_leader_that_cannot_renew_stops_at_the_deadline(process: Process, script: Script) -> None:
    await process.lead()
    lost = asyncio.Event()
    script.on("GET", LEASE, passing(process.clock, 4, failure(503, "ServiceUnavailable")))
    await asyncio.wait_for(process.election.renew_until_lost(lost.set), SOON)
    assert lost.is_set()
    assert len(script.sent) == 3, "after 4, 8 and 12 s, of which it may take 10"


async def test_lease_is_released_for_the_next_leader(process: Process, script: Script) -> None:
    await process.lead()
    script.on("GET", LEASE, lease("replica-a", leaseTransitions=2)).on("PUT", LEASE, failure(409, "Conflict"), echo)
    await process.election.release()
    assert [body["spec"] for body in script.bodies("PUT", LEASE)] == [
        {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 2}
    ] * 2, "a renewal that was under way made a conflict, so it is tried again"
    with pytest.raises(LeadershipLost):
        process.election.require_leadership()


@pytest.mark.parametrize("answer", [lease(OTHER), failure(404, "NotFound"), failure(503, "ServiceUnavailable")])
async def test_lease_of_another_or_none_is_not_released(process: Process, script: Script, answer: Answer) -> None:
    script.on("GET", LEASE, answer)
    await process.election.release()
    assert script.writes() == []


async def test_two_replicas_lead_one_after_the_other(process: Process, client: Client, script: Script) -> None:
    other = LeaderElection(client, SYSTEM, "dynamiq-operator", OTHER, QUICK, process.clock)
    await process.lead()
    script.on("GET", LEASE, lease("replica-a"), lease("replica-a"), lease("replica-a"), lease("", "2")).on("PUT", LEASE, echo)
    following = asyncio.create_task(other.acquire())
    await asyncio.wait_for(following, SOON)
    other.require_leadership()
    assert holders(script) == [OTHER]
