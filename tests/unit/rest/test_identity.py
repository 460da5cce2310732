"""The caller and their places: /v1/me, /v1/orgs, /v1/projects."""

from __future__ import annotations

import pytest

from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.rest.http import sessions
from tests.support.rest_stage import ANNA, UNKNOWN, RestStage, of_user
from tests.support.scripted import failure


def test_me(stage: RestStage) -> None:
    answer = stage.get("/v1/me")
    assert (answer["email"], answer["username"], answer["first_name"], answer["last_name"]) == (ANNA, ANNA, "Anna", "Ek")


def test_a_service_account_is_no_user(stage: RestStage) -> None:
    stage.script.on("POST", sessions.REVIEWS, of_user("system:serviceaccount:demo:bot"))
    assert "service account" in stage.call("GET", "/v1/me").error(403)["message"]
    assert stage.call("GET", "/v1/orgs").status == 200


def test_the_cluster_is_the_one_organisation(stage: RestStage) -> None:
    (cluster,) = stage.get("/v1/orgs")
    assert cluster == {"id": stage.uid(NAMESPACES, "kube-system"), "name": "kubernetes"}
    assert stage.get(f"/v1/orgs/{cluster['id'].upper()}") == cluster
    assert stage.call("GET", f"/v1/orgs/{UNKNOWN}").error(404)["code"] == "not_found"


def test_projects_are_the_namespaces_that_the_caller_may_list(stage: RestStage) -> None:
    cluster = stage.uid(NAMESPACES, "kube-system")
    projects = {project["name"]: project for project in stage.get("/v1/projects")}
    assert set(projects) == {"kube-system", "demo", "prod"}
    assert projects["demo"] == {"id": stage.uid(NAMESPACES, "demo"), "name": "demo", "org_id": cluster, "environment": "staging"}
    assert len(stage.get(f"/v1/projects?org_id={cluster}")) == 3
    assert stage.call("GET", f"/v1/projects?org_id={UNKNOWN}").error(404)["details"] == {"org_id": "unknown"}


def test_a_caller_who_may_not_list_namespaces_gets_those_with_readable_apps(stage: RestStage) -> None:
    stage.script.on("GET", NAMESPACES.path(), failure(403, "Forbidden"))
    stage.allow(lambda verb, plural, namespace: (verb, plural, namespace) == ("list", APPS.plural, "demo"))
    assert [project["name"] for project in stage.get("/v1/projects")] == ["demo"]
    assert stage.get(f"/v1/projects/{stage.uid(NAMESPACES, 'demo')}")["environment"] == "staging"
    stage.call("GET", f"/v1/projects/{stage.uid(NAMESPACES, 'prod')}").error(404)


def test_a_token_that_expires_between_two_requests_is_invalid(stage: RestStage) -> None:
    stage.get("/v1/me")
    stage.script.on("GET", NAMESPACES.path(), failure(401, "Unauthorized"))
    answered = stage.call("GET", "/v1/projects")
    assert answered.error(401)["code"] == "unauthorized"
    assert answered.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("project", [UNKNOWN, "no-uuid"])
def test_an_id_of_no_project(stage: RestStage, project: str) -> None:
    before = len(stage.script.sent)
    assert project in stage.call("GET", f"/v1/projects/{project}").error(404)["message"]
    lists = [sent for sent in stage.script.sent[before:] if (sent.method, sent.path) == ("GET", NAMESPACES.path())]
    assert len(lists) == (project == UNKNOWN), "what is no id is looked for nowhere"
