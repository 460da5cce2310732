"""REST on a real API server with an operator, without policies: sign-ins, streams, configurations, chains, and one key used twice at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from dynamiq_operator.model import kinds, names
from dynamiq_operator.rest.configuration.responses import Configuration
from dynamiq_operator.rest.deployments.responses import PromotionPreview, VerificationResponse
from dynamiq_operator.rest.environments.responses import Environment
from local.clusters import Cluster
from tests.api.support import rest_rehearsal
from tests.api.support.rest_rehearsal import Rehearsal
from tests.support import rest
from tests.support.api import Manifest, fresh_namespace
from tests.support.console import cookie, kept
from tests.support.event_stream import Event, events, until
from tests.support.rest import Client, problem
from tests.support.waiting import eventually

SESSION = "/console/session"
OWN = {"Sec-Fetch-Site": "same-origin", "X-Dynamiq-Console": "1"}
AT_ONCE = 3
"""Times that each of two requests is sent with one key."""


@dataclass(frozen=True)
class Place:
    """A rehearsal with two more namespaces of its project, by environment. `app`: the id of an App that serves v1."""

    at: Rehearsal
    others: Mapping[str, str]
    app: str

    @property
    def name(self) -> str:
        """The App's object name."""
        return self.at.named(self.app)


@pytest.fixture(scope="module")
def place(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with rest_rehearsal.rehearsal(cluster, account, tmp_path_factory.mktemp("console"), "console") as at, ExitStack() as stack:
        home = at.stage.namespace
        others = {}
        for environment in ("production", "qa"):
            labels = {names.PROJECT_LABEL: home, names.ENVIRONMENT_LABEL: environment}
            others[environment] = stack.enter_context(fresh_namespace(at.stage.api, environment, labels))
        own = {"metadata": {"labels": {names.PROJECT_LABEL: home, names.ENVIRONMENT_LABEL: "staging"}}}
        assert at.stage.api.merge({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}, own).ok
        yield Place(at, others, at.new_app("Support"))


@pytest.fixture
def at(place: Place) -> Rehearsal:
    return place.at


@pytest.fixture
def nobody(at: Rehearsal) -> Client:
    return Client(at.url, None)


@contextmanager
def reading(client: Client, path: str) -> Iterator[Iterator[Event]]:
    """Yields the events of a stream that is ready."""
    with client("GET", path, stream=True) as answer:
        stream = events(answer)
        until(stream, "ready")
        yield stream


# The session.


def test_a_service_accounts_token_signs_in_and_what_is_written_with_its_cookies_has_its_author(place: Place, nobody: Client) -> None:
    at, path = place.at, f"/v1/apps/{place.app}"
    answer = nobody("POST", SESSION, {"token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."}, headers=OWN)
    problem(answer, 401)
    assert "Set-Cookie" not in answer.headers, "the API server does not know it"
    answer = nobody("POST", SESSION, {"token": at.token}, headers=OWN)
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert data["user"]["username"].endswith(f":{at.stage.namespace}:anna")
    assert data["expires_at"] is None or datetime.fromisoformat(data["expires_at"]) > datetime.now(UTC)
    cookies = cookie(kept(answer.raw.headers.getlist("Set-Cookie")))
    assert nobody("GET", SESSION, headers={**OWN, **cookies}).json()["data"] == data
    assert nobody("GET", path, headers={**OWN, **cookies}).json()["data"]["id"] == place.app
    problem(nobody("GET", path, headers={**cookies, "Sec-Fetch-Site": "same-site"}), 403, "origin")
    body = {"workflow_id": at.ids["workflow"], "workflow_version_id": at.ids["v1"]}
    problem(nobody("POST", f"{path}/deploy", body, headers={**cookies, "Sec-Fetch-Site": "same-origin"}), 403, "X-Dynamiq-Console")
    made = nobody("POST", f"{path}/deploy", body, headers={**OWN, **cookies})
    assert made.status_code == 201, made.text
    at.until_live(place.app, made.json()["data"]["id"])
    assert nobody("DELETE", SESSION, headers={**OWN, **cookies}).status_code == 204


# Streams.


def test_streams_have_events_of_a_deploy_a_change_by_kubectl_and_a_deletion(at: Rehearsal) -> None:
    app = at.new_app("Watched")
    name, path = at.named(app), f"/v1/apps/{app}"
    with reading(at.caller, f"{path}/watch") as stream, reading(at.caller, f"/v1/projects/{at.ids['project']}/watch") as project:
        body = {"workflow_id": at.ids["workflow"], "workflow_version_id": at.ids["v2"]}
        row = at.caller.post(f"{path}/deploy", body)["id"]
        statuses: list[str] = []
        serves_it = False
        while not serves_it or statuses[-1:] != ["Live"]:  # a replica hears of an App and of its row by two watches, in any order
            kind, data = next(stream)
            if kind == "deployment" and data["id"] == row:
                statuses.append(data["status"])
                assert "ready" in data
            serves_it |= kind == "app" and (data["latest_deployment_id"], data["live"]["deployment_id"]) == (row, row)
        assert set(statuses) <= {"Pending", "Progressing", "Live"}
        at.until_live(app, row)  # nothing of the deploy is written any more
        _describe(at, name, "by kubectl")
        until(project, "app", id=app, description="by kubectl")
        shown = until(stream, "app", id=app, description="by kubectl")
        while shown != at.caller.get(path):  # the operator says a moment later that it has seen the change
            shown = until(stream, "app", id=app)
        assert at.caller("DELETE", path).status_code == 204
        assert until(stream, "deleted") == {}
        assert next(stream, None) is None, "it has ended"
        until(project, "removed", id=app)


def _describe(at: Rehearsal, app: str, description: str) -> None:
    change = json.dumps({"spec": {"description": description}})
    at.stage.kubectl("patch", "apps.dynamiq.getdynamiq.ai", app, "--type=merge", "-p", change, namespace=at.stage.namespace)


def test_a_caller_who_loses_the_right_gets_no_further_event(place: Place) -> None:
    at = place.at
    viewer = rest_rehearsal.new_caller(at.stage, at.url, "watcher", "view")
    with reading(viewer, f"/v1/apps/{place.app}/watch") as stream:
        binding = f"{at.stage.namespace}-watcher-view"
        at.stage.kubectl("delete", "rolebinding", binding, namespace=at.stage.namespace)
        user = f"system:serviceaccount:{at.stage.namespace}:watcher"
        eventually("the right is gone", lambda: not rest.allowed(at.stage.api, user, at.stage.namespace, "get", "apps"))
        _describe(at, place.name, "hidden")
        assert until(stream, "deleted") == {}
        assert next(stream, None) is None, "it has ended"


# Configuration.


def test_a_configuration_is_changed_field_by_field_and_refused_by_the_schema(place: Place) -> None:
    caller, path = place.at.caller, f"/v1/apps/{place.app}/configuration"

    def change(read: Manifest, **fields: Any) -> Any:
        answer = caller("PATCH", path, {"object_version": read["object_version"], **fields})
        assert answer.status_code == 200, answer.text
        Configuration.model_validate(answer.json()["data"])
        return answer.json()["data"]

    read, host = caller.get(path), f"chat.{place.at.stage.namespace}.example.com"
    exposure = {"type": "Ingress", "class": "nginx", "annotations": {"a.example/b": "c"}}
    configuration = change(read, hostname=host, exposure=exposure, access_type="public")
    assert configuration["exposure"] == {**exposure, "tls_secret": None, "gateway": None, "gateway_section": None}
    configuration = change(configuration, exposure={"type": "Ingress"}, variables=[{"name": "A", "value": "b"}])
    assert (configuration["exposure"]["class"], configuration["exposure"]["annotations"], configuration["hostname"]) == (None, {}, host)
    applied = eventually("the operator has seen it", lambda: found if (found := caller.get(path))["is_applied"] else None)
    assert applied["object_version"] == configuration["object_version"], "a status is no change of it"
    conflict = problem(caller("PATCH", path, {"object_version": read["object_version"], "description": "Mine"}), 409, "hostname")
    assert conflict["details"]["object_version"] == configuration["object_version"], "what another person changed is not undone"
    for fields, wrong in (
        ({"hostname": "not a name"}, "hostname"),
        ({"exposure": {"type": "Gateway", "class": "nginx"}}, "exposure"),
        ({"variables": [{"name": "1A", "value": "b"}]}, "variables[0].name"),
        ({"variables": [{"name": "DYNAMIQ_X", "value": "b"}]}, "variables[0]"),
        ({"variables": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]}, "variables[1]"),
    ):
        assert wrong in problem(caller("PATCH", path, {"object_version": configuration["object_version"], **fields}), 422)["details"], wrong
    configuration = change(configuration, exposure=None, hostname=None, variables=None)
    assert (configuration["hostname"], configuration["variables"], configuration["exposure"]["type"]) == (None, [], None)


