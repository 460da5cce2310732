"""The management API's Apps and deployments: the contract's shapes, rollbacks, previews, promotions, and once-only under a key."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.rest.apps.responses import App, AppDetails
from dynamiq_operator.rest.deployments.responses import PreviewShape, PromotionPreview
from dynamiq_operator.rest.shared.responses import Deployment
from local.clusters import Cluster
from tests.support import history_stage, rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.rest_rehearsal import LIVE_WITHIN
from tests.support.stage import FAST
from tests.support.waiting import eventually

DOMAIN = "apps.example.test"
PUBLIC = ("--domain", DOMAIN, "--public-scheme", "http", "--public-port", "8080")
SERVER = {
    "deployment_type": "server_based",
    "config": {
        "autoscaling": {"min_replicas": 1, "max_replicas": 2, "target_cpu_utilization_percentage": 80},
        "resources": FAST["resources"],
    },
}


@dataclass(frozen=True)
class Place:
    """A project with a workflow, the API over it, and a caller who may edit it."""

    stage: HistoryStage
    anna: Client
    project: str
    workflow: str
    versions: dict[str, str]
    runtime: str

    def new_app(self, name: str, **more: Any) -> Manifest:
        body: Manifest = {"name": name, "project_id": self.project, "workflow_id": self.workflow, "runtime_id": self.runtime}
        body = {**body, "deployment_config": rest.SERVER, **more}
        made: Manifest = self.anna.post("/v1/apps", body)
        return made

    def deploy(self, app: str, version: str | None = None, **more: Any) -> Manifest:
        made: Manifest = self.anna.post(f"/v1/apps/{app}/deploy", self.asked(version, **more))
        return made

    def asked(self, version: str | None = None, **more: Any) -> Manifest:
        return {"workflow_id": self.workflow, **({"workflow_version_id": self.versions[version]} if version else {}), **more}

    def until(self, app: str, deployment: str, status: str) -> Manifest:
        def seen() -> Manifest | None:
            rows = self.anna.get(f"/v1/apps/{app}/deployments")
            return next((row for row in rows if row["id"] == deployment and row["status"] == status), None)

        return eventually(f"deployment {deployment} is {status}", seen, LIVE_WITHIN)


@pytest.fixture(scope="module")
def place(cluster: Cluster, guarded: None, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("rest")
    api = Api.of(cluster)
    kubeconfig = rest.install(cluster, folder)
    with history_stage.stage(cluster, "rest") as stage:
        draft = {"apiVersion": API_VERSION, "kind": "Workflow", "metadata": {"name": APP, "namespace": stage.namespace}}
        assert api.create({**draft, "spec": {"flow": "nodes: []", "description": "Chats"}}).ok
        with (
            Operator(account, folder, [stage.namespace], [*PUBLIC, "--gate-namespace", "none-here"]),
            rest.serving(kubeconfig, folder, *PUBLIC) as url,
        ):
            anna = rest.client(api, url, stage.namespace, "anna", "edit", "dynamiq-view")
            rest.bind(api, "", "anna", "dynamiq-runtimes", stage.namespace)
            eventually("rights apply", lambda: anna("GET", "/v1/apps").status_code == 200)
            versions = {each: rest.uid(api, "WorkflowVersion", f"{APP}-{each}", stage.namespace) for each in history_stage.RELEASES}
            yield Place(
                stage,
                anna,
                rest.uid(api, "Namespace", stage.namespace),
                rest.uid(api, "Workflow", APP, stage.namespace),
                versions,
                rest.uid(api, "Runtime", stage.default_runtime),
            )


def test_an_app_and_its_history(place: Place) -> None:
    """The story of the product's page: create, deploy, roll back, read."""
    made = place.new_app(
        "Customer support", workflow_version_id=place.versions["v1"], description="Answers", access_control={"access_type": "public"}
    )
    App.model_validate(made)
    assert (made["name"], made["description"], made["access_control"]) == ("Customer support", "Answers", {"access_type": "public"})
    assert made["hostname"] == f"http://customer-support.{place.stage.namespace}.{DOMAIN}:8080"
    assert made["workflow_version_id"] == place.versions["v1"]
    assert made["runtime_id"] == place.runtime
    assert made["created_by"]["username"] == f"system:serviceaccount:{place.stage.namespace}:anna"
    first = place.until(made["id"], made["latest_deployment_id"], "Live")
    assert place.anna.get(f"/v1/apps/{made['id']}")["hostname"] == made["hostname"]
    assert place.stage.get("App", "customer-support")["status"]["url"] == made["hostname"], "what the plugin opens"
    second = place.deploy(made["id"], "v2", message="Routes questions")
    Deployment.model_validate(second)
    assert second["status"] in ("Pending", "Progressing")
    second = place.until(made["id"], second["id"], "Live")  # a row that is Pending has pinned nothing yet
    assert (second["runtime_id"], second["runtime"]["version"]) == (place.runtime, first["runtime"]["version"])
    assert second["workflow_version"]["version"] == "v2"
    third = place.deploy(made["id"], restores=first["id"])
    live = place.until(made["id"], third["id"], "Live")
    place.until(made["id"], second["id"], "Superseded")
    rows = place.anna.get(f"/v1/apps/{made['id']}/deployments")
    assert [(row["sequence"], row["workflow_version"]["version"], row["status"]) for row in rows] == [
        (3, "v1", "Live"),
        (2, "v2", "Superseded"),
        (1, "v1", "Superseded"),
    ]
    assert live["provenance"] == "restores #1"
    assert live["restores"] == first["name"]
    for row in rows:
        Deployment.model_validate(row)
        assert row["deployment_config"] == SERVER
        assert row["created_by"]["id"] == str(uuid.UUID(row["created_by"]["id"]))
        assert datetime.fromisoformat(row["created_at"]).tzinfo is not None
    stored = place.stage.row(live["name"])
    assert (live["digest"], live["created_by"]["username"]) == (stored["spec"]["pinned"]["digest"], stored["spec"]["createdBy"])
    shown = place.anna.get(f"/v1/apps/{made['id']}")
    AppDetails.model_validate(shown)
    assert (shown["latest_deployment_id"], shown["workflow_version"]["version"]) == (third["id"], "v1")
    assert shown["workflow"] == {"id": place.workflow, "name": APP, "description": "Chats"}
    listed = {name: shown[name] for name in App.model_fields}
    assert listed in place.anna.get(f"/v1/apps?project_id={place.project}")
    assert [app["id"] for app in place.anna.get(f"/v1/apps?workflow_id={place.workflow}") if app["name"] == "Customer support"] == [
        made["id"]
    ]


