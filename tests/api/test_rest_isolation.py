"""Callers see and do only what the API server allows them, by the management API and by the kubectl plugin.

The OpenAPI document lists the calls, and the plugin's parser the commands, so none is forgotten.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from dynamiq_operator.cli import arguments
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION, GROUP
from dynamiq_operator.model.runs import RunComparison, RunDetail, RunPage
from dynamiq_operator.rest.rights.responses import AppRights
from local.clusters import Cluster
from tests.api.support import recorded_app, rest_rehearsal
from tests.api.support.recorded_app import RUNS, Recorded, recorded
from tests.api.support.recorder_process import runs_of
from tests.support import factories, history_stage, recorders, rest
from tests.support.api import Manifest, fresh_namespace
from tests.support.history_stage import APP, HistoryStage
from tests.support.otlp_runs import run_id_of
from tests.support.plugin import Plugin
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.waiting import eventually

OTHERS_APP = "confidential"
MINE = recorded_app.APP
SHARED = {"org_id", "runtime_id"}
"""Ids of cluster-scoped things that belong to no project: the organisation, and Runtimes, which every row may name."""

ALWAYS_EMPTY = "/v1/services"
"""A list that is empty even for the owner: ids of others are answered like unknown ones all the same."""

NAMED = ("name", "pod", "session_id", "event_id", "path")
"""Parameters of paths with names, or with ids of what does not exist here: Access Keys, pods, sessions, events, paths of Apps."""

OF_THE_APP = {"path"}
"""Parameters of paths that the caller's own App decides about."""

WORDS = {"session_id", "user_id"}
"""Fields that an App's callers choose: they are no ids, and two Apps may have equal ones."""

TIMED = re.compile(r'"(since|until|at)":"[^"]*"')
"""Times in an answer, which repeat the times of the request."""

ONE_OF: Mapping[tuple[str, str], Mapping[str, str]] = {("DELETE", "/v1/apps/{app_id}/runs"): {"user_id": "u-1"}}
"""Query parameters of a call that requires one of several, which the document cannot say."""

COMPARED = "/v1/apps/{app_id}/deployments/{deployment_id}/comparison"
"""A call that needs a row with a rollout. The others' row waits, since no operator runs there."""

PATH_ID = re.compile(r"{(\w+)}")
SETTLED = ("App", "Deployment", "Workflow", "WorkflowVersion")


@dataclass(frozen=True)
class Two:
    """Two equal projects: `mine` is the caller's. The caller has no rights in the other one; `otto` has.

    The caller's project has an App with recorded runs, a next environment `production`, and more callers with one role each.
    """

    at: Recorded
    caller: Client
    others: HistoryStage
    production: str
    otto: Client
    mine: Mapping[str, str]
    theirs: Mapping[str, str]
    calls: list[tuple[str, str, Manifest]]
    components: Mapping[str, Manifest]

    def body(self, call: Manifest, ids: Mapping[str, str], **swapped: str) -> Manifest | None:
        """Returns a body from the document's example with its ids replaced. `swapped`: fields that are set to other values."""
        content = (call.get("requestBody") or {}).get("content", {}).get("application/json")
        if content is None:
            return None
        schema = self.schema(call)
        made: Manifest = json.loads(json.dumps(schema["examples"][0]))
        made |= {field: ids[field] for field in made if field in ids}
        return {**made, **swapped}

    def query(self, method: str, path: str, call: Manifest, ids: Mapping[str, str]) -> dict[str, str]:
        """Returns the required query parameters, with ids by name."""
        required = (each["name"] for each in call.get("parameters", ()) if each["in"] == "query" and each.get("required"))
        return {**ONE_OF.get((method, path), {}), **{name: ids[name] for name in required if name in ids}}

    def schema(self, call: Manifest) -> Manifest:
        """Returns the schema of a call's body."""
        schema = call["requestBody"]["content"]["application/json"]["schema"]
        reference = next(each["$ref"] for each in (schema, *schema.get("anyOf", ())) if "$ref" in each)
        return self.components[reference.rpartition("/")[2]]

    def traces(self) -> list[str]:
        """Returns texts that would reveal the others' project."""
        return [self.others.namespace, OTHERS_APP, *(uid for name, uid in self.theirs.items() if name not in {*SHARED, *NAMED})]


