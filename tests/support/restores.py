"""Takes a backup as any tool does, deletes its source, and restores it in any order."""

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

OURS = ",".join(f"{kind.plural}.{GROUP}" for kind in (kinds.APP, kinds.APP_CHANGE, kinds.ROW, kinds.WORKFLOW, kinds.WORKFLOW_VERSION))
STAMP = names.RESTORING_ANNOTATION


def a_history(stage: HistoryStage) -> str:
    """Makes rows of several people, from Git and by hand, one of them failed after the live one; returns the live row's name."""
    stage.apply(stage.declared("v1"), user="flux")
    stage.until_served("v1", rows=1)
    placed = given.in_namespace(stage.namespace)
    for number, (user, spec) in enumerate([("ada", {"workflowVersion": "v2"}), ("bob", {"workflowVersion": "v3"})], 2):
        stage.as_user(user, "create", "-f", "-", input=given.row_manifest(f"row-{number}", placed, given.asking(message="why", **spec)))
        stage.until_served(spec["workflowVersion"], rows=number)
    stage.as_user("cem", "create", "-f", "-", input=given.row_manifest("row-4", placed, given.asking(restores="row-2")))
    live = stage.until_served("v2", rows=4)
    stage.as_user("dan", "create", "-f", "-", input=given.row_manifest("row-5", placed, given.asking(config={"idleSeconds": 9})))
    stage.until("row-5", "Failed")
    assert stage.until_served("v2", rows=5) == live == "row-4"
    return live


def export(stage: HistoryStage) -> list[Manifest]:
    """Returns a backup by `kubectl get … -o json`: with old uids and owners, without resourceVersions."""
    objects: list[Manifest] = []
    for query in ((OURS,), ("configmaps", "-l", names.MANAGED_SELECTOR), ("secrets", "-l", names.MANAGED_SELECTOR)):
        objects += json.loads(stage.kubectl("get", *query, "-o", "json", namespace=stage.namespace).stdout)["items"]
    for each in objects:
        del each["metadata"]["resourceVersion"]
    return objects


def of_kind(backup: Iterable[Manifest], *kinds_: str) -> list[Manifest]:
    return [each for each in backup if each["kind"] in kinds_]


def lose_the_namespace(stage: HistoryStage) -> float:
    """Deletes the namespace and makes it again; returns the seconds that its deletion took."""
    began = time.monotonic()
    stage.kubectl("delete", "namespace", stage.namespace)
    took = time.monotonic() - began
    eventually(
        "the namespace can be made again", lambda: stage.kubectl("create", "namespace", stage.namespace, check=False).returncode == 0
    )
    return took


def without_uids(backup: Iterable[Manifest]) -> list[Manifest]:
    """Returns the backup without uids, as better tools than kubectl take it."""
    return [{**each, "metadata": {key: value for key, value in each["metadata"].items() if key != "uid"}} for each in backup]


def apply(stage: HistoryStage, backup: Iterable[Manifest], order: random.Random, *, first: bool) -> None:
    """Restores the backup once, object by object, in a random order, with the rights of the restorers alone.

    The API server does not overwrite existing objects by ones with old uids. After the `first` pass it refuses every object of such a
    backup, for this reason alone.
    """
    shuffled = list(backup)
    order.shuffle(shuffled)
    errors = [line for line in _send(stage, shuffled, check=first or "uid" not in shuffled[0]["metadata"]).splitlines() if "for: " in line]
    assert not errors or not first
    assert all("metadata.uid: Invalid value" in line for line in errors), errors
    assert len(errors) in (0, len(shuffled)), errors


def _send(stage: HistoryStage, backup: list[Manifest], *, check: bool = True) -> str:
    return stage.as_user("restorer", "apply", "-f", "-", group=RESTORERS, input=backup, check=check).stderr


def take_the_stamp_off(stage: HistoryStage, app: str = APP) -> None:
    stage.as_user("restorer", "annotate", f"apps.{GROUP}", app, f"{STAMP}-", group=RESTORERS)


def keys(stage: HistoryStage, app: str = APP) -> Manifest:
    data: Manifest = stage.get("Secret", names.access_keys(app))["data"]
    return data


def changes(stage: HistoryStage, app: str = APP) -> list[Manifest]:
    """Returns the records of the App's settings, oldest first."""
    records = stage.api.get(kinds.APP_CHANGE.kind, "", stage.namespace, fieldSelector=f"spec.app={app}").body["items"]
    return sorted(records, key=lambda each: int(each["spec"]["sequence"]))


@dataclass
class Watched:
    """The rows that an App served and the flows that it ran, each change once."""

    seen: list[tuple[str | None, str | None]] = field(default_factory=list)

    @property
    def rows(self) -> set[str]:
        """Returns rows that the App's status named as live."""
        return {row for row, _ in self.seen if row}

    @property
    def flows(self) -> set[str]:
        """Returns flows that the workload mounted."""
        return {flow for _, flow in self.seen if flow}


@contextlib.contextmanager
def watched(stage: HistoryStage) -> Iterator[Watched]:
    """Watches the App's live row and flow while the block runs."""
    states = Watched()

    def look() -> None:
        app, workload = stage.find(kinds.APP.kind, APP), stage.find("Workload", APP)
        row = (app or {}).get("status", {}).get("live", {}).get("row")
        flow = workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] if workload else None
        if not states.seen or states.seen[-1] != (row, flow):
            states.seen.append((row, flow))

    with all_along(look):
        yield states
