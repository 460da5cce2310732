"""Changes Access Keys in the Secret: they are in force in running pods within a minute, without a restart."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support.stage import Stage, operator, restarts, stage, uids
from tests.support.waiting import eventually

APP = "keyed"
IN_FORCE_WITHIN = 60  # seconds: what we promise
ALLOWED, REFUSED = 200, 401
TWO_PODS = {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}


@dataclass(frozen=True)
class Keyed:
    """A stage on which App `keyed` has two pods; `folder` is for the operator's log."""

    on: Stage
    folder: Path

    def change(self, **keys: str | None) -> None:
        """Adds keys to the Secret, or, if None, removes them, and notifies the operator, like the plugin."""
        encoded = {name: None for name, key in keys.items() if key is None}
        added = {name: key for name, key in keys.items() if key is not None}
        self.on.change("Secret", names.access_keys(APP), data=encoded, stringData=added)
        self.on.change("App", APP, metadata={"annotations": {names.KEYS_CHANGED_ANNOTATION: uuid.uuid4().hex}})

    def until_everywhere(self, key: str, status: int) -> None:
        """Waits until each pod answers a call with this key with this status."""

        def answers() -> set[int]:
            hosts = [f"{pod['status']['podIP']}:8080" for pod in self.on.pods(APP)]
            return {self.on.call(APP, key, host=host)[0] for host in hosts}

        eventually(f"every pod answers {status} to {key}", lambda: answers() == {status}, IN_FORCE_WITHIN, 0.2)


@pytest.fixture(scope="module")
def keyed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keys")
    with stage(cluster, "keys") as on:
        on.release("v1")
        on.app(APP)
        with operator(on, folder=folder):
            on.live(APP, "v1", runtime=on.runtime("fast"), config=TWO_PODS)
            on.until_settled(APP)
        yield Keyed(on, folder)


def test_keys_come_and_go_while_a_caller_notices_nothing(keyed: Keyed) -> None:
    on, before, template = keyed.on, uids(keyed.on.pods(APP)), keyed.on.workload(APP)["spec"]["template"]
    with operator(on, folder=keyed.folder), on.load(APP) as calls:
        keyed.until_everywhere("key-of-a-partner", REFUSED)
        keyed.change(partner="key-of-a-partner")
        keyed.until_everywhere("key-of-a-partner", ALLOWED)
        keyed.change(partner=None, another="key-of-another")
        keyed.until_everywhere("key-of-a-partner", REFUSED)
        keyed.until_everywhere("key-of-another", ALLOWED)
        keyed.change(another=None)
        keyed.until_everywhere("key-of-another", REFUSED)
    assert calls["failed"] == 0, calls["errors"]
    assert uids(on.pods(APP)) == before
    assert restarts(on.pods(APP)) == 0
    assert on.workload(APP)["spec"]["template"] == template
    assert len(on.rows(APP)) == 1


def test_keys_that_change_without_an_operator_are_in_force_soon_after_its_start(keyed: Keyed) -> None:
    on, before = keyed.on, uids(keyed.on.pods(APP))
    keyed.change(late="key-of-the-night")
    with operator(on, folder=keyed.folder):
        keyed.until_everywhere("key-of-the-night", ALLOWED)
    assert uids(on.pods(APP)) == before
    assert restarts(on.pods(APP)) == 0