@pytest.fixture(scope="module")
def two(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with recorded(cluster, account, tmp_path_factory.mktemp("isolation"), "mine") as at, history_stage.stage(cluster, "others") as others:
        home = at.stage.namespace
        labels = {names.PROJECT_LABEL: home, names.ENVIRONMENT_LABEL: "production"}
        with fresh_namespace(at.stage.api, "production", labels) as production:
            own = {"metadata": {"labels": {**labels, names.ENVIRONMENT_LABEL: "staging"}}}
            assert at.stage.api.merge({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}, own).ok
            for stage in (at.stage, others):
                stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name=APP))
            others.app(OTHERS_APP, workflow=APP)
            caller, otto = (rest_rehearsal.new_caller(stage, at.url, name) for stage, name in ((at.stage, "anna"), (others, "otto")))
            document = requests.get(f"{at.url}/openapi.json", timeout=60).json()
            calls = [(method.upper(), path, call) for path, methods in document["paths"].items() for method, call in methods.items()]
            confidential = others.api.get(kinds.APP.kind, OTHERS_APP, others.namespace).body
            theirs = _ids(otto, rest_rehearsal.ids(others), confidential["metadata"]["uid"])
            pod = recorders.a_pod(others.api, others.namespace, confidential)  # no operator is at work there
            theirs["run_id"] = _run(at, pod)
            at.journal.accept(pod, theirs["app_id"], theirs["run_id"])
            mine = {**_ids(caller, rest_rehearsal.ids(at.stage), at.app), "run_id": at.runs("viewer")[0]["id"]}
            theirs["trace_id"], mine["trace_id"] = theirs["run_id"], mine["run_id"]
            theirs["rejection_id"], mine["rejection_id"] = (_rejection(stage) for stage in (others, at.stage))
            yield Two(at, caller, others, production, otto, mine, theirs, calls, document["components"]["schemas"])


def _ids(client: Client, ids: Mapping[str, str], app: str) -> dict[str, str]:
    """Makes a row and a trigger, and returns ids by the names of the parameters and fields that take them."""
    body = {"workflow_id": ids["workflow"], "workflow_version_id": ids["v2"], "runtime_id": ids["runtime"]}
    row = client.post(f"/v1/apps/{app}/deploy", body)["id"]
    nightly = {"name": "nightly", "provider": "schedule", "config": {"timezone": "UTC", "schedule": "0 3 * * *"}}
    return {
        "app_id": app,
        "project_id": ids["project"],
        "workflow_id": ids["workflow"],
        "workflow_version_id": ids["v1"],
        "runtime_id": ids["runtime"],
        "org_id": client.get("/v1/orgs")[0]["id"],
        "restores": row,
        "deployment_id": row,
        "version_id": ids["v1"],
        "trigger_id": client.post(f"/v1/apps/{app}/triggers", nightly)["id"],
        **dict.fromkeys(NAMED, "nothing"),
    }


def _rejection(stage: HistoryStage) -> str:
    """Makes a Rejection of an unused flow, and returns its id."""
    spec = {"workflowHash": f"sha256:{'0' * 64}", "workflow": APP, "version": "v9", "reason": "it loses invoices"}
    made = {
        "apiVersion": API_VERSION,
        "kind": kinds.REJECTION.kind,
        "metadata": {"name": f"{APP}-v9", "namespace": stage.namespace},
        "spec": spec,
    }
    answer = stage.api.create(made)
    assert answer.ok, answer.message
    uid: str = answer.body["metadata"]["uid"]
    return uid


def _run(at: Recorded, pod: Manifest) -> str:
    """Sends a run from this pod, and returns its id."""
    (made,) = runs_of(1, first=1, milliseconds=50.0)
    at.recorder.send(pod, made, instance=pod["metadata"]["uid"])
    return run_id_of(made)


