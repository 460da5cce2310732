"""A version with open background runs is rejected, on the real API server and with a real journal: its runs wait for a person's decision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.model import kinds, names
from local.clusters import Cluster
from tests.api.support.journal_process import Journal, journaling, operator_options
from tests.api.support.recorder_process import a_pod
from tests.support import rest
from tests.support.factories import in_namespace
from tests.support.guards import rejection_manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

RUN = "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11"


@pytest.fixture(scope="module")
def journal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with journaling(cluster, tmp_path_factory.mktemp("journal")) as running:
        yield running


@pytest.fixture(scope="module")
def options(journal: Journal, account: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return operator_options(journal, tmp_path_factory.mktemp("token"))


def workloads(stage: HistoryStage) -> list[str]:
    """Returns the names of the workloads that only finish background runs."""
    selector = f"{names.APP_LABEL}={APP},{names.PINS_LABEL}"
    found = stage.api.get(WORKLOAD.kind, "", stage.namespace, api_version=WORKLOAD.api_version, labelSelector=selector)
    return [each["metadata"]["name"] for each in found.body["items"]]


def test_runs_of_a_rejected_version_are_held_and_go_on_once_it_is_not(stage: HistoryStage, operator: Operator, journal: Journal) -> None:
    stage.app(APP, workflow=APP)
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    journal.accept(a_pod(stage.api, stage.namespace, APP, "v1"), rest.uid(stage.api, kinds.APP.kind, APP, stage.namespace), RUN)
    stage.live(APP, "v2")
    stage.until_condition(APP, "Finishing", "True", reason="RunsOpen")
    (workload,) = eventually("v1 has a workload for it", lambda: workloads(stage))

    flow = stage.row(first)["spec"]["pinned"]["workflowHash"]
    stage.create(rejection_manifest("bad", "v1", in_namespace(stage.namespace), workflowHash=flow))
    # The journal's counts decide what the condition says.
    message = stage.until_condition(APP, "Finishing", "True", reason="Rejected")["message"]
    assert "`restart-runs` or `cancel` each" in message

    stage.delete(kinds.REJECTION.kind, "bad")
    stage.until_condition(APP, "Finishing", "True", reason="RunsOpen")
    assert workloads(stage) == [workload]
