"""Leader election by a Lease: one replica leads, the others follow, and a leader that cannot renew stops in time."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.controller.leading import leader
from dynamiq_operator.controller.leading.fenced import FencedClient
from dynamiq_operator.controller.leading.leader import LeaderElection, LeadershipLost, Timing
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import LEASES, PODS
from dynamiq_operator.model import names
from tests.support.controller import LEASE, QUICK, SYSTEM, Clock, Process
from tests.support.scripted import Answer, Reply, Script, Sent, failure

OTHER = "replica-b"
SOON = 10.0  # seconds


def lease(holder: str = "", version: str = "1", **spec: Any) -> dict[str, Any]:
    held = {"holderIdentity": holder, "leaseDurationSeconds": 15, **spec}
    return {"metadata": {"name": "dynamiq-operator", "namespace": SYSTEM, "resourceVersion": version}, "spec": held}


def echo(sent: Sent) -> dict[str, Any]:
    """Returns the object as it was sent."""
    return dict(sent.body)


def passing(clock: Clock, seconds: float, answer: Answer) -> Answer:
    """Returns an answer that arrives after `seconds` of the test's clock."""

    def answered(sent: Sent) -> Any:
        clock.later(seconds)
        return answer(sent) if callable(answer) else answer

    return answered


def holders(script: Script) -> list[str]:
    """Returns the holder of the lease after each write, in order."""
    return [sent.body["spec"]["holderIdentity"] for sent in script.writes()]


def methods(script: Script) -> list[str]:
    """Returns the methods of the requests for the lease, in order, without a follower's watch."""
    return [sent.method for sent in script.sent if "watch" not in sent.query]


async def acquire(process: Process) -> None:
    await asyncio.wait_for(process.election.acquire(), SOON)


def test_no_replica_leads_at_first(process: Process) -> None:
    with pytest.raises(LeadershipLost):
        process.election.require_leadership()


async def test_lease_that_is_missing_is_created(process: Process, script: Script) -> None:
    script.on("GET", LEASE, failure(404, "NotFound")).on("POST", LEASES.path(SYSTEM), echo)
    await acquire(process)
    process.election.require_leadership()
    (created,) = script.bodies("POST", LEASES.path(SYSTEM))
    assert (created["metadata"]["name"], created["metadata"]["namespace"]) == ("dynamiq-operator", SYSTEM)
    assert (created["spec"]["holderIdentity"], created["spec"]["leaseDurationSeconds"]) == ("replica-a", 15)


async def test_replica_that_creates_the_lease_too_late_follows(process: Process, script: Script) -> None:
    script.on("GET", LEASE, failure(404, "NotFound"), lease(OTHER), lease("", "2"))
    script.on("POST", LEASES.path(SYSTEM), failure(409, "AlreadyExists")).on("PUT", LEASE, echo)
    await acquire(process)
    assert methods(script) == ["GET", "POST", "GET", "GET", "PUT"]


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
    # The change is seen 12 s after the first read. The lease expires 15 s after that, whatever renewTime says.
    assert methods(script) == ["GET"] * 6 + ["PUT"]


async def test_another_replica_that_is_faster_leads(process: Process, script: Script) -> None:
    script.on("GET", LEASE, lease(""), lease(OTHER, "2"), lease("", "3")).on("PUT", LEASE, failure(409, "Conflict"), echo)
    await acquire(process)
    assert holders(script) == ["replica-a", "replica-a"]


async def test_an_attempt_that_is_never_answered_does_not_keep_the_next_one_waiting(client: Client, script: Script) -> None:
    """A hanging connection does not recover when the API server does."""
    hangs = threading.Event()

    def never(sent: Sent) -> Any:
        hangs.wait(SOON)
        return lease("")

    script.on("GET", LEASE, never, lease("")).on("PUT", LEASE, echo)
    election = LeaderElection(client, SYSTEM, "dynamiq-operator", "replica-a", Timing(attempt=0.1))
    try:
        await asyncio.wait_for(election.acquire(), SOON / 2)
        election.require_leadership()
    finally:
        hangs.set()


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


async def test_a_renewal_counts_from_its_request(process: Process, script: Script) -> None:
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