@pytest.fixture
def unchanged(two: Two) -> Iterator[None]:
    """Asserts after the test that the others' objects are as before, and that the caller has created nothing."""
    before = _state(two)
    yield
    assert _state(two) == before


def _state(two: Two) -> list[tuple[str, str, Any]]:
    found = []
    for namespace, what in ((two.others.namespace, "resourceVersion"), (two.at.stage.namespace, "uid")):
        for kind in SETTLED:
            found += [
                (kind, each["metadata"]["name"], each["metadata"][what]) for each in two.at.stage.api.get(kind, "", namespace).body["items"]
            ]
    return found


def _says(answer: requests.Response, ids: Mapping[str, str]) -> str:
    """Returns an answer's body without the ids that were sent."""
    text = answer.text
    for uid in ids.values():
        text = text.replace(uid, "ID")
    return TIMED.sub("TIME", text)


def _all_known(two: Two) -> None:
    """Asserts that this test has a value for each id that a call of the document takes."""
    known = set(two.theirs)
    for method, path, call in two.calls:
        named = set(PATH_ID.findall(path)) | {each["name"] for each in call.get("parameters", ()) if each["name"].endswith("_id")} - WORDS
        if "requestBody" in call:
            named |= {field for field in two.schema(call)["properties"] if field.endswith("_id")}
        assert named <= known, f"{method} {path}: teach this test where ids of {named - known} come from"


def test_ids_of_others_in_paths_have_the_response_of_unknown_ids(two: Two, unchanged: None) -> None:
    _all_known(two)
    count = 0
    for method, path, call in two.calls:
        ids_of_path = [name for name in PATH_ID.findall(path) if name not in SHARED | OF_THE_APP]
        if not ids_of_path:
            continue
        nobodys = {**two.theirs, **dict.fromkeys(ids_of_path, UNKNOWN)}
        for ids in (two.theirs, {**two.theirs, "app_id": two.mine["app_id"]}):
            body = two.body(call, two.theirs)
            query = two.query(method, path, call, two.theirs)
            answer = two.caller(method, path.format(**ids), body, params=query)
            assert answer.status_code == 404, (method, path, answer.text)
            if ids is two.theirs:
                unknown = two.caller(method, path.format(**nobodys), body, params=query)
                assert _says(answer, two.theirs) == _says(unknown, nobodys), (method, path)
            count += 1
            if ids_of_path == ["app_id"] or "app_id" not in ids_of_path:
                break
    assert count >= len([path for _, path, _ in two.calls if PATH_ID.findall(path)]) - len(SHARED)


def test_their_owner_is_answered(two: Two) -> None:
    """The calls above are refused because of their caller: the owner's same calls are answered."""
    for method, path, call in two.calls:
        if (ids := PATH_ID.findall(path)) and method != "DELETE" and path != COMPARED and not set(ids) & set(NAMED):
            query, body = two.query(method, path, call, two.theirs), two.body(call, two.theirs)
            with two.otto(method, path.format(**two.theirs), body, params=query, stream=True) as answer:  # some have no end
                assert answer.status_code not in (404, 501), (method, path, answer.text)


def test_ids_of_others_in_queries_show_nothing(two: Two, unchanged: None) -> None:
    """A query on the caller's own objects with an id of others is answered like a query with an unknown id."""
    count = 0
    for method, path, call in two.calls:
        for parameter in call.get("parameters", ()):
            name = parameter["name"]
            if parameter["in"] != "query" or not name.endswith("_id") or name in {*SHARED, *WORDS}:
                continue
            of_mine, of_theirs, body = path.format(**two.mine), path.format(**two.theirs), two.body(call, two.mine)
            answer = two.caller(method, of_mine, body, params={name: two.theirs[name]})
            assert answer.status_code == 404 or path != of_mine, (path, name, answer.text)
            assert _says(answer, two.theirs) == _says(two.caller(method, of_mine, body, params={name: UNKNOWN}), {"": UNKNOWN}), (
                path,
                name,
            )
            count += 1
            if method != "GET":
                continue  # the owner's would be done
            owners = two.otto(method, of_theirs, params={name: two.theirs[name]})
            assert owners.status_code == 200, (path, name, owners.text)
            assert path != of_mine or owners.json()["data"] or path == ALWAYS_EMPTY, "the owner sees something"
    assert count >= 10


