"""Lists that are empty in a cluster like this: clients request them, as the product's own does, and get an empty list instead of 404."""

from __future__ import annotations

import pytest

from dynamiq_operator.kube.resources import NAMESPACES, WORKFLOWS
from tests.support.rest_stage import UNKNOWN, RestStage
from tests.support.scripted import failure

PAGINATION = {"page": 1, "page_size": 100, "page_count": 0, "total_count": 0}


def _requirements(stage: RestStage) -> str:
    return f"/v1/workflows/{stage.uid(WORKFLOWS, 'chat')}/requirements"


def test_the_catalogs_are_empty(stage: RestStage) -> None:
    paths = (
        f"{_requirements(stage)}?page_size=100",
        "/v1/resource-profiles?purpose=inference&page_size=100&sort=sort_order",
        "/v1/services?page_size=100",
        f"/v1/services?project_id={stage.uid(NAMESPACES, 'demo')}&page_size=100",
    )
    for path in paths:
        assert stage.call("GET", path).json == {"data": [], "pagination": PAGINATION}, path


def test_requirements_of_a_workflow_that_the_caller_may_not_see(stage: RestStage) -> None:
    stage.call("GET", f"/v1/workflows/{UNKNOWN}/requirements").error(404)
    for answer in (failure(403, "Forbidden"), failure(404, "NotFound")):
        stage.script.on("GET", WORKFLOWS.path("demo", "chat"), answer)
        uid = stage.uid(WORKFLOWS, "chat")
        assert stage.call("GET", _requirements(stage)).error(404)["message"] == f"no workflow has the id {uid}, or you may not see it"
    stage.script.on("GET", WORKFLOWS.path("demo", "chat"), failure(401, "Unauthorized"))
    stage.call("GET", _requirements(stage)).error(401)


def test_requirements_of_a_workflow_that_another_has_replaced(stage: RestStage) -> None:
    there = stage.object(WORKFLOWS, "chat")
    meta = {**there["metadata"], "uid": UNKNOWN}
    table = {"columnDefinitions": [{"name": "Description"}], "rows": [{"cells": [""], "object": {"metadata": meta}}]}
    stage.script.on("GET", WORKFLOWS.path("demo", "chat"), table)
    stage.call("GET", _requirements(stage)).error(404)


def test_services_of_a_project_that_the_caller_may_not_see(stage: RestStage) -> None:
    assert stage.call("GET", f"/v1/services?project_id={UNKNOWN}").error(404)["details"] == {"project_id": "unknown"}
    stage.allow(lambda *_: False)
    prod = stage.uid(NAMESPACES, "prod")
    assert stage.call("GET", f"/v1/services?project_id={prod}").error(404)["details"] == {"project_id": "unknown"}


@pytest.mark.parametrize("path", ["/v1/resource-profiles", "/v1/services"])
def test_the_catalogs_require_a_token_and_known_parameters(stage: RestStage, path: str) -> None:
    stage.call("GET", path, token=None).error(401)
    assert stage.call("GET", f"{path}?page_size=501").error(422)["details"].keys() == {"page_size"}
    assert stage.call("GET", f"{path}?colour=red").error(422)["details"].keys() == {"colour"}
