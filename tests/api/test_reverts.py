"""The operator reverts a bad version that went live, by a row that nobody can forge. Changes from Git wait until somebody deploys manually."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.api.support.simulated_runs import SimulatedRuns
from tests.support import factories as given
from tests.support import history_stage
from tests.support.faults.deploys import crash
from tests.support.faults.operators import USER
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("policies"), pytest.mark.timeout(900)]

REVERTS = given.with_spec(rollout={"revert": {"seconds": 600, "maxFailedPercent": 20, "minRuns": 20}})


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[HistoryStage]:
    with history_stage.stage(cluster, "reverts") as made:
        yield made


@pytest.fixture(scope="module")
def operator(account: Path, stage: HistoryStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with Operator(account, tmp_path_factory.mktemp("operator"), [stage.namespace]) as running:
        yield running


@pytest.fixture
def runs() -> Iterator[SimulatedRuns]:
    with SimulatedRuns() as made:
        yield made


def test_a_bad_version_is_reverted_once_and_the_next_change_of_git_waits(
    stage: HistoryStage, operator: Operator, app: str, runs: SimulatedRuns
) -> None:
    stage.apply(stage.declared("v1", REVERTS, name=app))
    first = stage.until_served("v1", app, rows=1)
    stage.apply(stage.declared("v2", REVERTS, name=app))
    row = stage.until_served("v2", app, rows=2)
    runs.of(stage, app)
    stage.until_condition(app, "Trial", "True", reason="Watching")
    runs.report(failed=40)
    back = stage.until_served("v1", app, rows=3)
    assert back == names.revert_row(app, row)
    spec = stage.row(back)["spec"]
    assert (spec["restores"], spec["pinned"]["source"]) == (first, "Revert")
    assert (spec["createdBy"], spec["pinned"]["createdByVerified"]) == (USER, True)
    assert f"v2 (#2, {row}) was reverted: 40 of 40 runs failed within" in spec["message"]
    assert stage.row(row)["spec"]["outcome"]["result"] == "Succeeded"
    assert "40 of 40" in stage.until_condition(app, "Trial", "False", reason="Reverted")["message"]
    assert "40 of 40" in eventually(
        "it is an Event of both", lambda: stage.events(app).get("Reverted") and stage.events(row).get("Reverted")
    )
    runs.report(succeeded=1)
    stage.apply(stage.declared("v2", REVERTS, name=app), user="self-heal")
    stage.quiet(app)
    operator.restart()
    stage.quiet(app)
    before = {row["metadata"]["name"] for row in stage.rows(app)}
    assert len(before) == 3, "it asks for what it asked for"

    stage.apply(stage.declared("v3", REVERTS, name=app))
    (waits,) = eventually("Git's change is a row", lambda: {row["metadata"]["name"] for row in stage.rows(app)} - before)
    message = stage.until_condition(app, "Progressing", "False", reason="Held")["message"]
    assert waits in message
    assert stage.until_condition(app, "Ready", "True")
    stage.until(waits, "Pending")
    stage.quiet(app)
    assert (stage.served(app)["workflowVersion"], stage.row(waits)["status"]["phase"]) == ("v1", "Pending")
    stage.live(app, "v4", runtime=stage.default_runtime)
    assert stage.until_served("v4", app, rows=5)
    assert stage.row(waits)["spec"]["outcome"]["result"] == "Overtaken"
    stage.apply(stage.declared("v2", REVERTS, name=app))
    stage.until_served("v2", app, rows=6)


def test_user_who_takes_the_name_of_that_row_forges_nothing(stage: HistoryStage, operator: Operator, app: str, runs: SimulatedRuns) -> None:
    stage.apply(stage.declared("v1", REVERTS, name=app))
    first = stage.until_served("v1", app, rows=1)
    stage.apply(stage.declared("v2", REVERTS, name=app))
    name = names.revert_row(app, stage.until_served("v2", app, rows=2))
    forged = given.row_manifest(name, given.in_namespace(stage.namespace), given.of_app(app), given.asking(restores=first, createdBy=USER))
    answer = stage.api.acting_as("mallory", "system:masters").create(forged)
    assert answer.ok, answer.message
    assert answer.body["spec"]["createdBy"] == "mallory"
    stage.until_served("v1", app, rows=3)
    assert stage.row(name)["spec"]["pinned"]["source"] == "Record"
    for source in ("Revert", "Record"):
        pinned = {**stage.row(name)["spec"]["pinned"], "source": source}
        sent = given.row_manifest(
            "forged", given.in_namespace(stage.namespace), given.of_app(app), given.with_spec(pinned=pinned, sequence=9)
        )
        assert not stage.api.acting_as("mallory", "system:masters").create(sent).ok


def test_a_version_whose_pods_crash_repeatedly_is_reverted(stage: HistoryStage, operator: Operator, app: str) -> None:
    stage.apply(stage.manifest(REVERTS, name=app))
    stage.live(app, "v1", runtime=stage.default_runtime)
    row = stage.live(app, "v2")
    pod = stage.pods(app)[0]
    crash(stage.api, pod)
    stage.until_served("v1", app, rows=3)
    message = stage.row(names.revert_row(app, row))["spec"]["message"]
    assert f"pod {pod['metadata']['name']} crashed 3 times, the last time with exit code 3" in message
