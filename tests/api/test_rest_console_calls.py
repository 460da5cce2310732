"""The calls that the web console is made of, against a real API server and an operator at work: rights, environments, keys, pods, configuration."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.rest.access_keys.responses import AccessKey, MadeAccessKey
from dynamiq_operator.rest.apps.responses import AppDetails
from dynamiq_operator.rest.configuration.responses import Configuration
from dynamiq_operator.rest.environments.responses import Environment
from dynamiq_operator.rest.pods.responses import Pod
from dynamiq_operator.rest.rights.responses import AppRights
from dynamiq_operator.rest.runtimes.responses import Runtime
from local.clusters import Cluster
from tests.support import factories, rest, rest_rehearsal
from tests.support.api import Manifest, fresh_namespace
from tests.support.rest import Client, problem
from tests.support.rest_rehearsal import Rehearsal
from tests.support.waiting import eventually

HEARD_WITHIN = 60.0  # seconds
BIGGER: Manifest = {
    "deployment_type": "server_based",
    "config": {
        "autoscaling": {"min_replicas": 2, "max_replicas": 3, "target_cpu_utilization_percentage": 60},
        "resources": {"requests": {"cpu": "150m", "memory": "300Mi"}},
    },
}


@dataclass(frozen=True)
class Place:
    """A rehearsal whose project has a production, which its caller does not see. `app`: one that serves v2 after v1."""

    at: Rehearsal
    production: str
    app: str
    app_name: str

    @property
    def namespace(self) -> str:
        return self.at.stage.namespace

    def path(self, more: str = "") -> str:
        return f"/v1/apps/{self.app}{more}"

    def caller(self, name: str, *roles: str) -> Client:
        """A new service account with these ClusterRoles in the project."""
        return rest.client(self.at.stage.api, self.at.url, self.namespace, name, *roles)


@pytest.fixture(scope="module")
def place(cluster: Cluster, guarded: None, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("console")
    with rest_rehearsal.rehearsal(cluster, account, folder, "console") as at:
        api, home = at.stage.api, at.stage.namespace
        labels = {names.PROJECT_LABEL: home, names.ENVIRONMENT_LABEL: "production"}
        with fresh_namespace(api, "console production", labels) as production:
            own = {"metadata": {"labels": {**labels, names.ENVIRONMENT_LABEL: "staging"}}}
            assert api.merge({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}, own).ok
            app = at.new_app("Support")
            at.deploy(app, "v2")
            yield Place(at, production, app, at.named(app))


def _told(client: Client, path: str, field: str, wanted: Any) -> Any:
    """Waits until a field of the answer has a value; returns the answer."""
    return eventually(
        f"{path} says {field}: {wanted}", lambda: found if (found := client.get(path))[field] == wanted else None, HEARD_WITHIN
    )


# How an App is.


def test_an_app_in_one_word_over_its_life(place: Place) -> None:
    at = place.at
    told = at.caller.get(place.path())
    AppDetails.model_validate(told)
    assert (told["status"]["word"], told["live"]["version"], told["under_way"]) == ("Live", "v2", None)
    assert (told["namespace"], told["resource_name"], told["environment"]) == (place.namespace, place.app_name, "staging")
    assert told["live"]["deployment_id"] == at.history(place.app)[0]["id"]
    assert {each["type"] for each in told["conditions"]} >= {"Ready", "Live", "Available"}
    listed = next(each for each in at.caller.get("/v1/apps") if each["id"] == place.app)
    assert listed == {name: value for name, value in told.items() if name not in ("conditions", "git", "warm", "guards")}

    at.stage.app("never", workflow=factories.NAME)
    never = f"/v1/apps/{rest.uid(at.stage.api, kinds.APP.kind, 'never', place.namespace)}"
    told = eventually("the operator has seen it", lambda: found if (found := at.caller.get(never))["status"]["reason"] else None)
    assert (told["status"]["word"], told["live"]) == ("NotDeployed", None)
    row = at.stage.deploy("never", "v9")
    told = eventually("it waits", lambda: found if (found := at.caller.get(never))["status"]["word"] == "Pending" else None)
    assert "chat-v9 does not exist" in eventually("it says for what", lambda: at.caller.get(never)["status"]["message"])
    assert told["under_way"]["name"] == row


def test_a_rollback_brings_back_scaling_and_compute_where_it_is_asked_to(place: Place) -> None:
    at = place.at
    app = at.new_app("Scaled")
    first = at.history(app)[0]
    at.deploy(app, "v2", deployment_config=BIGGER)
    assert at.history(app)[0]["deployment_config"] == BIGGER
    body = {"workflow_id": at.ids["workflow"], "restores": first["id"]}
    preview = at.caller.post(f"/v1/apps/{app}/deploy/preview", body, 200)
    assert preview["to"]["config"] == BIGGER, "scaling stays what is live"
    preview = at.caller.post(f"/v1/apps/{app}/deploy/preview", {**body, "with_config": True}, 200)
    assert preview["to"]["config"] == first["deployment_config"]
    made = at.caller.post(f"/v1/apps/{app}/deploy", {**body, "with_config": True, "confirmed": preview["to"]})
    at.until_live(app, made["id"])
    newest = at.history(app)[0]
    assert (newest["restores"], newest["deployment_config"]) == (first["name"], first["deployment_config"])
    (container,) = at.stage.workload(at.named(app))["spec"]["template"]["spec"]["containers"]
    asked = first["deployment_config"]["config"]["resources"]["requests"]
    assert {name: container["resources"]["requests"][name] for name in asked} == asked


def test_an_amount_that_kubernetes_does_not_have_is_refused(place: Place) -> None:
    config = {"deployment_type": "server_based", "config": {"resources": {"requests": {"memory": "a lot"}}}}
    answer = place.at.caller("POST", place.path("/deploy"), {"workflow_id": place.at.ids["workflow"], "deployment_config": config})
    assert list(problem(answer, 422)["details"]) == ["deployment_config.config.resources.requests.memory"]


# Runtimes and rights.


def test_runtimes_for_whom_the_role_was_given_to(place: Place) -> None:
    reader = place.caller("runtimes-reader", "dynamiq-view")
    eventually("its rights apply", lambda: reader("GET", place.path()).status_code == 200)
    problem(reader("GET", "/v1/runtimes"), 403, "ask for the role dynamiq-runtimes")
    rest.bind(place.at.stage.api, "", "runtimes-reader", "dynamiq-runtimes", place.namespace)
    eventually("the role applies", lambda: reader("GET", "/v1/runtimes").status_code == 200)
    found = reader.get("/v1/runtimes")
    for each in found:
        Runtime.model_validate(each)
    ours = next(each for each in found if each["id"] == place.at.ids["runtime"])
    assert (ours["name"], ours["image"], ours["is_pinned_by_digest"]) == (place.at.stage.default_runtime, factories.IMAGE, True)


def test_the_role_that_is_named_is_the_one_that_has_the_right(place: Place) -> None:
    """Who may only read Apps is told of each right which role has it; with that role bound, they have it."""
    reader = place.caller("asker", "dynamiq-runtimes")
    eventually("nothing is seen yet", lambda: reader("GET", "/v1/runtimes").status_code in (200, 403))
    problem(reader("GET", place.path("/rights")), 404)
    role: Manifest = {
        "apiVersion": f"{rest.RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{place.namespace}-apps-alone"},
        "rules": [{"apiGroups": [GROUP], "resources": ["apps"], "verbs": ["get", "list"]}],
    }
    assert place.at.stage.api.apply(role).ok
    rest.bind(place.at.stage.api, place.namespace, "asker", role["metadata"]["name"], place.namespace)
    eventually("it sees the App", lambda: reader("GET", place.path("/rights")).status_code == 200)
    told = reader.get(place.path("/rights"))
    AppRights.model_validate(told)
    assert not any(each["allowed"] for each in told.values())
    bound = set()
    for name, each in told.items():
        role_named = each["needs"].removesuffix(" has it").rpartition("the role ")[2]
        where = place.production if name == "promote" else place.namespace
        if (role_named, where) not in bound:
            rest.bind(place.at.stage.api, where, "asker", role_named, place.namespace)
            bound.add((role_named, where))
        eventually(f"with {role_named} it may {name}", lambda name=name: reader.get(place.path("/rights"))[name]["allowed"])  # type: ignore[misc]
    roles = ("view", "deployer", "promoter", "edit", "keys", "approver", "bypass")
    assert {role for role, _ in bound} == {f"dynamiq-{role}" for role in roles}


def test_each_role_does_what_it_is_for_and_no_more(place: Place) -> None:
    may = {
        "dynamiq-view": {"pods", "runs_read"},
        "dynamiq-deployer": {"deploy", "roll_back", "resume", "withdraw", "pods", "logs", "run_contents", "runs_score"},
        "dynamiq-edit": {"deploy", "roll_back", "resume", "withdraw", "suspend", "configure", "delete", "triggers", "runs_delete"},
        "dynamiq-keys": {"keys_read", "keys_write"},
        "dynamiq-on-call": {"roll_back", "withdraw", "logs"},
        "dynamiq-approver": {"approve", "reject_versions", "withdraw"},
        "dynamiq-bypass": {"bypass"},
    }
    for role, rights in may.items():
        who = place.caller(f"only-{role}", role, *(["dynamiq-view"] if role in ("dynamiq-edit", "dynamiq-keys", "dynamiq-bypass") else []))
        wanted = rights | {"pods", "runs_read"}
        eventually(f"{role} applies", lambda who=who, wanted=wanted: _allowed(who, place) == wanted)  # type: ignore[misc]
    others = {"promote", "approve", "reject_versions", "bypass"}
    assert _allowed(place.at.caller, place) == {*AppRights.model_fields} - others, (
        "the cluster's edit has all but the other namespace and the rules"
    )


def _allowed(who: Client, place: Place) -> set[str] | None:
    answer = who("GET", place.path("/rights"))
    return {name for name, each in answer.json()["data"].items() if each["allowed"]} if answer.status_code == 200 else None


def test_rights_in_a_project(place: Place) -> None:
    path = f"/v1/projects/{place.at.ids['project']}/rights"
    assert all(each["allowed"] for each in place.at.caller.get(path).values())
    viewer = place.caller("project-viewer", "view")
    eventually("its rights apply", lambda: viewer("GET", path).status_code == 200)
    told = viewer.get(path)
    assert [each["allowed"] for each in told.values()] == [False, False]
    assert "the role dynamiq-edit has it" in told["release"]["needs"]
    production = rest.uid(place.at.stage.api, "Namespace", place.production)
    problem(viewer("GET", f"/v1/projects/{production}/rights"), 404)


# Environments.


def test_where_an_app_can_be_promoted_to(place: Place) -> None:
    path, who = place.path("/environments"), place.caller("promoter", "edit")
    eventually("its rights apply", lambda: who("GET", path).status_code == 200)
    (own,) = eventually("its own alone", lambda: found if (found := who.get(path))[0]["environment"] == "staging" else None)
    Environment.model_validate(own)
    assert (own["is_own"], own["app_id"], own["live_version"]) == (True, place.app, "v2")
    rest.bind(place.at.stage.api, place.production, "promoter", "dynamiq-view", place.namespace)
    _, production = eventually("production is seen", lambda: found if len(found := who.get(path)) == 2 else None)
    Environment.model_validate(production)
    assert (production["environment"], production["app_id"], production["promote"]["allowed"]) == ("production", None, False)
    assert "the role dynamiq-promoter has it" in production["promote"]["needs"]
    rest.bind(place.at.stage.api, place.production, "promoter", "dynamiq-promoter", place.namespace)
    rest.bind(place.at.stage.api, "", "promoter", "dynamiq-runtimes", place.namespace)
    eventually("it may promote", lambda: who.get(path)[1]["promote"]["allowed"])
    row = who.post(place.path("/promote"), {"environment": "production"})
    promoted = who.get(path)[1]
    assert promoted["app_id"] == row["app_id"]
    assert promoted["promote"] == {"allowed": True, "needs": None}


# Access Keys.


def test_access_keys_are_made_told_once_and_revoked(place: Place) -> None:
    who, path = place.at.caller, place.path("/access-keys")
    eventually("its first key is there", lambda: [key["name"] for key in who.get(path)] == ["default"])
    made = who.post(path, {"name": "website"})
    MadeAccessKey.model_validate(made)
    secret = place.at.stage.get("Secret", names.access_keys(place.app_name))
    assert base64.b64decode(secret["data"]["website"]).decode() == made["value"]
    answer = who("GET", path)
    for key in answer.json()["data"]:
        AccessKey.model_validate(key)
    assert {"name": "website", "begins": made["begins"]} in answer.json()["data"]
    assert made["value"] not in answer.text
    problem(who("POST", path, {"name": "website"}), 409, "already")
    assert who("DELETE", f"{path}/website").status_code == 204
    problem(who("DELETE", f"{path}/website"), 404)
    assert "website" not in place.at.stage.get("Secret", names.access_keys(place.app_name))["data"]


def test_keys_take_the_callers_own_right_to_the_secret(place: Place) -> None:
    path, deployer = place.path("/access-keys"), place.caller("keyless", "dynamiq-deployer")
    eventually("its rights apply", lambda: deployer("GET", place.path()).status_code == 200)
    for method, more in (("GET", ""), ("POST", ""), ("DELETE", "/default")):
        problem(deployer(method, f"{path}{more}"), 403, "secrets")


# Pods.


def _pods(place: Place, who: Client, row: str) -> list[Any]:
    found: list[Any] = who.get(place.path(f"/deployments/{row}/pods"))
    for each in found:
        Pod.model_validate(each)
    return found


def test_the_pods_of_a_row_with_their_events(place: Place) -> None:
    live, first = place.at.history(place.app)
    (pod,) = eventually("one pod is left", lambda: found if len(found := _pods(place, place.at.caller, live["id"])) == 1 else None)
    assert (pod["phase"], pod["ready"], pod["is_serving"], pod["reason"]) == ("Running", True, True, None)
    assert [pod["name"]] == [each["metadata"]["name"] for each in place.at.stage.pods(place.app_name)]
    assert _pods(place, place.at.caller, first["id"]) == [], "v1 has none any more"
    stored = place.at.stage.get("Pod", pod["name"])["metadata"]
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod['name']}.1", "namespace": place.namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": pod["name"], "namespace": place.namespace, "uid": stored["uid"]},
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "<b>Readiness probe failed</b>",
        "count": 4,
        "lastTimestamp": "2026-11-24T12:00:30Z",
        "source": {"component": "tests"},
    }
    assert place.at.stage.api.create(event).ok
    viewer = place.caller("pod-viewer", "dynamiq-view")
    eventually("its rights apply", lambda: viewer("GET", place.path()).status_code == 200)
    (told,) = _pods(place, viewer, live["id"])
    assert {"type": "Warning", "reason": "Unhealthy", "message": event["message"], "count": 4, "last_at": event["lastTimestamp"]} in told[
        "events"
    ]


def test_who_may_read_logs(place: Place) -> None:
    """The kubelets of this cluster are simulated: what a log is, `tests/node` shows."""
    live = place.at.history(place.app)[0]
    (pod, *_) = _pods(place, place.at.caller, live["id"])
    path = place.path(f"/deployments/{live['id']}/pods/{pod['name']}/logs")
    viewer = place.caller("log-viewer", "dynamiq-view")
    eventually("its rights apply", lambda: viewer("GET", place.path()).status_code == 200)
    problem(viewer("GET", path), 403, "pods/log")
    problem(place.at.caller("GET", path.replace(pod["name"], "another")), 404, "has no pod another")


def test_pods_of_another_row_are_not_told(place: Place) -> None:
    other = place.at.new_app("Other")
    row = place.at.history(other)[0]["id"]
    problem(place.at.caller("GET", place.path(f"/deployments/{row}/pods")), 404, "no deployment has the id")
    theirs = place.at.stage.pods(place.at.named(other))[0]["metadata"]["name"]
    live = place.at.history(place.app)[0]["id"]
    problem(place.at.caller("GET", place.path(f"/deployments/{live}/pods/{theirs}/logs")), 404, "has no pod")


# Configuration.


@pytest.fixture
def configured(place: Place, request: pytest.FixtureRequest) -> str:
    """The path of the configuration of an App of the test's own."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].rstrip("-")
    place.at.stage.app(name, workflow=factories.NAME)
    uid = rest.uid(place.at.stage.api, kinds.APP.kind, name, place.namespace)
    eventually("the API has heard of it", lambda: place.at.caller("GET", f"/v1/apps/{uid}").status_code == 200)
    return f"/v1/apps/{uid}/configuration"