def test_pages_and_orders(place: Place) -> None:
    app = place.new_app("Paged")["id"]
    for _ in range(4):
        place.deploy(app, "v1")
    path = f"/v1/apps/{app}/deployments"
    eventually("every row has its sequence", lambda: all(row["sequence"] for row in place.anna.get(path)))
    newest = [row["sequence"] for row in place.anna.get(path)]
    assert newest == sorted(newest, reverse=True)
    assert [row["sequence"] for row in place.anna.get(f"{path}?sort=created_at")] == newest[::-1]
    page = place.anna("GET", f"{path}?page=2&page_size=2").json()
    assert [row["sequence"] for row in page["data"]] == newest[2:4]
    assert page["pagination"] == {"page": 2, "page_size": 2, "page_count": 3, "total_count": 5}
    assert place.anna.get(f"{path}?page=9") == []
    for wrong in ("page=0", "page_size=501", "page_size=x", "sort=name"):
        assert wrong.partition("=")[0] in problem(place.anna("GET", f"{path}?{wrong}"), 422)["details"]


def test_a_key_makes_one_row(place: Place) -> None:
    key = "deploy 1"
    body = {"name": "Once", "project_id": place.project, "workflow_id": place.workflow}
    app = place.anna.post("/v1/apps", body, key=key)
    again = place.anna.post("/v1/apps", body, key=key)
    assert (again["id"], again["latest_deployment_id"]) == (app["id"], app["latest_deployment_id"])
    problem(place.anna("POST", "/v1/apps", {**body, "description": "other"}, headers={"Idempotency-Key": key}), 422, "Idempotency-Key")
    path = f"/v1/apps/{app['id']}/deploy"
    row = place.anna.post(path, place.asked("v2"), key=key)
    assert place.anna.post(path, place.asked("v2"), key=key)["id"] == row["id"]
    problem(place.anna("POST", path, place.asked("v3"), headers={"Idempotency-Key": key}), 422, "Idempotency-Key")
    assert place.anna.post(path, place.asked("v2"), key="deploy 2")["id"] != row["id"]
    assert len(place.anna.get(f"/v1/apps/{app['id']}/deployments")) == 3


