"""A backup as any tool takes it, the end of what it was taken from, and bringing it back in any order."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import GROUP
from tests.support import factories as given
from tests.support.api import Manifest
from tests.support.history_stage import APP, RESTORERS, HistoryStage
from tests.support.looks import all_along
from tests.support.waiting import eventually

OURS = ",".join(f"{kind.plural}.{GROUP}" for kind in (kinds.APP, kinds.APP_CHANGE, kinds.RECORD, kinds.WORKFLOW, kinds.WORKFLOW_VERSION))
STAMP = names.RESTORING_ANNOTATION


def a_history(stage: HistoryStage) -> str:
    """Rows of several people, from Git and by hand, one of them failed after the live one; returns the live row's name."""
    stage.apply(stage.declared("v1"), user="flux")
    stage.until_served("v1", rows=1)
    here = given.in_namespace(stage.namespace)
    for number, (user, asked) in enumerate([("ada", {"workflowVersion": "v2"}), ("bob", {"workflowVersion": "v3"})], 2):
        stage.as_user(user, "create", "-f", "-", input=given.row_manifest(f"row-{number}", here, given.asking(message="why", **asked)))
        stage.until_served(asked["workflowVersion"], rows=number)
    stage.as_user("cem", "create", "-f", "-", input=given.row_manifest("row-4", here, given.asking(restores="row-2")))
    live = stage.until_served("v2", rows=4)
    stage.as_user("dan", "create", "-f", "-", input=given.row_manifest("row-5", here, given.asking(config={"idleSeconds": 9})))
    stage.until("row-5", "Failed")
    assert stage.until_served("v2", rows=5) == live == "row-4"
    return live


def export(stage: HistoryStage) -> list[Manifest]:
    """`kubectl get … -o json` of what a backup has: uids and owners of before are in it, and resourceVersions are dropped."""
    found: list[Manifest] = []
    for query in ((OURS,), ("configmaps", "-l", names.MANAGED_SELECTOR), ("secrets", "-l", names.MANAGED_SELECTOR)):
        found += json.loads(stage.kubectl("get", *query, "-o", "json", namespace=stage.namespace).stdout)["items"]
    for each in found:
        del each["metadata"]["resourceVersion"]
    return found


def of_kind(backup: Iterable[Manifest], *kinds_: str) -> list[Manifest]:
    return [each for each in backup if each["kind"] in kinds_]


def lose_the_namespace(stage: HistoryStage) -> float:
    """Deletes the namespace and makes it anew; returns the seconds that its end took."""
    began = time.monotonic()
    stage.kubectl("delete", "namespace", stage.namespace)
    took = time.monotonic() - began
    eventually(
        "the namespace can be made again", lambda: stage.kubectl("create", "namespace", stage.namespace, check=False).returncode == 0
    )
    return took


def without_uids(backup: Iterable[Manifest]) -> list[Manifest]:
    """The backup as tools that know better than kubectl have it."""
    return [{**each, "metadata": {key: value for key, value in each["metadata"].items() if key != "uid"}} for each in backup]


def apply(stage: HistoryStage, backup: Iterable[Manifest], order: random.Random, *, first: bool) -> None:
    """One pass over the backup in an order that `order` draws, object by object, as a member of the restorers alone.

    What is there already the API server keeps from a backup with the uids of before: after the `first` pass every object of such
    a one is refused, and for nothing else.
    """
    shuffled = list(backup)
    order.shuffle(shuffled)
    told = [line for line in _send(stage, shuffled, check=first or "uid" not in shuffled[0]["metadata"]).splitlines() if "for: " in line]
    assert not told or not first
    assert all("metadata.uid: Invalid value" in line for line in told), told
    assert len(told) in (0, len(shuffled)), told


def _send(stage: HistoryStage, backup: list[Manifest], *, check: bool = True) -> str:
    return stage.as_user("restorer", "apply", "-f", "-", group=RESTORERS, input=backup, check=check).stderr


def take_the_stamp_off(stage: HistoryStage, app: str = APP) -> None:
    stage.as_user("restorer", "annotate", f"apps.{GROUP}", app, f"{STAMP}-", group=RESTORERS)


def keys(stage: HistoryStage, app: str = APP) -> Manifest:
    data: Manifest = stage.get("Secret", names.access_keys(app))["data"]
    return data


def changes(stage: HistoryStage, app: str = APP) -> list[Manifest]:
    """The records of the App's settings, oldest first."""
    found = stage.api.get(kinds.APP_CHANGE.kind, "", stage.namespace, fieldSelector=f"spec.app={app}").body["items"]
    return sorted(found, key=lambda each: int(each["spec"]["sequence"]))


@dataclass
class Watched:
    """What an App served and ran, each thing that was new."""

    seen: list[tuple[str | None, str | None]] = field(default_factory=list)

    @property
    def rows(self) -> set[str]:
        """Rows that the App's status named as live."""
        return {row for row, _ in self.seen if row}

    @property
    def flows(self) -> set[str]:
        """Flows that the workload mounted."""
        return {flow for _, flow in self.seen if flow}


@contextlib.contextmanager
def watched(stage: HistoryStage) -> Iterator[Watched]:
    """Looks all along at what the App serves and runs."""
    made = Watched()

    def look() -> None:
        app, workload = stage.find(kinds.APP.kind, APP), stage.find("Workload", APP)
        row = (app or {}).get("status", {}).get("live", {}).get("row")
        flow = workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] if workload else None
        if not made.seen or made.seen[-1] != (row, flow):
            made.seen.append((row, flow))

    with all_along(look):
        yield made