def _change(place: Place, path: str, read: Manifest, **change: Any) -> Any:
    answer = place.at.caller("PATCH", path, {"object_version": read["object_version"], **change})
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    Configuration.model_validate(told)
    return told


def test_a_configuration_is_changed_field_by_field(place: Place, configured: str) -> None:
    read = place.at.caller.get(configured)
    Configuration.model_validate(read)
    host = f"chat.{place.namespace}.example.com"
    exposure = {"type": "Ingress", "class": "nginx", "annotations": {"a.example/b": "c"}}
    told = _change(place, configured, read, hostname=host, exposure=exposure, description="Answers", access_type="public")
    assert (told["hostname"], told["description"], told["access_type"]) == (host, "Answers", "public")
    assert told["exposure"] == {**exposure, "tls_secret": None, "gateway": None, "gateway_section": None}
    told = _change(place, configured, told, exposure={"type": "Ingress"}, variables=[{"name": "A", "value": "b"}])
    assert (told["exposure"]["class"], told["exposure"]["annotations"], told["hostname"]) == (None, {}, host)
    assert _told(place.at.caller, configured, "is_applied", True)["object_version"] == told["object_version"], "a status is no change of it"
    told = _change(place, configured, told, exposure=None, hostname=None, variables=None, description=None)
    assert (told["hostname"], told["description"], told["variables"]) == (None, None, [])
    assert told["exposure"]["type"] is None