def test_pairs_of_ids_in_queries_reveal_nothing_of_others(two: Two, unchanged: None) -> None:
    """Each id may be the caller's, the others', a third project's or unknown: ids that are not the caller's are answered like unknown ones."""
    count = 0
    with fresh_namespace(two.at.stage.api, "third") as third:
        made = two.at.stage.api.create(factories.workflow_manifest(factories.in_namespace(third), name=APP))
        assert made.ok, made.message
        thirds = {"project_id": rest.uid(two.at.stage.api, "Namespace", third), "workflow_id": made.body["metadata"]["uid"]}
        for method, path, call in two.calls:
            asked_by = [each["name"] for each in call.get("parameters", ()) if each["in"] == "query" and each["name"].endswith("_id")]
            asked_by = [name for name in asked_by if name not in SHARED]
            if len(set(asked_by) - WORDS) < 2 or "{" in path:  # a filter of one App's runs names what that App has, or takes nothing
                continue
            nobodys = dict.fromkeys(asked_by, UNKNOWN)
            for given in itertools.product((two.mine, two.theirs, thirds, nobodys), repeat=len(asked_by)):
                ids = {name: whose[name] for name, whose in zip(asked_by, given, strict=True)}
                hidden = {name: uid for name, uid in ids.items() if uid != two.mine[name]}
                answer = two.caller(method, path, params=ids)
                assert answer.status_code == (404 if hidden else 200), (path, ids, answer.text)
                unknown = two.caller(method, path, params={**ids, **dict.fromkeys(hidden, UNKNOWN)})
                if hidden:
                    assert _says(answer, hidden) == _says(unknown, {"": UNKNOWN}), (path, ids)
                count += 1
    assert count >= 16


def test_ids_of_others_in_bodies_are_unknown(two: Two, unchanged: None) -> None:
    count = 0
    for method, path, call in two.calls:
        if "requestBody" not in call:
            continue
        fields = [field for field in two.schema(call)["properties"] if field in two.theirs and field not in {*SHARED, *NAMED}]
        for field in fields:
            body = two.body(call, two.mine, **{field: two.theirs[field]})
            assert body is not None
            if field == "restores":
                body.pop("workflow_version_id", None)
            answer = two.caller(method, path.format(**two.mine), body)
            assert answer.status_code in (404, 422), (method, path, field, answer.text)
            assert field in answer.json()["error"]["details"], (method, path, field, answer.text)
            unknown = two.caller(method, path.format(**two.mine), {**body, field: UNKNOWN})
            assert (answer.status_code, _says(answer, two.theirs)) == (unknown.status_code, _says(unknown, {"": UNKNOWN})), (path, field)
            count += 1
    assert count >= 9


def test_lists_have_nothing_of_others(two: Two) -> None:
    for method, path, call in two.calls:
        if method == "GET" and "{" not in path and not path.endswith("/watch"):  # an answer without an end
            has_pages = "page_size" in {each["name"] for each in call.get("parameters", ())}
            answer = two.caller(method, path, params={"page_size": 500} if has_pages else {})
            assert answer.status_code in (200, 403), answer.text
            assert not [trace for trace in two.traces() if trace in answer.text], path
    shown = "".join(two.otto("GET", path).text for path in ("/v1/projects", "/v1/apps", "/v1/workflows"))
    for name in ("project_id", "app_id", "workflow_id"):
        assert two.theirs[name] in shown


