"""Changes of an App's settings on a real cluster: each is a record among the rows, in its author's name, and none has a value that may be secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dynamiq_operator.model import chain, kinds
from dynamiq_operator.model.manifests import GROUP
from tests.support import restores
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

SECRET = "hunter2-" + "x" * 20
RESOURCE = f"apps.{GROUP}"


def by(stage: HistoryStage, user: str, **spec: object) -> None:
    stage.as_user(user, "patch", RESOURCE, APP, "--type=merge", "-p", json.dumps({"spec": spec}))


def until_recorded(stage: HistoryStage, count: int) -> list[Manifest]:
    eventually(f"{count} records: {restores.changes(stage)}", lambda: len(restores.changes(stage)) >= count)
    found = restores.changes(stage)
    assert len(found) == count
    return found


@pytest.fixture
def changed(stage: HistoryStage, operator: Operator) -> list[Manifest]:
    """The App is made by flux, deployed, and changed by two people."""
    stage.apply(stage.declared("v1"), user="flux")
    stage.until_served("v1", rows=1)
    until_recorded(stage, 1)
    by(stage, "ada", variables=[{"name": "PASSWORD", "value": SECRET}])
    until_recorded(stage, 2)
    by(stage, "bob", displayName="Support", variables=[{"name": "PASSWORD", "value": f"{SECRET}y"}])
    return until_recorded(stage, 3)


def test_each_change_is_a_record_in_its_authors_name(stage: HistoryStage, changed: list[Manifest], operator: Operator) -> None:
    specs = [record["spec"] for record in changed]
    assert [(spec["sequence"], spec.get("by"), spec["byVerified"]) for spec in specs] == [
        (1, "flux", True),
        (2, "ada", True),
        (3, "bob", True),
    ]
    assert [spec["summary"] for spec in specs[1:]] == ["variables PASSWORD added", "displayName set to Support; variables PASSWORD changed"]
    assert [spec.get("after") for spec in specs[1:]] == [1, 1]
    assert SECRET not in json.dumps(changed)
    assert chain.verify_changes(changed).misfits == ()
    app = stage.get(kinds.APP.kind, APP)["metadata"]
    assert [owner["uid"] for record in changed for owner in record["metadata"]["ownerReferences"]] == [app["uid"]] * 3
    noted = {"generation": app["generation"], "sequence": 3}
    eventually("the App notes what is recorded", lambda: stage.get(kinds.APP.kind, APP)["status"].get("settings") == noted)


def test_what_changes_nothing_is_no_record_and_a_restart_makes_none(
    stage: HistoryStage, changed: list[Manifest], operator: Operator
) -> None:
    stage.as_user("eve", "label", RESOURCE, APP, "team=a")
    stage.as_user("flux", "patch", RESOURCE, APP, "--type=merge", "-p", '{"spec": {"deploy": {"workflowVersion": "v2"}}}')
    stage.until_served("v2", rows=2)
    operator.restart()

    def is_noted() -> bool:
        app = stage.get(kinds.APP.kind, APP)
        return bool(app["status"]["settings"]["generation"] == app["metadata"]["generation"])

    eventually("what was deployed is noted", is_noted)
    assert restores.changes(stage) == changed
    by(stage, "ada", displayName="Help")
    (*_, newest) = until_recorded(stage, 4)
    assert (newest["spec"]["summary"], newest["spec"]["after"], newest["spec"]["by"]) == ("displayName Support → Help", 2, "ada")


def test_records_go_with_the_rows_that_they_stand_among(stage: HistoryStage, changed: list[Manifest], operator: Operator) -> None:
    by(stage, "ada", history={"limit": 10})
    until_recorded(stage, 4)
    for number in range(12):
        stage.live(APP, f"v{number % 3 + 1}", row=f"row-{number}")
    # The newest row that the App's own spec.deploy made is kept whatever the limit: a newer one lets the first go.
    stage.as_user("flux", "patch", RESOURCE, APP, "--type=merge", "-p", '{"spec": {"deploy": {"workflowVersion": "v2"}}}')
    eventually("the oldest rows are gone", lambda: stage.rows(APP)[0]["spec"].get("sequence", 1) > 1)
    eventually("and the records before them", lambda: [each["spec"]["sequence"] for each in restores.changes(stage)] == [4])
    assert chain.verify_changes(restores.changes(stage)).misfits == ()


def test_they_stand_among_the_rows_and_verify(stage: HistoryStage, changed: list[Manifest], tmp_path: Path) -> None:
    plugin = Plugin(stage.cluster, stage.namespace, tmp_path)
    shown = plugin.data("history", APP, "--all")
    assert [(each["kind"], each["sequence"]) for each in shown][:2] == [("AppChange", 3), ("AppChange", 2)]
    assert shown[0]["changes"][1] == {"field": "variables", "name": "PASSWORD", "change": "Changed", "from": None, "to": None}
    assert "variables PASSWORD added" in plugin.said("history", APP, "--all")
    assert f"{APP}: 3 records of its settings fit" in plugin.said("verify", APP)
    assert SECRET not in json.dumps(shown)
