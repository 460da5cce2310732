"""Pinned means pinned: what has a name now changes nothing of what rows of that name pinned. And a row says whether its author is known."""

from __future__ import annotations

from pathlib import Path

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.digests import flow_hash
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Manifest
from tests.support.flows import answering
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator, admission_policies

OTHER_IMAGE = f"registry.test/runtime@sha256:{'2' * 64}"


def made_again(stage: HistoryStage) -> None:
    """Version v1 and the Runtime are deleted and created again with the same names and other content."""
    stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-v1")
    stage.release("v1", workflow=APP, text=answering("something else"))
    stage.delete(kinds.RUNTIME.kind, stage.default_runtime)
    stage.runtime("tiny", image=OTHER_IMAGE)


def template(stage: HistoryStage) -> Manifest:
    found: Manifest = stage.workload(APP)["spec"]["template"]
    return found


def test_what_runs_and_what_old_rows_bring_back_is_what_they_pinned(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    old = (template(stage), stage.workload(APP)["metadata"]["generation"])
    assert stage.mounted()[0] == names.flow(APP, flow_hash(answering("v1")))
    made_again(stage)
    operator.restart()
    stage.quiet()
    assert (template(stage), stage.workload(APP)["metadata"]["generation"]) == old

    again = stage.live(APP, "v1")
    new = names.flow(APP, flow_hash(answering("something else")))
    assert (stage.mounted()[0], image(stage)) == (new, given.IMAGE)
    assert stage.row(again)["spec"]["pinned"]["workflowHash"] == flow_hash(answering("something else"))
    stage.live(APP, "v1", runtime=stage.default_runtime)
    assert (stage.mounted()[0], image(stage)) == (new, OTHER_IMAGE)

    stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-v1")
    back = stage.live(APP, restores=first, runtime=stage.default_runtime)
    assert stage.mounted()[0] == names.flow(APP, flow_hash(answering("v1")))
    assert stage.row(back)["spec"]["pinned"]["workflowHash"] == stage.row(first)["spec"]["pinned"]["workflowHash"]
    assert stage.row(first)["spec"]["pinned"]["runtime"]["image"] == given.IMAGE
    print("a version and a Runtime made again under their names: 0 changes of what runs; an old row brings back its own flow")


def test_a_rollback_to_the_same_runtime_brings_back_the_same_template(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    label = stage.mounted()
    stage.live(APP, "v2")
    made_again(stage)
    stage.live(APP, restores=first)
    assert stage.mounted() == label


def test_deleting_what_is_pinned_stops_nothing(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    old = template(stage)
    for version in ("v1", "v2", "v3", "v4"):
        stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-{version}")
    stage.delete(kinds.RUNTIME.kind, stage.default_runtime)
    operator.restart()
    stage.quiet()
    assert template(stage) == old
    stage.live(APP, restores=first)
    assert template(stage) == old


def image(stage: HistoryStage) -> str:
    return str(template(stage)["spec"]["containers"][0]["image"])


def test_a_row_says_whether_its_author_was_stamped(cluster: Cluster, stage: HistoryStage, account: Path, tmp_path: Path) -> None:
    row = given.row_manifest("forged", given.in_namespace(stage.namespace), given.asking(createdBy="somebody-else", workflowVersion="v1"))
    with Operator(account, tmp_path, [stage.namespace]):
        stage.create(stage.manifest())
        stage.create({**row, "spec": {**row["spec"], "runtime": stage.default_runtime}})
        stage.until("forged", "Live")
    with admission_policies(cluster), Operator(account, tmp_path, [stage.namespace]):
        stage.create({**row, "metadata": {**row["metadata"], "name": "stamped"}})
        stage.until("stamped", "Live")
    found = {name: stage.row(name)["spec"] for name in ("forged", "stamped")}
    assert {name: spec["pinned"]["createdByVerified"] for name, spec in found.items()} == {"forged": False, "stamped": True}
    assert found["forged"]["createdBy"] == "somebody-else"
    assert found["stamped"]["createdBy"] != "somebody-else"
