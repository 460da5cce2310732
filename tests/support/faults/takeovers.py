"""Runs two replicas of the operator on one lease: measures takeovers, and delays writes until after one."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import deploys, operators
from tests.support.faults.faults import Holds
from tests.support.faults.operators import OperatorProcess
from tests.support.faults.proxy import Call, Proxy
from tests.support.waiting import IN_TIME, eventually

LEASE = "shared"
EXPIRED = IN_TIME
"""Seconds until the other replica works after the leader ended without releasing the lease."""
LOOK = 0.05
"""Seconds between two reads of a log."""


@dataclass
class Replica:
    """One replica, with a proxy of its own."""

    operator: OperatorProcess
    proxy: Proxy


@dataclass
class Pair:
    """The leader and the follower, in a namespace of their own, whose App is `chat`."""

    cluster: Cluster
    api: Api
    namespace: str
    folder: Path
    leader: Replica
    follower: Replica

    def seconds_until_the_other_leads(self, within: float = EXPIRED) -> float:
        """Returns the seconds until the follower leads. It does not exchange the roles: `change_roles` does."""
        began = time.monotonic()
        eventually("the other leads", lambda: self.follower.operator.said("leading as"), within, LOOK)
        return time.monotonic() - began

    def change_roles(self) -> None:
        self.leader, self.follower = self.follower, self.leader

    def start_follower(self) -> None:
        """Starts a new process in place of the follower, which has ended."""
        self.follower.operator = operators.start(self.follower.proxy.url, self.namespace, self.folder, lease=LEASE)
        eventually("it follows", lambda: self.follower.operator.said("following: "), operators.WORKS_WITHIN)

    def taken_over(self, number: signal.Signals) -> float:
        """Ends the leader, and returns the seconds until the other led; a new follower replaces the leader."""
        self.leader.operator.send(number)
        took = self.seconds_until_the_other_leads()
        assert self.leader.operator.process.wait(operators.ENDS_WITHIN) == (0 if number is signal.SIGTERM else -number)
        self.change_roles()
        self.start_follower()
        return took


@contextlib.contextmanager
def pair(cluster: Cluster, api: Api, namespace: str, folder: Path) -> Iterator[Pair]:
    """Runs two replicas, one of which leads; row `a` of the App is Live."""
    operators.allow_leases(api, namespace)
    deploys.prepare(api, namespace)
    with operators.proxied(cluster, api) as leading, operators.proxied(cluster, api) as other, contextlib.ExitStack() as ends:
        first = operators.start(leading.url, namespace, folder, lease=LEASE)
        both = Pair(cluster, api, namespace, folder, Replica(first, leading), Replica(first, other))
        ends.callback(lambda: [each.operator.stop() for each in (both.leader, both.follower)])
        first.wait_until_leading()
        both.start_follower()
        deploys.deploy(api, namespace, "a")
        yield both


# A write whose transit is longer than the lease.


@dataclass(frozen=True)
class Late:
    """A delayed write of the leader: `write` names it, row `b` causes it; `meanwhile` runs before the other replica leads."""

    write: str
    row: dict[str, Any]
    meanwhile: Callable[[Pair], None] = lambda _pair: None
    live: str = "b"
    """The row that is Live in the end."""


MORE = {"autoscaling": {"maxReplicas": 7}}


def _go_back(on: Pair) -> None:
    """Makes the held write unnecessary: its purpose is overtaken, and its target already has the right state."""
    deploys.create_row(on.api, on.namespace, "c", restores="a")


LATE = {
    "workload": Late("apply apps deployments/chat", {"workflowVersion": "v2"}),
    "workload, not wanted any more": Late("apply apps deployments/chat", {"workflowVersion": "v2"}, _go_back, "c"),
    "autoscaler": Late("apply horizontalpodautoscalers/chat", {"workflowVersion": "v1", "config": MORE}),
    "autoscaler, not wanted any more": Late(
        "apply horizontalpodautoscalers/chat", {"workflowVersion": "v2", "config": MORE}, _go_back, "c"
    ),
    "Event": Late("create events: Progressing of Deployment b", {"workflowVersion": "v2"}),
    "Event, overtaken": Late("create events: Progressing of Deployment b", {"workflowVersion": "v2"}, _go_back, "c"),
    "Event, live and overtaken": Late("create events: Live of Deployment b", {"workflowVersion": "v2"}, _go_back, "c"),
    "pins": Late("patch deployments/b", {"workflowVersion": "v2"}),
    "status": Late("patch apps/chat/status", {"workflowVersion": "v2"}),
}


def answer_to_late(on: Pair, late: Late) -> Call:
    """Pauses the leader during a write, and wakes it when the other has done everything; returns the write, answered."""
    holds = Holds(late.write)
    leading, proxy = on.leader.operator, on.leader.proxy
    proxy.faults.append(holds)
    try:
        deploys.create_row(on.api, on.namespace, "b", **late.row)
        eventually(f"{late.write} is on its way", holds.held.is_set, deploys.END_WITHIN)
        leading.send(signal.SIGSTOP)
        late.meanwhile(on)
        on.seconds_until_the_other_leads()
        eventually(f"row {late.live} is Live", lambda: deploys.phase(on.api, on.namespace, late.live) == "Live", deploys.END_WITHIN)
        before = len(proxy.writes)
        holds.let_go.set()
        eventually("the late write is answered", lambda: holds.call is not None and holds.call.status)
        leading.send(signal.SIGCONT)
        eventually("the one that woke up follows", lambda: leading.said("following: "), operators.WORKS_WITHIN)
        assert proxy.writes[before:] == [], "it writes nothing of its own any more"
    finally:
        holds.let_go.set()
        proxy.faults.remove(holds)
    assert holds.call is not None
    return holds.call
