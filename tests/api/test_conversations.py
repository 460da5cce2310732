"""A conversation on an earlier version, on the real API server and with a real journal: its workload, and the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from local.clusters import Cluster
from tests.api.support.journal_process import Journal, journaling, operator_options
from tests.api.support.recorder_process import a_pod
from tests.support import rest
from tests.support.factories import in_namespace, with_spec
from tests.support.guards import rejection_manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

SESSION = "0123456789abcdef0123456789abcdef"
SWITCH = {"strategy": "Switch", "keepWarm": {"replicas": 0}}


@pytest.fixture(scope="module")
def journal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with journaling(cluster, tmp_path_factory.mktemp("journal")) as running:
        yield running


@pytest.fixture(scope="module")
def options(journal: Journal, account: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return operator_options(journal, tmp_path_factory.mktemp("token"))


def selected(stage: HistoryStage) -> str:
    """Returns the pins label that the App's Service selects."""
    return str(stage.get("Service", APP)["spec"]["selector"].get(names.PINS_LABEL, ""))


def of_turns(stage: HistoryStage) -> set[str]:
    """Returns the pins labels that Services for turns select."""
    found = stage.api.get("Service", "", stage.namespace, labelSelector=f"{names.APP_LABEL}={APP}").body["items"]
    selectors = {each["metadata"]["name"]: each["spec"]["selector"].get(names.PINS_LABEL, "") for each in found}
    return {label for name, label in selectors.items() if name == names.turns(APP, label)}


def replicas(stage: HistoryStage, label: str) -> int | None:
    """Returns how many pods the workload of these pins has to have; None without one."""
    found = stage.find("Workload", names.workload(APP, label))
    return found["spec"]["replicas"] if found is not None else None


def finishing(stage: HistoryStage) -> list[tuple[Any, Any]]:
    """Returns row and conversations of each entry of the App's status."""
    entries = stage.get(kinds.APP.kind, APP)["status"].get("finishing", [])
    return [(each["row"], each.get("sessions")) for each in entries]


def test_pods_that_have_begun_a_conversation_stay_until_their_version_is_rejected(
    stage: HistoryStage, operator: Operator, journal: Journal
) -> None:
    stage.app(APP, with_spec(rollout=SWITCH, sessions={}), workflow=APP)
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    old = selected(stage)
    eventually("turns reach v1 by its own Service", lambda: of_turns(stage) == {old})
    journal.begin(a_pod(stage.api, stage.namespace, APP, "v1"), rest.uid(stage.api, kinds.APP.kind, APP, stage.namespace), SESSION)
    stage.live(APP, "v2")
    new = selected(stage)
    eventually("the status shows its conversation", lambda: finishing(stage) == [(first, 1)])
    assert (of_turns(stage), replicas(stage, old), replicas(stage, new)) == ({old, new}, 1, 1)
    assert stage.get("HorizontalPodAutoscaler", APP)["spec"]["scaleTargetRef"]["name"] == names.workload(APP, new)

    flow = stage.row(first)["spec"]["pinned"]["workflowHash"]
    stage.create(rejection_manifest("bad", "v1", in_namespace(stage.namespace), workflowHash=flow))
    eventually("no turn reaches v1", lambda: of_turns(stage) == {new})
    eventually("its pods go", lambda: replicas(stage, old) is None)
    assert stage.get("Service", APP)["spec"]["selector"][names.PINS_LABEL] == new


def test_without_sessions_services_for_turns_go_and_the_apps_own_keeps_its_address(stage: HistoryStage, operator: Operator) -> None:
    stage.app(APP, with_spec(rollout=SWITCH, sessions={}), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    eventually("there is a Service for turns", lambda: of_turns(stage) == {selected(stage)})
    address = stage.get("Service", APP)["spec"]["clusterIP"]
    stage.change(kinds.APP.kind, APP, spec={"sessions": None})
    eventually("it goes", lambda: not of_turns(stage))
    assert stage.get("Service", APP)["spec"]["clusterIP"] == address