RUN = "RUN"
"""Stands for the id of the others' run."""

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "history": (OTHERS_APP,),
    "status": (OTHERS_APP,),
    "diff": (OTHERS_APP, "1", "1"),
    "verify": (OTHERS_APP,),
    "report": (OTHERS_APP,),
    "at": ("1h", OTHERS_APP),
    "deploy": (OTHERS_APP, "--version", "v1", "--yes", "--no-wait"),
    "rollback": (OTHERS_APP, "--yes", "--no-wait"),
    "promote": (OTHERS_APP, "--yes", "--no-wait"),
    "release": (APP, "--yes"),
    "logs": (OTHERS_APP,),
    "open": (OTHERS_APP,),
    "list": (),
    "keys": ("list", OTHERS_APP),
    "invoke": (OTHERS_APP, "{}"),
    "runs": (OTHERS_APP,),
    "run": (RUN,),
    "cancel": (OTHERS_APP, "--all-open", "--yes"),
    "questions": (OTHERS_APP,),
    "answer": (OTHERS_APP, UNKNOWN, "--deny"),
    "restart-runs": (OTHERS_APP, "--all-held", "--yes"),
    "release-runs": (OTHERS_APP, "--all-held", "--yes"),
    "compare": (OTHERS_APP, "1"),
    "sessions": (OTHERS_APP,),
    "score": (RUN, "helpful", "1"),
    "delete-runs": (OTHERS_APP, "--user-id", "u-1", "--yes"),
    **dict.fromkeys(("approve", "resume", "reject", "withdraw"), (OTHERS_APP, "1", "--yes")),
    "reject-version": (OTHERS_APP, "v1", "-m", "bad", "--yes"),
    "suspend": (OTHERS_APP, "--yes"),
    "policy": ("check", OTHERS_APP),
    "sync": (OTHERS_APP, "--to-git"),
}
OF_NOBODYS = {"version"}
"""Calls that are about the cluster alone."""


def test_the_plugin_does_nothing_elsewhere(two: Two, tmp_path: Path, unchanged: None) -> None:
    (commands,) = (each for each in arguments.parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert set(COMMANDS) | OF_NOBODYS == set(commands.choices)
    login = rest_rehearsal.login(two.at.stage, two.caller.token or "", tmp_path / "anna.kubeconfig")
    elsewhere = Plugin(two.others.cluster, two.others.namespace, tmp_path, more={"KUBECONFIG": str(login)})
    for command, given in COMMANDS.items():
        done = elsewhere(command, *(two.theirs["run_id"] if each == RUN else each for each in given))
        assert done.returncode in (1, 2), (command, done)
        assert ("there is no run" if RUN in given else "forbidden") in done.stderr, (command, done.stderr)
        assert done.stdout == "", command
        assert not [uid for uid in two.theirs.values() if uid in done.stderr and uid != two.theirs["run_id"]]
    at_home = Plugin(two.others.cluster, two.at.stage.namespace, tmp_path, more={"KUBECONFIG": str(login)})
    assert at_home.data("history", MINE), "at home it sees its rows"
    elsewhere.nothing_left()


# Roles.


def test_the_role_that_is_named_is_the_one_that_has_the_right(two: Two) -> None:
    """A caller who may only read Apps gets for each right the role that grants it. With that role bound, the caller has the right."""
    api, home, path = two.at.stage.api, two.at.stage.namespace, f"{two.at.path}/rights"
    reader = rest.client(api, two.at.url, home, "asker")
    for more in ("", "/rights", "/environments", "/configuration", "/access-keys", "/runs"):
        problem(reader("GET", f"{two.at.path}{more}"), 404)
    problem(reader("GET", "/v1/runtimes"), 403, "ask for the role dynamiq-runtimes")
    role: Manifest = {
        "apiVersion": f"{rest.RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{home}-apps-alone"},
        "rules": [{"apiGroups": [GROUP], "resources": ["apps"], "verbs": ["get", "list"]}],
    }
    assert api.apply(role).ok
    rest.bind(api, home, "asker", role["metadata"]["name"], home)
    eventually("it sees the App", lambda: reader("GET", path).status_code == 200)
    rights = reader.get(path)
    AppRights.model_validate(rights)
    assert not any(each["allowed"] for each in rights.values())
    bound = set()
    for name, each in rights.items():
        role_named = each["needs"].removesuffix(" has it").rpartition("the role ")[2]
        where = two.production if name == "promote" else home
        if (role_named, where) not in bound:
            rest.bind(api, where, "asker", role_named, home)
            bound.add((role_named, where))
        eventually(f"with {role_named} it may {name}", lambda name=name: reader.get(path)[name]["allowed"])  # type: ignore[misc]
    roles = ("view", "deployer", "promoter", "edit", "keys", "approver", "answerer", "bypass")
    assert {role for role, _ in bound} == {f"dynamiq-{role}" for role in roles}
    rest.bind(api, "", "asker", "dynamiq-runtimes", home)
    runtimes = eventually("the role applies", lambda: (found := reader("GET", "/v1/runtimes")).ok and found.json()["data"])
    assert two.mine["runtime_id"] in {each["id"] for each in runtimes}