def test_what_another_person_changed_is_not_undone(place: Place, configured: str) -> None:
    read = place.at.caller.get(configured)
    theirs = _change(place, configured, read, description="Theirs", variables=[{"name": "A", "value": "b"}])
    answer = place.at.caller("PATCH", configured, {"object_version": read["object_version"], "description": "Mine"})
    details = problem(answer, 409, "description, variables")["details"]
    assert details == {
        "description": {"now": "Theirs"},
        "variables": {"now": theirs["variables"]},
        "object_version": theirs["object_version"],
    }
    assert _change(place, configured, details, description="Mine")["description"] == "Mine"


def test_what_cannot_be_configured_is_said_in_the_contracts_words(place: Place, configured: str) -> None:
    version = place.at.caller.get(configured)["object_version"]
    for change, field in (
        ({"hostname": "not a name"}, "hostname"),
        ({"exposure": {"type": "Gateway", "class": "nginx"}}, "exposure"),
        ({"variables": [{"name": "1A", "value": "b"}]}, "variables[0].name"),
        ({"variables": [{"name": "DYNAMIQ_X", "value": "b"}]}, "variables[0]"),
        ({"variables": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]}, "variables[1]"),
        ({"hostname": "a.example.com", "exposure": {"type": "ClusterIP"}}, "body"),
    ):
        answer = place.at.caller("PATCH", configured, {"object_version": version, **change})
        details = problem(answer, 422)["details"]
        assert field in details or field == "body", (change, details)


