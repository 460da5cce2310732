"""Conversations with an App on an installation as `make demo` has it, through switches and rollbacks. Each turn is to be answered by the row
of the first one. The result goes to docs/measured/conversations.txt.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import quantiles

import pytest

from local import clusters, gateway, operators
from local.clusters import Cluster
from local.gateway import Gateway
from local.transcript import Transcript
from tests.soak.support.conversations import Conversations
from tests.soak.support.deploys import Deploys
from tests.support.cluster import REPOSITORY
from tests.support.factories import in_namespace, with_spec
from tests.support.flows import answering
from tests.support.gateway import until_answer
from tests.support.guards import rejection_manifest
from tests.support.history_stage import in_full
from tests.support.load.sleepers import host_of
from tests.support.measured import Figures
from tests.support.stage import Stage, stage
from tests.support.waiting import IN_TIME, eventually

KEEPS, CONTROL = "keeps", "control"
CONVERSATIONS, TURNS, RATE, AT_ONCE = (2000, 10, 200.0, 500) if in_full() else (200, 10, 40.0, 100)
SWITCHES = 20 if in_full() else 3
"""Deploys of another version, each followed by a rollback."""
OF_CONTROL = 4
"""The control has such a part of the conversations, of their pace and of the switches."""
VERSIONS = ("v2", "v3", "v4")
MOVED_WITHIN = 2.0
SEEN_AFTER = 15.0
FIGURES = Figures("conversations")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Provides a cluster of its own, on which everything is installed."""
    name = f"t{os.getpid()}-conversations"
    try:
        yield clusters.start(name, "node", env={})
    finally:
        clusters.stop(name)


@pytest.mark.timeout(5400)
def test_each_conversation_stays_on_its_row_through_switches_and_rollbacks(cluster: Cluster) -> None:
    at = gateway.start(cluster)
    operators.install(cluster, Transcript(cluster, REPOSITORY), at)
    with stage(cluster, "talks") as on:
        on.runtime("tiny", by_default=True, maxConcurrentRuns=64)
        for version in ("v1", *VERSIONS):
            on.release(version, text=answering(version))
        switch = {"strategy": "Switch"}
        on.app(KEEPS, with_spec(rollout=switch, sessions={}))
        on.app(CONTROL, with_spec(rollout=switch))
        control = _talks(on, at, CONTROL, OF_CONTROL)
        _lead(on, CONTROL, control, SWITCHES // OF_CONTROL or 1)  # first: the other one ends with a rejected version
        kept = _talks(on, at, KEEPS, 1)
        rejected = _Rejected(on)
        _lead(on, KEEPS, kept, SWITCHES, rejected)
    _tell(kept, control, rejected)


def _talks(on: Stage, at: Gateway, app: str, part: int) -> Conversations:
    eventually("it has a hostname", lambda: "hostname" in on.get("App", app).get("status", {}), IN_TIME)
    return Conversations(at, host_of(on, app), on.key(app), RATE / part, CONVERSATIONS // part, TURNS, AT_ONCE // part)


def _lead(on: Stage, app: str, talks: Conversations, switches: int, last: Callable[[Conversations], None] = lambda _: None) -> None:
    """Deploys and rolls back while the App's conversations go on. `last`: happens at the end of it."""
    deploys = Deploys(on, (app,))
    deploys.deploy("v1")
    until_answer(talks.host, talks.at, "v1", talks.key)
    with talks.going_on():
        eventually("conversations have begun", lambda: len(talks.turns) >= talks.at_once, IN_TIME)
        for number in range(switches):
            deploys.deploy(VERSIONS[number % len(VERSIONS)])
            eventually("conversations begin on it", lambda: _begun_on(talks, deploys.live(app)), IN_TIME)
            deploys.deploy(None)
        last(talks)


def _begun_on(talks: Conversations, version: str) -> bool:
    """Returns True if the newest conversations were begun on a version."""
    return any(turns and turns[0].version == version for _, turns in sorted(talks.turns.items())[-talks.at_once // 5 :])


class _Rejected:
    """The rejection of an earlier version that has conversations. `version`: which; `at`: when, in Unix seconds."""

    def __init__(self, on: Stage) -> None:
        self._on, self.version, self.at = on, "", 0.0

    def __call__(self, talks: Conversations) -> None:
        self.version = VERSIONS[(SWITCHES - 1) % len(VERSIONS)]
        (row,) = {
            row["spec"]["pinned"]["workflowHash"]: row
            for row in self._on.rows(KEEPS)
            if row["spec"]["pinned"]["workflowVersion"] == self.version
        }.values()
        flow = row["spec"]["pinned"]["workflowHash"]
        self._on.create(rejection_manifest("bad", self.version, in_namespace(self._on.namespace), workflowHash=flow))
        self.at = time.time()
        eventually("turns are answered for a while after it", lambda: any(turn.sent > self.at + SEEN_AFTER for turn in talks.all), IN_TIME)

    def after(self, talks: Conversations) -> list[float]:
        """Returns the seconds after the rejection at which the rejected version's answers were sent for."""
        return sorted(turn.sent - self.at for turn in talks.all if turn.version == self.version and turn.sent > self.at)


def _tell(kept: Conversations, control: Conversations, rejected: _Rejected) -> None:
    # A rejected version's conversations are elsewhere from then on, and stay there.
    moved = [turn for turn in kept.elsewhere if turn.sent > rejected.at]
    elsewhere = [turn for turn in kept.elsewhere if turn.sent <= rejected.at]
    after = rejected.after(kept)
    by_version = Counter(turns[0].version for turns in kept.turns.values())
    p50, p95 = (quantiles([turn.took * 1000 for turn in kept.all], n=100)[n] for n in (49, 94))
    FIGURES.note(
        f"{len(kept.turns)} conversations of {TURNS} turns, {kept.at_once} at a time, {RATE:g} turns a second through the gateway, every fifth streamed;",
        f"  {SWITCHES} switches and {SWITCHES} rollbacks meanwhile; begun by version: {dict(sorted(by_version.items()))}",
        f"  {'turns / not answered by 200':74}{len(kept.all)} / {len(kept.failed)}",
        f"  {'turns on another version than the first one of their conversation':74}{len(elsewhere)}",
        f"  {f'control without sessions, {len(control.all)} turns: on another version':74}{len(control.elsewhere) / len(control.all):.0%}",
        f"  {'p50 / p95 of all turns, ms':74}{p50:.0f} / {p95:.0f}",
        f"  {f'{rejected.version} is rejected: its last answer was sent for after':74}{max(after, default=0.0):.2f} s",
        f"  {'  turns of its conversations on another version from then on':74}{len(moved)}",
        f"  {'times that a turn was late, since all conversations waited for an answer':74}{kept.late}",
    )
    assert not kept.failed, kept.failed[:5]
    assert not elsewhere, elsewhere[:5]
    assert control.elsewhere, "the control shows nothing"
    assert moved
    assert not [each for each in after if each > MOVED_WITHIN]