# The chain of a history.


def test_an_unchanged_history_fits_and_a_removed_row_is_found(at: Rehearsal) -> None:
    """Without the policies, which prevent it, a row can be deleted."""
    app = at.new_app("Robbed")
    for version in ("v2", "v3"):
        at.deploy(app, version)
    newest, middle, first = at.history(app)
    path = f"/v1/apps/{app}/verify"
    verification = at.caller.get(path)
    VerificationResponse.model_validate(verification)
    assert verification["newest"] == {"deployment_id": newest["id"], "sequence": 3, "digest": newest["digest"]}
    assert (verification["rows"], verification["fits"], verification["says"], verification["settings"]["fits"]) == (
        3,
        True,
        "3 rows fit",
        True,
    )
    expected = at.caller.get(f"{path}?expect={first['digest']}")["expected"]
    assert expected == {"digest": first["digest"], "deployment_id": first["id"], "sequence": 1, "found": True}
    settings = eventually("the App's settings are recorded", lambda: at.caller.get(f"/v1/apps/{app}/changes"))
    assert at.caller.get(f"{path}?expect={settings[0]['digest']}")["expected"]["found"] is True

    at.stage.delete(kinds.ROW.kind, middle["name"])
    eventually("the row is gone", lambda: at.stage.find(kinds.ROW.kind, middle["name"]) is None)
    verification = at.caller.get(f"{path}?expect={middle['digest']}")
    assert (verification["rows"], verification["fits"], verification["expected"]["found"]) == (2, False, False)
    assert [(each["deployment_id"], "does not follow" in each["says"]) for each in verification["misfits"]] == [(newest["id"], True)]