def test_a_key_makes_one_app_whatever_its_name(place: Place) -> None:
    body = {"name": "By its key", "project_id": place.project, "workflow_id": place.workflow}
    place.anna.post("/v1/apps", body, key="named")
    problem(place.anna("POST", "/v1/apps", {**body, "name": "Another"}, headers={"Idempotency-Key": "named"}), 422, "Idempotency-Key")
    assert "Another" not in _names(place)
    problem(place.anna("POST", "/v1/apps", body, headers={"Idempotency-Key": "another key"}), 409, "taken")


def test_requests_with_one_key_at_once_make_one_app(place: Place) -> None:
    asked = [{"name": name, "project_id": place.project, "workflow_id": place.workflow} for name in ("At once", "Beside") for _ in range(3)]
    answered = at_once(place.anna, "/v1/apps", asked, "both")
    assert sorted({answer.status_code for answer in answered}) == [201, 422], [answer.text for answer in answered]
    good = [answer.json()["data"] for answer in answered if answer.status_code == 201]
    assert len(good) == 3
    assert len({(app["id"], app["latest_deployment_id"]) for app in good}) == 1
    assert [name for name in _names(place) if name in ("At once", "Beside")] == [good[0]["name"]]
    assert len(place.anna.get(f"/v1/apps/{good[0]['id']}/deployments")) == 1


def _names(place: Place) -> list[str]:
    return [app["name"] for app in place.anna.get(f"/v1/apps?project_id={place.project}&page_size=500")]


def at_once(client: Client, path: str, bodies: list[Manifest], key: str) -> list[requests.Response]:
    """The answers to the same POST many times at once, under one key."""

    def send(body: Manifest) -> requests.Response:
        return client.at(client.url)("POST", path, body, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))


def test_names_are_taken_once(place: Place) -> None:
    place.new_app("Café no. 1")
    body = {"name": "Café no. 1", "project_id": place.project, "workflow_id": place.workflow}
    assert problem(place.anna("POST", "/v1/apps", body), 409)["details"] == {"name": "taken"}
    other = place.new_app("Cafe no 1")
    assert other["hostname"].startswith("http://cafe-no-1-")


def test_a_preview_makes_nothing(place: Place) -> None:
    app = place.new_app("Seen before", workflow_version_id=place.versions["v1"])
    place.until(app["id"], app["latest_deployment_id"], "Live")
    seen = place.anna.post(f"/v1/apps/{app['id']}/deploy/preview", place.asked("v2"), 200)
    PreviewShape.model_validate(seen)
    assert (seen["from"]["version"], seen["to"]["version"], seen["pods_restart"], seen["no_op"]) == ("v1", "v2", True, False)
    assert "-" in seen["flow_diff"]
    assert place.anna.post(f"/v1/apps/{app['id']}/deploy/preview", place.asked("v1"), 200)["no_op"]
    assert len(place.anna.get(f"/v1/apps/{app['id']}/deployments")) == 1


def test_a_deploy_that_cannot_be_is_refused_and_makes_nothing(place: Place) -> None:
    app = place.new_app("Refused")["id"]
    path = f"/v1/apps/{app}/deploy"
    wrong = [
        ({}, "workflow_id"),
        (place.asked(message="x" * 1025), "message"),
        (place.asked(message=7), "message"),
        (place.asked("v1", restores=UNKNOWN), "restores"),
        (place.asked(deployment_config={"deployment_type": "serverless", "config": {"autoscaling": {}}}), "autoscaling"),
        (place.asked(deployment_config={"deployment_type": "other"}), "deployment_config.deployment_type"),
        (
            place.asked(deployment_config={"deployment_type": "server_based", "config": {"autoscaling": {"min_replicas": 3}}}),
            "deployment_config",
        ),
        (
            place.asked(
                deployment_config={"deployment_type": "server_based", "config": {"autoscaling": {"min_replicas": 3, "max_replicas": 2}}}
            ),
            "replicas",
        ),
    ]
    for body, says in wrong:
        problem(place.anna("POST", path, body), 422, says)
    for field in ("workflow_id", "workflow_version_id", "runtime_id", "restores"):
        assert field in problem(place.anna("POST", path, {**place.asked(), field: UNKNOWN}), 404)["details"]
    assert len(place.anna.get(f"/v1/apps/{app}/deployments")) == 1


