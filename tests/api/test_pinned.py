"""Pins never change: a new object of the same name changes no row that pinned the old one. A row shows whether its author is known."""

from __future__ import annotations

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.digests import flow_hash
from tests.support import factories as given
from tests.support.api import Manifest
from tests.support.flows import answering
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator

OTHER_IMAGE = f"registry.test/runtime@sha256:{'2' * 64}"


def made_again(stage: HistoryStage) -> None:
    """Deletes version v1 and the Runtime, and creates them again with the same names and other content."""
    stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-v1")
    stage.release("v1", workflow=APP, text=answering("something else"))
    stage.delete(kinds.RUNTIME.kind, stage.default_runtime)
    stage.runtime("tiny", image=OTHER_IMAGE)


def template(stage: HistoryStage) -> Manifest:
    found: Manifest = stage.workload(APP)["spec"]["template"]
    return found


def test_live_rows_and_rollbacks_run_their_pins(stage: HistoryStage, operator: Operator) -> None:
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


def test_a_rollback_to_the_same_runtime_restores_the_same_template(stage: HistoryStage, operator: Operator) -> None:
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


def test_a_row_without_a_stamp_shows_that_its_author_is_unverified(stage: HistoryStage, operator: Operator) -> None:
    """`test_installed_elsewhere.py` has the row with a verified author, under the policies that stamp."""
    stage.create(stage.manifest())
    row = stage.live(APP, "v1", runtime=stage.default_runtime, createdBy="somebody-else")
    found = stage.row(row)["spec"]
    assert (found["pinned"]["createdByVerified"], found["createdBy"]) == (False, "somebody-else")