# Concurrent requests with one key.


def _at_once(client: Client, path: str, bodies: list[Manifest], key: str) -> list[Any]:
    """Sends each of two requests several times at once with one key, and returns the answers to the accepted one."""

    def send(body: Manifest) -> requests.Response:
        return client.at(client.url)("POST", path, body, headers={"Idempotency-Key": key})

    every = [body for body in bodies for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(len(every)) as pool:
        answers = list(pool.map(send, every))
    assert sorted(answer.status_code for answer in answers) == [201] * AT_ONCE + [422] * AT_ONCE, [answer.text for answer in answers]
    return [answer.json()["data"] for answer in answers if answer.status_code == 201]


def test_requests_with_one_key_at_once_make_one_app(at: Rehearsal) -> None:
    bodies = [{"name": name, "project_id": at.ids["project"], "workflow_id": at.ids["workflow"]} for name in ("At once", "Beside")]
    made = _at_once(at.caller, "/v1/apps", bodies, "both")
    assert len({(app["id"], app["latest_deployment_id"]) for app in made}) == 1
    every = [app["name"] for app in at.caller.get(f"/v1/apps?project_id={at.ids['project']}&page_size=500")]
    assert [name for name in every if name in ("At once", "Beside")] == [made[0]["name"]]
    assert len(at.history(made[0]["id"])) == 1


def test_an_app_is_promoted_where_its_caller_may_and_with_one_key_once(place: Place) -> None:
    at, path = place.at, f"/v1/apps/{place.app}"
    home, api, production = at.stage.namespace, at.stage.api, place.others["production"]
    (own,) = at.caller.get(f"{path}/environments")
    assert (own["environment"], own["is_own"]) == ("staging", True)
    problem(at.caller("POST", f"{path}/promote", {}), 404, "no environment production")
    rest.bind(api, production, "anna", "view", home)
    _, seen = eventually("production is seen", lambda: found if len(found := at.caller.get(f"{path}/environments")) == 2 else None)
    Environment.model_validate(seen)
    assert (seen["environment"], seen["app_id"], seen["promote"]["allowed"]) == ("production", None, False)
    problem(at.caller("POST", f"{path}/promote", {}), 403, "dynamiq-promoter")
    for namespace in place.others.values():
        for role in ("view", "dynamiq-promoter"):
            rest.bind(api, namespace, "anna", role, home)
    rest.bind(api, "", "anna", "dynamiq-runtimes", home)
    bodies: list[Manifest] = [{"environment": environment} for environment in place.others]
    for body in bodies:
        eventually("the promoter's rights apply", lambda body=body: at.caller("POST", f"{path}/promote/preview", body).ok)  # type: ignore[misc]
    preview = at.caller.post(f"{path}/promote/preview", {}, 200)
    PromotionPreview.model_validate(preview)
    assert (preview["new_app"], preview["project_id"]) == (True, rest.uid(api, "Namespace", production))

    (row,) = {row["id"] for row in _at_once(at.caller, f"{path}/promote", bodies, "two targets")}
    made = {name: api.get(kinds.ROW.kind, "", name).body["items"] for name in place.others.values()}
    (stored,) = [each for rows in made.values() for each in rows]
    assert (stored["metadata"]["uid"], stored["spec"]["promotedFrom"]["namespace"]) == (row, home)
    assert stored["spec"]["config"]["type"] == "server", "it is a first promotion, with the source's config"
    promoted = [each for each in at.caller.get(f"{path}/environments") if each["app_id"] and not each["is_own"]]
    assert [each["project_name"] for each in promoted] == [stored["metadata"]["namespace"]]