def test_an_app_that_cannot_be_deployed_is_not_made(place: Place) -> None:
    body = {"name": "Half", "project_id": place.project, "workflow_id": place.workflow}
    sleeps = {"deployment_type": "serverless", "config": {"idle_seconds": 1}}
    problem(place.anna("POST", "/v1/apps", {**body, "deployment_config": sleeps}), 422, "idle_seconds")
    problem(place.anna("POST", "/v1/apps", {**body, "name": "No!"}), 422, "name")
    problem(place.anna("POST", "/v1/apps", {**body, "name": "  "}), 422, "name")
    problem(place.anna("POST", "/v1/apps", {**body, "project_id": UNKNOWN}), 404, "project_id")
    assert "Half" not in [app["name"] for app in place.anna.get("/v1/apps")]


def test_without_a_gate_an_app_that_is_to_sleep_fails_with_the_reason(place: Place) -> None:
    """As the product's client sends it. Another config is then a deploy, and what names none keeps that one's type."""
    sleeps = {"deployment_type": "serverless", "config": {}}
    app = place.new_app("Sleeper", deployment_config=sleeps)
    assert app["deployment_config"] == sleeps
    failed = place.until(app["id"], app["latest_deployment_id"], "Failed")
    assert "dynamiq-gate, which is not installed in this cluster" in failed["reason"]
    assert failed["deployment_config"] == sleeps
    assert place.deploy(app["id"])["deployment_config"] == sleeps, "it stays what the App is told to have"
    served = place.deploy(app["id"], deployment_config=SERVER, runtime_id=place.runtime)
    place.until(app["id"], served["id"], "Live")
    assert place.deploy(app["id"], "v2")["deployment_config"] == SERVER
    assert place.new_app("Left out", deployment_config=None)["deployment_config"] == sleeps


def test_an_app_is_deleted_unless_its_history_is_protected(place: Place) -> None:
    app = place.new_app("Kept")
    name = urlsplit(app["hostname"]).netloc.partition(".")[0]
    place.stage.change(kinds.APP.kind, name, spec={"history": {"protect": True}})
    problem(place.anna("DELETE", f"/v1/apps/{app['id']}"), 403, "protect")
    place.stage.change(kinds.APP.kind, name, spec={"history": {"protect": False}})
    answer = place.anna("DELETE", f"/v1/apps/{app['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/deployments")):
        problem(place.anna(method, f"/v1/apps/{app['id']}{path}"), 404)


def test_what_is_live_is_promoted(place: Place, api: Api) -> None:
    stage = place.stage
    app = place.new_app("Promoted", workflow_version_id=place.versions["v1"])
    place.until(app["id"], app["latest_deployment_id"], "Live")
    path = f"/v1/apps/{app['id']}/promote"
    problem(place.anna("POST", f"{path}/preview", {}), 422, names.PROJECT_LABEL)
    _label(api, stage.namespace, stage.namespace, "staging")
    with fresh_namespace(api, "promoted", {names.PROJECT_LABEL: stage.namespace, names.ENVIRONMENT_LABEL: "production"}) as target:
        eventually("the label is heard of", lambda: place.anna("POST", path, {}).status_code == 404)
        problem(place.anna("POST", path, {}), 404, "no environment production")
        rest.bind(api, target, "anna", "view", stage.namespace)
        eventually("the viewer's rights apply", lambda: place.anna("POST", path, {}).status_code == 403)
        problem(place.anna("POST", path, {}), 403, "dynamiq-promoter")
        rest.bind(api, target, "anna", "dynamiq-promoter", stage.namespace)
        eventually("the promoter's rights apply", lambda: place.anna("POST", f"{path}/preview", {}).status_code == 200)
        seen = place.anna.post(f"{path}/preview", {}, 200)
        assert place.anna.post(f"{path}/preview", {"project_id": seen["project_id"]}, 200) == seen
        PromotionPreview.model_validate(seen)
        assert (seen["new_app"], seen["new_version"], seen["project_id"]) == (True, "v1", rest.uid(api, "Namespace", target))
        key = "promotion"
        row = place.anna.post(path, {"message": "accepted"}, key=key)
        Deployment.model_validate(row)
        assert row["promoted_from"]["namespace"] == stage.namespace
        assert place.anna.post(path, {"message": "accepted"}, key=key)["id"] == row["id"]
        assert [each["id"] for each in place.anna.get(f"/v1/apps/{row['app_id']}/deployments")] == [row["id"]]


