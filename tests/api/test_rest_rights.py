"""The management API gives nobody more than the API server does: whose token, which namespaces, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.rest.http.body import BODY_MAX
from dynamiq_operator.rest.http.openapi import METHODS
from local.clusters import Cluster
from tests.support import factories, rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.waiting import eventually

APP = factories.NAME
MINE, THEIRS = "mine", "theirs"


@dataclass(frozen=True)
class Two:
    """Two projects alike; `bob` may edit the first and nothing else, `viewer` may view it."""

    url: str
    bob: Client
    viewer: Client
    ids: dict[str, dict[str, str]]
    """By project: ids of the App, its row, workflow, version and of the project."""

    namespaces: dict[str, str]


@pytest.fixture(scope="module")
def two(cluster: Cluster, guarded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("rest")
    api = Api.of(cluster)
    kubeconfig = rest.install(cluster, folder)
    with fresh_namespace(api, MINE) as mine, fresh_namespace(api, THEIRS) as theirs:
        namespaces = {MINE: mine, THEIRS: theirs}
        ids = {which: _filled(api, namespace) for which, namespace in namespaces.items()}
        with rest.serving(kubeconfig, folder) as url:
            bob = rest.client(api, url, mine, "bob", "edit")
            viewer = rest.client(api, url, mine, "viewer", "view")
            for who in ("bob", "viewer"):
                user = f"system:serviceaccount:{mine}:{who}"
                eventually(f"{who}'s rights apply", lambda user=user: rest.allowed(api, user, mine, "list", "apps"))  # type: ignore[misc]
            yield Two(url, bob, viewer, ids, namespaces)


def _filled(api: Api, namespace: str) -> dict[str, str]:
    where = factories.in_namespace(namespace)
    made: dict[str, Manifest] = {
        "workflow": {
            "apiVersion": "dynamiq.getdynamiq.ai/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": APP, "namespace": namespace},
            "spec": {"flow": "nodes: []"},
        },
        "version": factories.version_manifest("v1", where),
        "app": factories.app_manifest(where),
        "row": factories.row_manifest(f"{APP}-1", where),
    }
    ids = {}
    for which, manifest in made.items():
        answer = api.create(manifest)
        assert answer.ok, answer.message
        ids[which] = answer.body["metadata"]["uid"]
    return {**ids, "project": rest.uid(api, "Namespace", namespace)}


def test_ids_of_others_are_unknown(two: Two) -> None:
    """By every call that takes an id, the answer for what others have is the answer for what nobody has."""
    theirs, mine = two.ids[THEIRS], two.ids[MINE]
    calls = [
        ("GET", "/v1/apps/{app}", None),
        ("GET", "/v1/apps/{app}/deployments", None),
        ("DELETE", "/v1/apps/{app}", None),
        ("POST", "/v1/apps/{app}/deploy", {"workflow_id": mine["workflow"]}),
        ("POST", "/v1/apps/{app}/deploy/preview", {"workflow_id": mine["workflow"]}),
        ("POST", "/v1/apps/{app}/promote", {}),
        ("POST", "/v1/apps/{app}/promote/preview", {}),
        ("GET", "/v1/apps?project_id={project}", None),
        ("GET", "/v1/apps?workflow_id={workflow}", None),
        ("GET", "/v1/projects/{project}", None),
    ]
    for method, path, body in calls:
        said = problem(two.bob(method, path.format(**theirs), body), 404)["message"]
        nobodys = problem(two.bob(method, path.format(**dict.fromkeys(theirs, UNKNOWN)), body), 404)["message"]
        for known in theirs.values():
            said = said.replace(known, UNKNOWN)
        assert said == nobodys, (method, path)
    for field, uid in (("workflow_id", theirs["workflow"]), ("workflow_version_id", theirs["version"]), ("restores", theirs["row"])):
        body = {"workflow_id": mine["workflow"], field: uid}
        assert field in problem(two.bob("POST", f"/v1/apps/{mine['app']}/deploy", body), 404)["details"]
    assert "project_id" in problem(two.bob("POST", f"/v1/apps/{mine['app']}/promote", {"project_id": theirs["project"]}), 404)["details"]
    new = {"name": "New", "project_id": theirs["project"], "workflow_id": theirs["workflow"]}
    assert "project_id" in problem(two.bob("POST", "/v1/apps", new), 404)["details"]


def test_lists_have_what_the_caller_may_see_and_nothing_else(two: Two) -> None:
    for who in (two.bob, two.viewer):
        assert [app["id"] for app in who.get("/v1/apps")] == [two.ids[MINE]["app"]]
        assert [project["id"] for project in who.get("/v1/projects")] == [two.ids[MINE]["project"]]


def test_a_caller_who_may_read_and_not_write_is_told_so(two: Two) -> None:
    mine = two.ids[MINE]
    assert two.viewer.get(f"/v1/apps/{mine['app']}")["id"] == mine["app"]
    body = {"workflow_id": mine["workflow"]}
    preview = two.viewer("POST", f"/v1/apps/{mine['app']}/deploy/preview", body)
    assert preview.status_code == 200
    to_create, to_deploy, to_read = preview.json()["data"]["warnings"]
    assert "you may not create" in to_create
    assert "you may not deploy" in to_deploy
    assert "you may not read Runtimes" in to_read, "a view of the namespace is no right to read what belongs to none"
    problem(two.viewer("POST", f"/v1/apps/{mine['app']}/deploy", body), 403, "forbidden")
    problem(two.viewer("POST", "/v1/apps", {**body, "name": "New", "project_id": mine["project"]}), 403, "forbidden")
    problem(two.viewer("DELETE", f"/v1/apps/{mine['app']}"), 403, "forbidden")
    assert len(two.bob.get(f"/v1/apps/{mine['app']}/deployments")) == 1


def test_the_next_environment_of_a_project_is_not_told_to_a_caller_who_may_not_see_it(two: Two, api: Api) -> None:
    for which, environment in ((MINE, "staging"), (THEIRS, "production")):
        named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": two.namespaces[which]}}
        labels = {names.PROJECT_LABEL: two.namespaces[MINE], names.ENVIRONMENT_LABEL: environment}
        assert api.merge(named, {"metadata": {"labels": labels}}).ok
    path = f"/v1/apps/{two.ids[MINE]['app']}/promote/preview"

    def said() -> str | None:
        text = two.bob("POST", path, {}).text
        return text if "staging" in text else None  # until the labels are heard of

    text = eventually("the labels are known", said)
    assert "has no environment production" in text
    assert two.namespaces[THEIRS] not in text
    problem(two.bob("POST", path, {"project_id": two.ids[THEIRS]["project"]}), 404, "project_id")


def test_the_author_is_the_caller(two: Two, api: Api) -> None:
    mine = two.ids[MINE]
    path, asked = f"/v1/apps/{mine['app']}/deploy", {"workflow_id": mine["workflow"]}
    assert "createdBy" in problem(two.bob("POST", path, {**asked, "createdBy": "somebody"}), 422)["details"]
    row = two.bob.post(path, asked)
    bob = f"system:serviceaccount:{two.namespaces[MINE]}:bob"
    assert row["created_by"]["username"] == bob
    stored = api.get("Deployment", row["name"], two.namespaces[MINE]).body
    assert stored["spec"]["createdBy"] == bob


def test_without_a_token_nothing_is_read(two: Two) -> None:
    nobody, liar = Client(two.url, None), Client(two.url, "not-a-token")
    for who in (nobody, liar):
        for method, path in (
            ("GET", "/v1/me"),
            ("GET", "/v1/orgs"),
            ("GET", f"/v1/apps/{UNKNOWN}"),
            ("POST", "/v1/apps"),
            ("GET", "/v1/none"),
        ):
            answer = who(method, path)
            problem(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert nobody("POST", "/v1/apps", {"name": "x" * BODY_MAX}).status_code == 401


def test_who_calls(two: Two, cluster: Cluster) -> None:
    problem(two.bob("GET", "/v1/me"), 403, "service account")
    (organisation,) = two.bob.get("/v1/orgs")
    assert two.bob.get(f"/v1/orgs/{organisation['id']}") == organisation
    problem(two.bob("GET", f"/v1/orgs/{UNKNOWN}"), 404)
    assert two.bob.get(f"/v1/projects?org_id={organisation['id']}")[0]["name"] == two.namespaces[MINE]
    assert "org_id" in problem(two.bob("GET", f"/v1/projects?org_id={UNKNOWN}"), 404)["details"]


def test_bodies_that_are_not_json_or_too_large(two: Two) -> None:
    path = f"/v1/apps/{two.ids[MINE]['app']}/deploy"

    def send(data: bytes, kind: str = "application/json", status: int = 422) -> Manifest:
        return problem(two.bob("POST", path, data=data, headers={"Content-Type": kind}), status)

    send(b"{}", "text/plain", 415)
    send(b"{}", "application/json; charset=latin-1", 415)
    for wrong in (b"", b"{", b"[]", b'{"a":NaN}', b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"workflow_id":' + b"9" * 5000 + b"}"):
        send(wrong)
    send(b'{"message": "\\ud800", "workflow_id": "' + two.ids[MINE]["workflow"].encode() + b'"}')
    send(b'"' + b"x" * BODY_MAX + b'"', status=413)
    answer = two.bob("POST", path, data=(b"x" * 65536 for _ in range(36)), headers={"Content-Type": "application/json"})
    problem(answer, 413)


def test_paths_and_methods_that_there_are_not(two: Two) -> None:
    problem(two.bob("GET", "/v1/nothing"), 404)
    problem(two.bob("GET", "/v1/apps/"), 404)
    answer = two.bob("PATCH", "/v1/apps")
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) <= {"GET", "POST", "HEAD"}
    problem(two.bob("GET", "/v1/apps/not-an-id"), 404)


def test_what_is_public_says_nothing_of_the_cluster(two: Two) -> None:
    nobody = Client(two.url, None)
    for path in ("/healthz", "/livez", "/readyz"):
        assert nobody("GET", path).json() == {"status": "ok"}
    document = nobody("GET", "/openapi.json").json()
    calls = [(path, method, call) for path, found in document["paths"].items() for method, call in found.items()]
    assert len(calls) >= 13
    for path, method, call in calls:
        assert method in METHODS
        assert {"401", "403", "429", "503"} <= set(call["responses"]), path
        good = [answer for status, answer in call["responses"].items() if status < "300"]
        assert all("example" in content for answer in good for content in answer.get("content", {}).values()), path
    page = nobody("GET", "/docs")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    for path, _, _ in calls:
        assert path in page.text
    for answer in (page, two.bob("GET", "/v1/apps")):
        assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == ("nosniff", "no-store")