ROLES: Mapping[str, set[str]] = {
    "dynamiq-view": {"pods", "runs_read"},
    "dynamiq-deployer": {"deploy", "roll_back", "resume", "withdraw", "pods", "logs", "run_contents", "runs_score"},
    "dynamiq-edit": {"deploy", "roll_back", "resume", "withdraw", "suspend", "configure", "delete", "triggers", "runs_delete"},
    "dynamiq-keys": {"keys_read", "keys_write"},
    "dynamiq-on-call": {"roll_back", "withdraw", "logs", "runs_score"},
    "dynamiq-approver": {"approve", "reject_versions", "withdraw"},
    "dynamiq-answerer": {"run_contents", "runs_answer"},
    "dynamiq-bypass": {"bypass"},
}
"""Rights that each role grants, besides those of everybody who may read the App."""

ALONE_BLIND = ("dynamiq-edit", "dynamiq-keys", "dynamiq-answerer", "dynamiq-bypass")
"""Roles that are bound beside one that lets their holder read the App."""


def test_each_role_does_what_it_is_for_and_no_more(two: Two) -> None:
    def allowed(who: Client) -> set[str] | None:
        answer = who("GET", f"{two.at.path}/rights")
        return {name for name, each in answer.json()["data"].items() if each["allowed"]} if answer.ok else None

    for role, rights in ROLES.items():
        more = ["dynamiq-view"] if role in ALONE_BLIND else []
        who = rest.client(two.at.stage.api, two.at.url, two.at.stage.namespace, f"only-{role}", role, *more)
        eventually(f"{role} applies", lambda who=who, rights=rights: allowed(who) == rights | {"pods", "runs_read"})  # type: ignore[misc]
    others = {"promote", "approve", "reject_versions", "bypass", "runs_answer"}
    assert allowed(two.caller) == {*AppRights.model_fields} - others, "the cluster's edit has all but the other namespace and the rules"


def test_a_caller_who_may_only_read_is_refused_each_write(two: Two, unchanged: None) -> None:
    viewer, workflow = two.at.callers["viewer"], f"/v1/workflows/{two.mine['workflow_id']}"
    trigger, row = f"{two.at.path}/triggers/{two.mine['trigger_id']}", f"{two.at.path}/deployments/{two.mine['deployment_id']}"
    flow: Manifest = {"flow": {"nodes": [{"id": "a", "type": "dynamiq.nodes.utils.Output"}]}}
    new = {"project_id": two.mine["project_id"], "workflow_id": two.mine["workflow_id"], "name": "new"}
    nightly = {"name": "other", "provider": "schedule", "config": {"schedule": "0 3 * * *"}}
    configuration = viewer.get(f"{two.at.path}/configuration")
    writes: list[tuple[str, str, Any]] = [
        ("POST", "/v1/apps", new),
        ("DELETE", two.at.path, None),
        ("POST", f"{two.at.path}/deploy", {"workflow_id": two.mine["workflow_id"]}),
        ("POST", "/v1/workflows", {**flow, "name": "new", "project_id": two.mine["project_id"]}),
        ("PUT", workflow, {"description": "x"}),
        ("POST", f"{workflow}/save", flow),
        ("POST", f"{workflow}/release", flow),
        ("POST", f"{two.at.path}/triggers", nightly),
        ("PUT", trigger, {"name": "x"}),
        ("DELETE", trigger, None),
        ("POST", f"{trigger}/activate", None),
        ("POST", f"{trigger}/deactivate", None),
        ("PATCH", f"{two.at.path}/configuration", {"object_version": configuration["object_version"], "description": "x"}),
        ("GET", f"{two.at.path}/access-keys", None),
        ("POST", f"{two.at.path}/access-keys", {"name": "x"}),
        ("GET", f"{row}/pods/{two.at.stage.pods(MINE)[0]['metadata']['name']}/logs", None),
        ("POST", f"/v1/runs/{two.mine['run_id']}/scores", {"name": "helpful", "value": 0.5}),
        ("DELETE", f"/v1/runs/{two.mine['run_id']}", None),
        ("DELETE", f"{two.at.path}/runs?session_id=nobody", None),
    ]
    for method, path, body in writes:
        problem(viewer(method, path, body), 403)


