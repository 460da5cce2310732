"""A real operator notifies sinks of rows: each sink is notified or counted, whatever happens to other sinks and to the operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import receivers
from tests.support.cluster import REPOSITORY
from tests.support.commands import blocks, shell
from tests.support.history_stage import HistoryStage, in_full
from tests.support.receivers import FAILS, NEVER, SLOW, WELL
from tests.support.telling import API_SERVER, BY_NAME, KEY, METADATA, TRIED_FOR, Telling, telling
from tests.support.waiting import eventually

FULL, APPS = 1000, 20
FEW = (6, 3)
"""Deploys, and Apps that have them in turn."""
TOLD_WITHIN = 300.0
LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "dynamiq-operator", "namespace": OPERATOR_NAMESPACE},
}


@pytest.fixture
def sinks() -> tuple[str, ...]:
    """Returns the names of the receivers that the namespace's policy lists."""
    return (WELL,)


@pytest.fixture
def told(stage: HistoryStage, account: Path, tmp_path: Path, sinks: tuple[str, ...]) -> Iterator[Telling]:
    with telling(stage, account, tmp_path, sinks) as made:
        yield made


@pytest.mark.full_count
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("sinks", [receivers.ALL])
def test_each_of_many_deploys_is_delivered_or_counted_whatever_other_sinks_do(told: Telling) -> None:
    rows = set(told.deploy_many(*((FULL, APPS) if in_full() else FEW)))
    assert told.live() == rows
    eventually("the one that is well has heard of all", lambda: set(told.receivers.of(WELL, "live")) == rows, TOLD_WITHIN, 0.2)
    for name in receivers.ALL:
        told.until_told(name)
    ids = {
        each["id"] for each in told.receivers.taken[WELL]
    }  # an answer that was late for the operator is asked for again, under the same id
    assert len(ids) == len({(each["subject"], each["type"], each["data"]["message"]) for each in told.receivers.taken[WELL]})
    assert (told.counted("sent_total", WELL), told.counted("lost_total", WELL)) == (len(ids), 0)
    assert set(told.receivers.of(WELL, "progressing")) == rows
    for name in (SLOW, FAILS, NEVER):
        assert told.counted("sent_total", name) + told.counted("lost_total", name) == len(ids), name
    assert told.counted("lost_total", FAILS) == told.counted("lost_total", NEVER) == len(ids)


def test_the_next_operator_sends_the_unsent_notifications_of_a_stopped_or_killed_one(told: Telling) -> None:
    """The operator ends normally, twice. Then it is killed when a deploy has begun, and just as a row is written as live."""
    rows = set()
    for name in ("one", "two"):
        rows.add(told.deploy(name))
        told.operator.restart()
    eventually("all is told", lambda: set(told.receivers.of(WELL, "live")) == rows, TOLD_WITHIN)
    ids = [each["id"] for each in told.receivers.taken[WELL]]
    assert len(ids) - len(set(ids)) <= 2 * len(rows), "what was told in the second before an end may be told again, and nothing older"
    for number, part in enumerate(("pinned", "outcome")):
        told.stage.app(f"app-{number}", given.public(), workflow=given.NAME)
        row = told.stage.deploy(f"app-{number}", "v1", row=f"app-{number}-v1", runtime=told.stage.default_runtime)
        rows.add(row)
        eventually(
            f"{row} is {part}",
            lambda row=row, part=part: part in told.stage.get(kinds.ROW.kind, row)["spec"],  # type: ignore[misc]
            every=0.01,
        )
        told.operator.kill()
        # The lease would expire after 15 seconds: tests/api/test_leases.py. The operator's notes of notifications are kept.
        assert told.stage.api.merge(LEASE, {"spec": {"holderIdentity": ""}}).ok
        told.operator.start()
    told.until_ended(sorted(rows))
    eventually("every row that is live was told of", lambda: set(told.receivers.of(WELL, "live")) == rows, TOLD_WITHIN, 0.2)


@pytest.mark.parametrize("sinks", [(API_SERVER, METADATA, BY_NAME, WELL)])
def test_each_request_is_signed_and_none_is_sent_where_only_the_clusters_own_machines_reach(told: Telling) -> None:
    told.deploy("one")
    eventually("the sink that may be told is", lambda: told.receivers.of(WELL, "live"), TOLD_WITHIN)
    for name in (API_SERVER, METADATA, BY_NAME):
        told.until_told(name)
        assert told.counted("lost_total", name) >= 2
        assert told.counted("sent_total", name) == 0
    log = told.operator.log.read_text()
    assert log.count("an address of its host is not allowed") >= 3
    assert not re.search("169[.]254|localhost|127[.]0[.]0[.]2", log)
    assert KEY not in log
    headers = told.receivers.headers
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert re.fullmatch(r"t=\d{10},v1=[0-9a-f]{64}", headers["Dynamiq-Signature"])
    assert TRIED_FOR < TOLD_WITHIN


def test_the_commands_of_the_document_make_secrets(cluster: Cluster, account: Path, tmp_path: Path) -> None:
    (block,) = [each for each in blocks(REPOSITORY / "docs" / "notifications.md") if "create secret" in each]
    output = shell(block.replace("create secret", "create --dry-run=server -o name secret"), cluster, tmp_path)
    assert output.split() == ["secret/event-bus", "secret/slack-on-call"]
