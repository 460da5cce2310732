"""A real Prometheus scrapes us by our own monitors, and answers the queries of every dashboard and alert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.api.support.prometheus import server
from tests.api.support.prometheus.scene import ASLEEP, Scene, playing
from tests.api.support.prometheus.server import Prometheus
from tests.support import history_stage
from tests.support.history_stage import APP
from tests.support.ports import free_port
from tests.support.prometheus import queries, rules
from tests.support.waiting import eventually


class Watched(NamedTuple):
    """A scene, and the Prometheus that scrapes it."""

    scene: Scene
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(cluster: Cluster, account: Path, prometheus: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("monitoring")
    with (
        history_stage.stage(cluster, "monitoring") as stage,
        playing(stage, account, folder) as scene,
        server.running(folder, free_port(), scene.jobs()) as running,
    ):
        yield Watched(scene, running)


def test_each_pod_is_found_once_with_the_labels_that_queries_name(watched: Watched) -> None:
    scene, prometheus = watched
    expected = {(job, pod["metadata"]["namespace"], pod["spec"]["containers"][0]["name"], "") for job, pod in scene.pods.items()}
    expected.add(("dynamiq-apps", scene.on.namespace, "runtime", APP))

    def all_up() -> list[Mapping[str, str]]:
        targets = prometheus.targets()
        return [each["labels"] for each in targets] if all(each["health"] == "up" for each in targets) else []

    labels = eventually("every target is up", lambda: found if len(found := all_up()) >= len(expected) else None, every=0.5)
    assert {(each["job"], each["namespace"], each["container"], each.get("app", "")) for each in labels} == expected
    assert len(labels) == len(expected), labels
    for each in labels:
        assert set(each) - {"app"} == {"job", "namespace", "container", "pod", "endpoint", "instance"}
        assert each["endpoint"] == "metrics"


def test_every_query_of_a_dashboard_has_an_answer(watched: Watched) -> None:
    asked = dict(queries.of_dashboards({"namespace": watched.scene.on.namespace, "app": APP}))
    assert len(asked) > 60
    _answered(watched.prometheus, asked)


def test_every_alert_has_something_to_compare(watched: Watched) -> None:
    _answered(watched.prometheus, dict(queries.of_alerts()))
    eventually("each rule has been asked", lambda: all(rule["health"] != "unknown" for rule in watched.prometheus.rules()))
    assert {rule["name"]: (rule["health"], rule.get("lastError", "")) for rule in watched.prometheus.rules()} == {
        each["alert"]: ("ok", "") for each in rules.alerts()
    }


def _series(prometheus: Prometheus, query: str) -> list[dict[str, Any]]:
    """Returns the series of a query once it has any: after a late scrape they are missing for a moment."""
    return eventually(f"{query} has an answer", lambda: prometheus.ask(query), every=0.5)


def _answered(prometheus: Prometheus, asked: dict[str, str]) -> None:
    left = dict(asked)

    def answered() -> bool:
        for who, query in list(left.items()):
            if prometheus.ask(query):
                del left[who]
        return not left

    try:
        eventually("each query has an answer", answered, every=1.0)
    except AssertionError:
        raise AssertionError("\n".join(f"no answer: {who}: {query}" for who, query in left.items())) from None


def test_operator_and_gate_have_series_of_apps_and_a_pod_only_of_itself(watched: Watched) -> None:
    """The operator and the gate set labels of an App, and these are kept. A pod's own labels with the same names are renamed."""
    scene, prometheus = watched
    of_app = f'{{namespace="{scene.on.namespace}", app="{APP}"}}'
    live = _series(prometheus, f"dynamiq_app_live_row{of_app}")
    (row,) = [each["metric"] for each in live]
    assert (row["workflow_version"], row["sequence"], len(row["pins"])) == ("v2", "2", 16)
    refused = _series(prometheus, f'dynamiq_gate_refused_total{{namespace="{scene.on.namespace}", app="{ASLEEP}", code="starting"}}')
    assert [each["metric"]["job"] for each in refused] == ["dynamiq-gate"]
    (leader,) = _series(prometheus, "dynamiq_leader")
    assert (leader["metric"]["namespace"], leader["value"][1]) == (names.OPERATOR_NAMESPACE, "1")
    (info,) = _series(prometheus, f"dynamiq_runtime_info{of_app}")
    assert info["metric"]["exported_app"] == APP