# Runs.


def test_runs_are_the_recorders_and_their_contents_are_for_who_may_get_them(two: Two) -> None:
    at, viewer = two.at, two.at.callers["viewer"]
    for query in ("", "?page_size=500", f"?deployment_id={at.rows[0]}&sort=-duration_ms", "?status=failed&status=timed_out"):
        answer = viewer("GET", f"{at.path}/runs{query}").json()
        assert answer == at.recorder.get(f"{at.path}/runs{query}", at.token("viewer"))
        RunPage.model_validate(answer)
    lines = viewer("GET", f"{at.path}/runs.jsonl?include=content").text.splitlines()
    assert len({RunDetail.model_validate_json(line).id for line in lines}) == len(lines) == 2 * RUNS
    assert {json.loads(line)["content"] for line in lines} == {"denied"}
    found = RunComparison.model_validate(viewer.get(f"{at.path}/deployments/{at.rows[1]}/comparison"))
    assert found.p95_ms is not None
    assert (found.verdict, found.p95_ms.verdict) == ("regressed", "regressed"), "v2 is twice as slow"
    (failed, *_) = at.runs("viewer", "?status=failed")
    assert (failed["error"], at.runs("deployer", "?status=failed")[0]["error"]) == (None, "quota exceeded")
    assert len(at.runs("deployer", "?error=QUOTA")) == 2 * RUNS // 10
    problem(viewer("GET", f"{at.path}/runs?error=quota"), 403, "apps/runcontents")
    denied, included = (at.callers[who].get(f"/v1/runs/{failed['id']}?include=content") for who in ("viewer", "deployer"))
    assert [(each["content"], each["input"]) for each in (denied, included)] == [("denied", None), ("included", {"q": "hi"})]


def test_scores_and_deletions_of_runs_are_for_who_may(two: Two) -> None:
    at = two.at
    run = at.runs("viewer", "?session_id=v2-1")[0]["id"]
    for who in ("deployer", "editor"):
        at.callers[who].post(f"/v1/runs/{run}/scores", {"name": "helpful", "value": 0.5})
    assert {each["by"].rpartition(":")[2] for each in at.callers["viewer"].get(f"/v1/runs/{run}")["scores"]} == {"deployer", "editor"}
    problem(at.callers["deployer"]("DELETE", f"{at.path}/runs?session_id=v1-3"), 403)
    before = at.callers["viewer"].get(f"{at.path}/metrics")["series"][0]["total"]["runs"]
    assert at.callers["editor"]("DELETE", f"{at.path}/runs?session_id=v1-3").json() == {"data": {"deleted": 10}}
    assert at.runs("viewer", "?session_id=v1-3") == []
    assert at.callers["editor"]("DELETE", f"/v1/runs/{run}").status_code == 204
    problem(at.callers["editor"]("GET", f"/v1/runs/{run}"), 404)
    assert at.callers["viewer"].get(f"{at.path}/metrics")["series"][0]["total"]["runs"] == before - 11