@contextlib.contextmanager
def promotable(place: Place, api: Api, name: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The path of an App in staging that serves v1, and the namespaces by environment that anna may promote it to."""
    stage = place.stage
    app = place.new_app(name, workflow_version_id=place.versions["v1"])
    place.until(app["id"], app["latest_deployment_id"], "Live")
    path = f"/v1/apps/{app['id']}"
    _label(api, stage.namespace, stage.namespace, "staging")
    with contextlib.ExitStack() as stack:
        targets = {}
        for environment in ("production", "qa"):
            labels = {names.PROJECT_LABEL: stage.namespace, names.ENVIRONMENT_LABEL: environment}
            targets[environment] = target = stack.enter_context(fresh_namespace(api, environment, labels))
            for role in ("view", "dynamiq-promoter"):
                rest.bind(api, target, "anna", role, stage.namespace)
            asked = {"environment": environment}
            eventually(
                "the promoter's rights apply",
                lambda asked=asked: place.anna("POST", f"{path}/promote/preview", asked).status_code == 200,  # type: ignore[misc]
            )
        yield path, targets


def test_promotions_with_one_key_are_one(place: Place, api: Api) -> None:
    with promotable(place, api, "Promoted once") as (app, targets):
        path = f"{app}/promote"
        body = {"hostname": "once.example.test", "message": "accepted"}
        answered = at_once(place.anna, path, [body] * 6, "once")
        assert {answer.status_code for answer in answered} == {201}, [answer.text for answer in answered]
        (row,) = {answer.json()["data"]["id"] for answer in answered}
        made = api.get(kinds.RECORD.kind, "", targets["production"]).body["items"]
        assert [each["metadata"]["uid"] for each in made] == [row]
        assert made[0]["spec"]["config"]["type"] == "server", "it is a first promotion, with the source's config"
        others = [
            {**body, "hostname": "other.example.test"},
            {**body, "message": "other"},
            {**body, "environment": "qa"},
            {**body, "project_id": rest.uid(api, "Namespace", targets["qa"])},
        ]
        for other in others:
            problem(place.anna("POST", path, other, headers={"Idempotency-Key": "once"}), 422, "Idempotency-Key")
        problem(
            place.anna("POST", f"{app}/deploy", place.asked("v2"), headers={"Idempotency-Key": "once"}),
            422,
            "Idempotency-Key",
        )
        assert place.anna.post(path, body, key="once")["id"] == row
        assert api.get(kinds.APP.kind, "", targets["qa"]).body["items"] == []
        assert len(api.get(kinds.RECORD.kind, "", targets["production"]).body["items"]) == 1


def test_promotions_with_one_key_and_other_targets_at_once_are_one(place: Place, api: Api) -> None:
    with promotable(place, api, "Promoted to two") as (app, targets):
        asked = [{"environment": environment} for environment in targets for _ in range(3)]
        answered = at_once(place.anna, f"{app}/promote", asked, "two targets")
        assert sorted({answer.status_code for answer in answered}) == [201, 422], [answer.text for answer in answered]
        (row,) = {answer.json()["data"]["id"] for answer in answered if answer.status_code == 201}
        made = [each for target in targets.values() for each in api.get(kinds.RECORD.kind, "", target).body["items"]]
        assert [each["metadata"]["uid"] for each in made] == [row]


def _label(api: Api, namespace: str, project: str, environment: str) -> None:
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert api.merge(named, {"metadata": {"labels": {names.PROJECT_LABEL: project, names.ENVIRONMENT_LABEL: environment}}}).ok
