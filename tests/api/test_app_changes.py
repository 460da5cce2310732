"""Changes of an App's settings on a real cluster: each is stored as an AppChange with its author, and without secret values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dynamiq_operator.model import chain, kinds
from dynamiq_operator.model.manifests import format_time
from tests.support import restores
from tests.support.api import Manifest
from tests.support.history_stage import ADMIN, APP, HistoryStage
from tests.support.operator import Operator
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

SECRET = "hunter2-" + "x" * 20


def by(stage: HistoryStage, user: str, **spec: object) -> None:
    changed = stage.api.acting_as(user, ADMIN).merge(stage.manifest(), {"spec": spec})
    assert changed.ok, changed.message


def until_a_second_after(stage: HistoryStage, sequence: int) -> None:
    """Waits until a later change differs from the row in its time, which is in seconds."""
    ended = stage.rows(APP)[sequence - 1]["spec"]["outcome"]["at"]
    eventually("a second has passed", lambda: format_time(datetime.now(UTC)) > ended)


def until_recorded(stage: HistoryStage, count: int) -> list[Manifest]:
    """Returns the AppChanges once there are `count` and the App's status counts them."""
    # Changes before that may be read together with the next one.

    def noted() -> bool:
        return bool(stage.get(kinds.APP.kind, APP).get("status", {}).get("settings", {}).get("sequence", 0) >= count)

    eventually(f"{count} records: {restores.changes(stage)}", noted)
    found = restores.changes(stage)
    assert len(found) == count
    return found


def test_each_change_is_a_record_in_its_authors_name_among_the_rows(stage: HistoryStage, operator: Operator, tmp_path: Path) -> None:
    stage.apply(stage.declared("v1"), user="flux")
    stage.until_served("v1", rows=1)
    until_recorded(stage, 1)
    until_a_second_after(stage, 1)
    by(stage, "ada", variables=[{"name": "PASSWORD", "value": SECRET}])
    until_recorded(stage, 2)
    by(stage, "bob", displayName="Support", variables=[{"name": "PASSWORD", "value": f"{SECRET}y"}])
    changed = until_recorded(stage, 3)
    specs = [record["spec"] for record in changed]
    assert [(spec["sequence"], spec.get("by"), spec["byVerified"], spec.get("after")) for spec in specs] == [
        (1, "flux", True, None),
        (2, "ada", True, 1),
        (3, "bob", True, 1),
    ]
    assert [spec["summary"] for spec in specs[1:]] == ["variables PASSWORD added", "displayName set to Support; variables PASSWORD changed"]
    assert SECRET not in json.dumps(changed)
    assert chain.verify_changes(changed).misfits == ()
    app = stage.get(kinds.APP.kind, APP)["metadata"]
    assert [owner["uid"] for record in changed for owner in record["metadata"]["ownerReferences"]] == [app["uid"]] * 3
    plugin = Plugin(stage.cluster, stage.namespace, tmp_path)
    shown = plugin.data("history", APP, "--all")
    assert [(each["kind"], each["sequence"]) for each in shown][:2] == [("AppChange", 3), ("AppChange", 2)]
    assert f"{APP}: 3 records of its settings fit" in plugin.said("verify", APP)
    assert SECRET not in json.dumps(shown)

    def is_noted() -> bool:
        found = stage.get(kinds.APP.kind, APP)
        return bool(found["status"].get("settings", {}).get("generation") == found["metadata"]["generation"])

    assert stage.api.acting_as("eve", ADMIN).merge(stage.manifest(), {"metadata": {"labels": {"team": "a"}}}).ok
    by(stage, "flux", deploy={"workflowVersion": "v2"})
    stage.until_served("v2", rows=2)
    operator.restart()
    eventually("what was deployed is noted", is_noted)
    until_a_second_after(stage, 2)
    assert restores.changes(stage) == changed, "what changes no setting is no record, and a restart makes none"
    by(stage, "ada", displayName="Help")
    (*_, newest) = until_recorded(stage, 4)
    assert (newest["spec"]["summary"], newest["spec"]["after"], newest["spec"]["by"]) == ("displayName Support → Help", 2, "ada")


def test_records_go_with_the_rows_that_they_stand_among(stage: HistoryStage, operator: Operator) -> None:
    stage.apply(stage.declared("v1"), user="flux")
    stage.until_served("v1", rows=1)
    until_recorded(stage, 1)  # an App that is changed before has one record of both
    by(stage, "ada", history={"limit": 10})
    until_recorded(stage, 2)
    for number in range(11):
        stage.live(APP, f"v{number % 3 + 1}", row=f"row-{number}")
    # The newest row that the App's own spec.deploy made is kept whatever the limit: a newer one lets the first be deleted.
    by(stage, "flux", deploy={"workflowVersion": "v2"})
    eventually("the oldest rows are gone", lambda: stage.rows(APP)[0]["spec"].get("sequence", 1) > 1)
    eventually("and the records before them", lambda: [each["spec"]["sequence"] for each in restores.changes(stage)] == [2])
    assert chain.verify_changes(restores.changes(stage)).misfits == ()