async def test_leader_goes_on_where_somebody_only_wrote_beside_it(process: Process, script: Script) -> None:
    """An annotation on the Lease makes a conflict, although nobody else leads."""
    await process.lead()
    lost = asyncio.Event()
    script.on("GET", LEASE, lease("replica-a"), lease("replica-a", "2"), lease(OTHER, "3"))
    script.on("PUT", LEASE, failure(409, "Conflict"), echo)
    await asyncio.wait_for(process.election.renew_until_lost(lost.set), SOON)
    assert holders(script) == ["replica-a", "replica-a"]


async def test_leader_that_sees_another_in_its_place_sends_nothing_more(process: Process, script: Script) -> None:
    """It stops even if it has just renewed: somebody may have deleted the Lease, and another replica may have recreated it."""
    await process.lead()
    lost = asyncio.Event()
    script.on("GET", LEASE, lease(OTHER, "3"))
    await asyncio.wait_for(process.election.renew_until_lost(lost.set), SOON)
    assert lost.is_set()
    with pytest.raises(LeadershipLost):
        process.election.require_leadership()


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


# The watch of a follower.

SLOW = Timing(retry_period=3600.0)
"""A follower that waited for the next attempt would not finish within the test."""


class Follower:
    """A replica that follows by a watch, whose events the test sends."""

    def __init__(self, client: Client, script: Script, timing: Timing = SLOW) -> None:
        self.election = LeaderElection(client, SYSTEM, "dynamiq-operator", "replica-a", timing)
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.opened = threading.Event()
        script.on("GET", LEASES.path(SYSTEM), self._stream, query={"watch": "true"})

    def see(self, *states: dict[str, Any] | None) -> None:
        """Sends these states by the watch; None ends it."""
        for state in states:
            self._events.put({"type": "MODIFIED", "object": state} if state else None)

    def _stream(self, sent: Sent) -> Reply:
        assert sent.query["fieldSelector"] == "metadata.name=dynamiq-operator", "no right reaches further"
        self.opened.set()
        return Reply(stream=iter(self._events.get, None))


async def test_a_follower_takes_a_lease_that_is_released_at_once(client: Client, script: Script) -> None:
    follower = Follower(client, script)
    script.on("GET", LEASE, lease(OTHER), lease("", "9")).on("PUT", LEASE, echo)
    follower.see(lease(OTHER), lease(OTHER, "2"), lease(OTHER, "3"), lease("", "9"), None)
    await asyncio.wait_for(follower.election.acquire(), SOON)
    assert methods(script) == ["GET", "GET", "PUT"], "what is renewed is not asked for"


async def test_a_follower_takes_a_lease_in_the_moment_in_which_it_expires(client: Client, script: Script) -> None:
    follower = Follower(client, script)
    held = lease(OTHER, leaseDurationSeconds=1)
    script.on("GET", LEASE, held).on("PUT", LEASE, echo)
    follower.see(held)
    began = time.monotonic()
    await asyncio.wait_for(follower.election.acquire(), SOON)
    follower.see(None)
    assert time.monotonic() - began >= 1


async def test_a_follower_without_events_reads_the_lease(client: Client, script: Script) -> None:
    """A hanging watch does not report a release, and a leader would have renewed long before."""
    follower = Follower(client, script, Timing(retry_period=0.05))
    script.on("GET", LEASE, lease(OTHER), lease(OTHER), lease(OTHER), lease("", "2")).on("PUT", LEASE, echo)
    await asyncio.wait_for(follower.election.acquire(), SOON)
    follower.see(None)
    assert methods(script)[-1] == "PUT"


async def test_a_follower_that_may_not_watch_asks(process: Process, script: Script) -> None:
    script.on("GET", LEASES.path(SYSTEM), failure(403, "Forbidden"), query={"watch": "true"})
    script.on("GET", LEASE, lease(OTHER), lease(OTHER), lease("", "2")).on("PUT", LEASE, echo)
    await acquire(process)
    process.election.require_leadership()


# Times in which nobody could work.


