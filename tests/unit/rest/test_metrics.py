"""The API's metrics: one series for each route, however many paths callers make up."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.rest.http.metrics import ApiMetrics
from tests.support import factories as make
from tests.support.rest_stage import RestStage
from tests.support.scripted import failure


def samples(stage: RestStage, name: str) -> list[tuple[dict[str, str], float]]:
    metrics: ApiMetrics = stage.app.state.metrics
    return [(each.labels, each.value) for family in metrics.registry.collect() for each in family.samples if each.name == name]


def counted(stage: RestStage) -> set[tuple[str, str, str, float]]:
    found: list[tuple[dict[str, Any], float]] = samples(stage, "dynamiq_api_requests_total")
    return {(labels["method"], labels["route"], labels["code"], value) for labels, value in found}


def test_requests_are_counted_by_their_routes_template(stage: RestStage) -> None:
    uid = make.stored(make.app_manifest())["metadata"]["uid"]
    stage.call("GET", f"/v1/apps/{uid}")
    stage.call("GET", f"/v1/apps/{uid}")
    stage.call("GET", "/v1/apps/00000000-0000-4000-8000-000000000000")
    stage.call("GET", "/livez")
    assert counted(stage) == {("GET", "/v1/apps/{app_id}", "200", 2), ("GET", "/v1/apps/{app_id}", "404", 1)}
    assert samples(stage, "dynamiq_api_request_duration_seconds_count") == [({"route": "/v1/apps/{app_id}"}, 3)]


def test_unknown_paths_and_methods_make_no_series(stage: RestStage) -> None:
    for number in range(20):
        stage.call("GET", f"/v1/nothing-{number}")
        stage.call(f"METHOD{number}", "/v1/me", token=None)
    assert counted(stage) == {("GET", "-", "404", 20), ("other", "-", "401", 20)}


def test_a_failure_counts_as_the_status_that_the_caller_got(stage: RestStage) -> None:
    app = make.stored(make.app_manifest())
    stage.script.on("GET", APPS.path(make.NAMESPACE, make.NAME), failure(503, "ServiceUnavailable"))
    assert stage.call("GET", f"/v1/apps/{app['metadata']['uid']}").status == 503
    assert counted(stage) == {("GET", "/v1/apps/{app_id}", "503", 1)}