def test_a_hostname_that_another_app_has_is_among_the_problems(place: Place, configured: str) -> None:
    host = f"taken.{place.namespace}.example.com"
    place.at.stage.app("holder", factories.with_hostname(host), workflow=factories.NAME)
    place.at.stage.until_condition("holder", "ChildrenApplied", "True")
    _change(place, configured, place.at.caller.get(configured), hostname=host)
    told = eventually(
        "the operator says so", lambda: found if (found := place.at.caller.get(configured))["problems"] else None, HEARD_WITHIN
    )
    assert told["problems"][0]["type"] == "ChildrenApplied"
    assert host in told["problems"][0]["message"]


def test_a_variable_of_a_secret_that_the_caller_may_not_read_is_refused(place: Place, configured: str) -> None:
    who = place.caller("editor-alone", "dynamiq-edit", "dynamiq-view")
    eventually("its rights apply", lambda: who("GET", configured).status_code == 200)
    body = {
        "object_version": place.at.caller.get(configured)["object_version"],
        "variables": [{"name": "TOKEN", "secret": {"name": "tokens", "key": "openai"}}],
    }
    answer = who("PATCH", configured, body)
    assert answer.status_code in (403, 422), answer.text
    assert "tokens" in answer.text
    told = place.at.caller("PATCH", configured, body)
    assert told.status_code == 200, "the cluster's edit reads Secrets"
    assert told.json()["data"]["variables"] == [
        {"name": "TOKEN", "value": None, "secret": {"name": "tokens", "key": "openai"}, "config_map": None}
    ]


def test_who_may_read_a_configuration_and_not_change_it(place: Place) -> None:
    viewer, path = place.caller("configuration-viewer", "view"), place.path("/configuration")
    eventually("its rights apply", lambda: viewer("GET", path).status_code == 200)
    problem(viewer("PATCH", path, {"object_version": viewer.get(path)["object_version"], "description": "x"}), 403, "forbidden")


def test_everything_is_asked_in_the_callers_name(place: Place) -> None:
    """A caller without any right sees none of it, whatever the API's own account may read."""
    nobody = place.caller("nobody")
    live = place.at.history(place.app)[0]["id"]
    review = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": {}}
    assert review["kind"] == "SelfSubjectAccessReview"
    for more in (
        "",
        "/rights",
        "/environments",
        "/configuration",
        "/access-keys",
        f"/deployments/{live}/pods",
        f"/deployments/{live}/pods/x/logs",
    ):
        problem(nobody("GET", place.path(more)), 404)
    problem(nobody("GET", "/v1/runtimes"), 403)
    problem(nobody("POST", place.path("/access-keys")), 404)
    problem(
        nobody(
            "PATCH", place.path("/configuration"), {"object_version": place.at.caller.get(place.path("/configuration"))["object_version"]}
        ),
        404,
    )