@pytest.mark.parametrize(
    ("ago", "noted"),
    [(5, None), (20, None), (40, "now"), (None, "now")],
    ids=["renewed", "expired and taken over", "nobody for long", "unreadable"],
)
async def test_a_time_without_any_leader_is_noted_on_the_lease(
    process: Process, script: Script, ago: int | None, noted: str | None
) -> None:
    renewed = (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if ago is not None else "long ago"
    script.on("GET", LEASE, lease("", renewTime=renewed)).on("PUT", LEASE, echo)
    await acquire(process)
    until = process.election.unattended_until
    if noted is None:
        assert until is None
    else:
        assert until is not None
        assert abs((datetime.now(UTC) - until).total_seconds()) < 60


async def test_the_next_leader_still_knows_of_it(process: Process, script: Script) -> None:
    soon = (datetime.now(UTC) - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    known = lease("", renewTime=soon)
    known["metadata"]["annotations"] = {names.UNATTENDED_ANNOTATION: "2026-11-25T12:00:00Z"}
    script.on("GET", LEASE, known).on("PUT", LEASE, echo)
    await acquire(process)
    assert process.election.unattended_until == datetime(2026, 11, 25, 12, tzinfo=UTC)
    known["metadata"]["annotations"][names.UNATTENDED_ANNOTATION] = "nonsense"
    await acquire(process)
    assert process.election.unattended_until is None


# Requests of a leader.


async def test_a_write_ends_before_another_replica_can_lead(process: Process) -> None:
    await process.lead()
    assert process.election.left_to_write() == 14
    process.clock.later(10)
    assert process.election.left_to_write() == 4
    process.clock.later(0.1)
    with pytest.raises(LeadershipLost):
        process.election.left_to_write()


async def test_a_leader_that_was_paused_within_an_operation_sends_no_write_any_more(
    process: Process, client: Client, script: Script
) -> None:
    await process.lead()
    fenced = FencedClient(client, process.election)
    script.on("GET", PODS.path("demo", "a"), {"metadata": {"name": "a"}}).on("PATCH", PODS.path("demo", "a"), {"metadata": {"name": "a"}})
    await fenced.patch(PODS, "demo", "a", {})
    process.clock.later(11)
    await fenced.get(PODS, "demo", "a")
    with pytest.raises(LeadershipLost):
        await fenced.patch(PODS, "demo", "a", {})
    assert [sent.method for sent in script.sent] == ["PATCH", "GET"]


async def test_a_write_that_is_not_answered_is_given_up_in_time(client: Client, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(leader, "WRITES_END_BEFORE", SOON - 3)
    election = LeaderElection(client, SYSTEM, "dynamiq-operator", "replica-a", Timing(lease_duration=SOON, renew_deadline=5.0))
    script.on("GET", LEASE, lease("")).on("PUT", LEASE, echo)
    await election.acquire()

    def hang(_sent: Sent) -> Reply:
        never.wait(SOON)
        return Reply()

    script.on("PATCH", PODS.path("demo", "a"), hang)
    with pytest.raises(errors.Unavailable, match="before another replica may lead"):
        await FencedClient(client, election).patch(PODS, "demo", "a", {})
    never.set()


# Operators of different namespaces.


@pytest.mark.parametrize(("serves", "is_told"), [("team-b", True), (leader.EVERYWHERE, True), ("team-a", False), (None, False)])
async def test_a_replica_that_waits_for_one_of_other_namespaces_reports_it(
    client: Client, script: Script, caplog: pytest.LogCaptureFixture, serves: str | None, is_told: bool
) -> None:
    held = lease(OTHER)
    held["metadata"]["annotations"] = {names.SERVES_ANNOTATION: serves} if serves else {}
    script.on("GET", LEASE, held, lease("", "2")).on("PUT", LEASE, echo)
    election = LeaderElection(client, SYSTEM, "dynamiq-operator", "replica-a", QUICK, serves="team-a")
    await asyncio.wait_for(election.acquire(), SOON)
    messages = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert any("a lease each (--lease-name)" in each for each in messages) == is_told
    assert script.writes()[-1].body["metadata"]["annotations"][names.SERVES_ANNOTATION] == "team-a"
