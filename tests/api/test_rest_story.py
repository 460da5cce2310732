"""A whole story by curl alone, the examples of the product's page, and a history compared with the API server's rows."""

from __future__ import annotations

import ast
import functools
import json
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.rest.apps.responses import AppDetails, AppResponse
from dynamiq_operator.rest.deployments.responses import HistoryFilters
from dynamiq_operator.rest.parts.deployment import Deployment
from dynamiq_operator.rest.workflows.responses import VersionResponse, WorkflowDetail
from dynamiq_operator.views.history import at_path
from local.clusters import Cluster
from tests.api.support import rest_rehearsal
from tests.api.support.rest_rehearsal import Rehearsal
from tests.support import versions
from tests.support.api import Manifest
from tests.support.plugin import Plugin
from tests.support.rest import problem
from tests.support.waiting import eventually

WORKFLOW = "greeter"
USERS = uuid.UUID("6f1d5c0e-6d0b-5b8e-9d0a-2f4f3d8a9c11")
"""Namespace of user ids. docs/rest.md: the id of a user is the version 5 UUID of the username in it."""
INPUT, PYTHON, OUTPUT = (f"dynamiq.nodes.{name}" for name in ("utils.Input", "tools.Python", "utils.Output"))
PAGE = Path(__file__).parent / "page"
"""Examples of the page "Deployment History & Rollback", unchanged. An older copy had lost white space that Python needs."""
BASE = "https://api.getdynamiq.ai"
TOKEN = "DYNAMIQ_PERSONAL_ACCESS_TOKEN"
ENDS_WITHIN = 300.0  # seconds
STORED: Mapping[str, str] = {
    "id": ".metadata.uid",
    "name": ".metadata.name",
    "status": ".status.phase",
    "created_at": ".spec.pinned.createdAt",
    "message": ".spec.message",
    "sequence": ".spec.sequence",
    "restores": ".spec.restores",
    "promoted_from": ".spec.promotedFrom",
    "source": ".spec.pinned.source",
    "digest": ".spec.pinned.digest",
    "flow_hash": ".spec.pinned.workflowHash",
    "created_by.username": ".spec.createdBy",
    "runtime.version": ".spec.pinned.runtime.version",
    "runtime.label": ".spec.pinned.runtime.label",
    "workflow_version.version": ".spec.pinned.workflowVersion",
    "workflow_version.description": ".spec.pinned.description",
    "deployment_config.config.resources": ".spec.pinned.config.resources",
    "deployment_config.config.autoscaling.min_replicas": ".spec.pinned.config.autoscaling.minReplicas",
    "deployment_config.config.autoscaling.max_replicas": ".spec.pinned.config.autoscaling.maxReplicas",
    "deployment_config.config.autoscaling.target_cpu_utilization_percentage": ".spec.pinned.config.autoscaling.targetCPUUtilizationPercentage",
}
"""The path of each field of a REST deployment in the stored row."""
PRINTED: Mapping[str, str] = {
    "name": "name",
    "uid": "id",
    "version": "workflow_version.version",
    "description": "workflow_version.description",
    "status": "status",
    "createdBy": "created_by.username",
    "runtime": "runtime.version",
    "date": "created_at",
    "sequence": "sequence",
    "config.resources": "deployment_config.config.resources",
    "config.autoscaling.minReplicas": "deployment_config.config.autoscaling.min_replicas",
    "config.autoscaling.maxReplicas": "deployment_config.config.autoscaling.max_replicas",
    "message": "message",
    "provenance": "provenance",
    "duration": "duration_seconds",
    "waits": "waits",
    "approvedBy": "released",
    "bypassReason": "bypass_reason",
    "digest": "digest",
    "reason": "reason",
    "source": "source",
}
"""The field of the REST API for each field of a row in the plugin's data."""


@pytest.fixture(scope="module")
def at(cluster: Cluster, guarded: None, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rest_rehearsal.rehearsal(cluster, account, tmp_path_factory.mktemp("story"), "story") as made:
        yield made


def flow(answer: str) -> Manifest:
    """Returns a flow in the API's form, with content that only survives in an exact copy."""
    code = f"def run(inputs):\n    return {answer!r}  # «{answer}» \u2028 \U0001f680"
    return {
        "id": "5f1d6c8e-9d8c-4f3d-9c58-3cf1b7f1a001",
        "nodes": [
            {"id": "input", "name": "Input", "type": INPUT, "depends": []},
            {
                "id": "answer",
                "name": "Answer",
                "type": PYTHON,
                "code": code,
                "depends": [{"node": "input"}],
                "weight": 1.50,
                "many": 2**53 + 1,
            },
            {
                "id": "output",
                "name": "Output",
                "type": OUTPUT,
                "depends": [{"node": "answer"}],
                "input_transformer": {"path": None, "selector": {"answer": "$.answer.output.content"}},
            },
        ],
    }


@dataclass(frozen=True)
class Curl:
    """The management API by curl alone."""

    at: Rehearsal

    def get(self, path: str) -> Any:
        return self._run(self.at.url + path)

    def post(self, path: str, body: Manifest) -> Any:
        return self._run("--request", "POST", "--json", json.dumps(body), self.at.url + path)

    def _run(self, *arguments: str) -> Any:
        """Returns the data that curl prints. Raises AssertionError if curl fails."""
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--header", f"Authorization: Bearer {self.at.token}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ENDS_WITHIN, check=False)
        assert done.returncode == 0, f"{done.stderr}{done.stdout}"
        return json.loads(done.stdout)["data"]

    def until_live(self, app: str, row: Manifest) -> None:
        """Waits until this deployment is Live and no other one is in progress."""

        def seen() -> bool:
            rows = self.get(f"/v1/apps/{app}/deployments")
            current = [each["id"] for each in rows if each["status"] in ("Pending", "Progressing", "Live")]
            return current == [row["id"]] and any(each["status"] == "Live" for each in rows)

        eventually(f"deployment {row['name']} is Live", seen, rest_rehearsal.LIVE_WITHIN)


def test_create_release_deploy_and_roll_back_by_curl(at: Rehearsal, tmp_path: Path) -> None:
    curl = Curl(at)
    get, post, until_live = curl.get, curl.post, curl.until_live
    (project,) = (each["id"] for each in get("/v1/projects") if each["name"] == at.stage.namespace)
    layout = {"positions": {"input": [0, 0.5]}}
    made = post("/v1/workflows", {"name": WORKFLOW, "project_id": project, "flow": flow("one"), "flow_ui": layout})
    WorkflowDetail.model_validate(made)
    workflow = made["id"]
    first = post(f"/v1/workflows/{workflow}/release", {"name": "Says one", "flow": flow("one"), "flow_ui": layout})
    VersionResponse.model_validate(first)
    post(f"/v1/workflows/{workflow}/save", {"flow": flow("two"), "flow_ui": layout})
    read = get(f"/v1/workflows/{workflow}")
    assert (read["name"], read["flow"], read["flow_ui"]) == (WORKFLOW, flow("two"), layout)
    second = post(f"/v1/workflows/{workflow}/release", {"name": "Says two", "flow": flow("two"), "flow_ui": layout})
    assert [each["version"] for each in get(f"/v1/workflows/{workflow}/versions")] == ["v2", "v1"]

    config = {
        "deployment_type": "server_based",
        "config": {
            "autoscaling": {"min_replicas": 2, "max_replicas": 3, "target_cpu_utilization_percentage": 70},
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
        },
    }
    body = {
        "name": "Greeter",
        "project_id": project,
        "workflow_id": workflow,
        "workflow_version_id": first["id"],
        "runtime_id": at.ids["runtime"],
        "access_control": {"access_type": "private"},
        "deployment_config": config,
    }
    app = post("/v1/apps", body)
    AppResponse.model_validate(app)
    shown = get(f"/v1/apps/{app['id']}")
    AppDetails.model_validate(shown)
    assert app["hostname"] == shown["hostname"]
    until_live(app["id"], get(f"/v1/apps/{app['id']}/deployments")[0])
    deploy = f"/v1/apps/{app['id']}/deploy"
    until_live(app["id"], post(deploy, {"workflow_id": workflow, "workflow_version_id": second["id"], "message": "Says two instead"}))
    back = {"workflow_id": workflow, "workflow_version_id": first["id"], "message": "“Two” was wrong"}
    until_live(app["id"], post(deploy, back))

    rows = get(f"/v1/apps/{app['id']}/deployments")
    assert [(row["sequence"], row["workflow_version"]["version"], row["status"]) for row in rows] == [
        (3, "v1", "Live"),
        (2, "v2", "Superseded"),
        (1, "v1", "Superseded"),
    ]
    assert {json.dumps(row["deployment_config"]) for row in rows} == {json.dumps(config)}, "what is left out keeps what is live"
    author = f"system:serviceaccount:{at.stage.namespace}:anna" if versions.stamps(at.stage.cluster) else None
    assert {at_path(row, "created_by.username") for row in rows} == {author}
    _same_on_every_surface(at, at.named(app["id"]), rows, get(f"/v1/apps/{app['id']}/deployments?deployable=true"), tmp_path)


def _same_on_every_surface(at: Rehearsal, name: str, rows: list[Any], with_deployable: list[Any], folder: Path) -> None:
    """Compares rows of the REST API with those that kubectl and the plugin print."""
    for row, stored in zip(rows, _by_kubectl(at, name), strict=True):
        Deployment.model_validate(row)
        assert {field: at_path(row, field) for field in STORED} == {field: at_path(stored, path) for field, path in STORED.items()}
        assert {field: row[field] for field in ("app_id", "runtime_id", "workflow_id", "workflow_version_id")} == _ids(at, stored["spec"])
        began, ended = (
            datetime.fromisoformat(stored["spec"][part][moment]) for part, moment in (("pinned", "createdAt"), ("outcome", "at"))
        )
        assert (row["duration_seconds"], row["is_live"]) == ((ended - began).total_seconds(), stored["status"]["phase"] == "Live")
        if row["created_by"]:
            assert row["created_by"]["id"] == str(uuid.uuid5(USERS, row["created_by"]["username"]))
    login = rest_rehearsal.login(at.stage, at.token, folder / "anna.kubeconfig")
    plugin = Plugin(at.stage.cluster, at.stage.namespace, folder, more={"KUBECONFIG": str(login)})
    for row, printed, shown in zip(rows, plugin.data("history", name), with_deployable, strict=True):
        assert {field: at_path(printed, field) for field in PRINTED} == {field: at_path(row, path) for field, path in PRINTED.items()}
        assert printed["deployable"] == shown["deployable"]
    plugin.nothing_left()


def _ids(at: Rehearsal, spec: Manifest) -> dict[str, str]:
    """Returns the ids of the objects that a stored row names."""
    pinned = spec["pinned"]
    names = {
        "app_id": ("apps.dynamiq", spec["app"]),
        "runtime_id": ("runtimes.dynamiq", pinned["runtime"]["name"]),
        "workflow_id": ("workflows.dynamiq", pinned["workflow"]),
        "workflow_version_id": ("workflowversions.dynamiq", f"{pinned['workflow']}-{pinned['workflowVersion']}"),
    }
    uids = {}
    for field, (resource, name) in names.items():
        uids[field] = at.stage.kubectl("get", resource, name, "-o", "jsonpath={.metadata.uid}", namespace=at.stage.namespace).stdout
    return uids


def _by_kubectl(at: Rehearsal, app: str) -> list[Manifest]:
    """Returns the App's rows as kubectl prints them, newest first."""
    listed = at.stage.kubectl("get", "deployments.dynamiq", f"--field-selector=spec.app={app}", "-o", "json", namespace=at.stage.namespace)
    return sorted(json.loads(listed.stdout)["items"], key=lambda row: -int(row["spec"]["sequence"]))


# The examples of the product's page, with base URL, ids and token replaced and nothing else.


def _example(at: Rehearsal, example: str, program: list[str], package: str, ids: Mapping[str, str]) -> str:
    """Runs an example of the page with the reader's own values, and returns its output."""
    assert shutil.which(program[0]), f"the page's examples need {program[0]}: install it, on Debian and Ubuntu apt-get install {package}"
    text = (PAGE / example).read_text()
    for placeholder, value in {BASE: at.url, **ids}.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    environment = rest_rehearsal.environment(**{TOKEN: at.token})
    done = subprocess.run(program, input=text, env=environment, capture_output=True, text=True, timeout=ENDS_WITHIN, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_products_page(at: Rehearsal) -> None:
    app = at.new_app("Customer support")
    at.deploy(app, "v2", message="Routes questions")
    before, of_app = at.history(app), {"<your-app-id>": app}
    printed = json.loads(_example(at, "history.curl", ["sh"], "curl", of_app))
    assert (printed["data"], printed["pagination"]["total_count"]) == (before, 2)
    lines = _example(at, "history.python", [sys.executable, "-"], "python3", of_app).splitlines()
    assert [ast.literal_eval(line) for line in lines] == before
    # Node prints objects in its own way, the deepest as [Object]: it has to print the same for the same rows.
    by_node = _example(at, "history.javascript", ["node", "--input-type=module", "-"], "nodejs, version 18 or newer", of_app)
    program = ["node", "-e", "console.log(JSON.parse(require('fs').readFileSync(0)))"]
    assert by_node == subprocess.run(program, input=json.dumps(before), capture_output=True, text=True, check=True).stdout

    newest, first = before
    ids = {
        **of_app,
        "<workflow-id>": at.ids["workflow"],
        "<older-workflow-version-id>": first["workflow_version_id"],
        "<runtime-id>": first["runtime_id"],
    }
    made = json.loads(_example(at, "rollback.curl", ["sh"], "curl", ids))["data"]
    at.until_live(app, made["id"])
    live, *others = at.history(app)
    assert (live["id"], live["status"], live["workflow_version"]["version"], live["sequence"]) == (made["id"], "Live", "v1", 3)
    assert live["deployment_config"] == newest["deployment_config"], "what is left out keeps what is live"
    assert [(row["id"], row["status"]) for row in others] == [(newest["id"], "Superseded"), (first["id"], "Superseded")]


# The history as the API server has it.


def _app_with_history(at: Rehearsal) -> tuple[str, list[dict[str, Any]]]:
    """Makes an App that ran v1, v2 and v1 again, and has a failed row. Returns its path and its rows, newest first."""
    app = at.new_app("Told")
    at.deploy(app, "v2", message="Sends each question to the RIGHT team")
    restored = at.caller.post(f"/v1/apps/{app}/deploy", {"restores": at.history(app)[-1]["id"]})
    at.until_live(app, restored["id"])
    at.stage.until(at.stage.deploy(at.named(app), config={"autoscaling": {"minReplicas": 9}}, runtime=at.stage.default_runtime), "Failed")

    def ended() -> list[dict[str, Any]] | None:
        rows = at.history(app)
        return rows if len(rows) == 4 and all(row["status"] in ("Live", "Superseded", "Failed") for row in rows) else None

    return f"/v1/apps/{app}", eventually("four rows have ended", ended)


def test_a_history_is_filtered_by_what_the_api_server_prints_of_its_rows(at: Rehearsal) -> None:
    """The index filters by kubectl's columns of a row, and answers use the row itself: both agree."""
    path, rows = _app_with_history(at)
    author = rows[-1]["created_by"]["username"] if rows[-1]["created_by"] else None
    filters: dict[str, Callable[[dict[str, Any]], bool]] = {
        "status=Failed": lambda row: row["status"] == "Failed",
        "status=Live,Superseded": lambda row: row["status"] in ("Live", "Superseded"),
        "version=v1": lambda row: (row["workflow_version"] or {}).get("version") == "v1" and row["status"] != "Failed",
        "version=v2": lambda row: (row["workflow_version"] or {}).get("version") == "v2",
        f"runtime={rows[-1]['runtime']['version']}": lambda row: row["status"] != "Failed",
        "q=right+TEAM": lambda row: "RIGHT team" in (row["message"] or ""),
        f"q={rows[1]['name'].upper()}": lambda row: row["name"] == rows[1]["name"],
        f"since={rows[2]['created_at']}": lambda row: row["created_at"] >= rows[2]["created_at"],
        f"until={rows[2]['created_at']}": lambda row: row["created_at"] < rows[2]["created_at"],
        "since=2000-01-01&until=2001-01-01": lambda row: row["created_at"] < "2001",
        f"created_by={author}": lambda row: author is not None and (row["created_by"] or {}).get("username") == author,
    }

    def is_taken(asked: str, expected: list[str]) -> bool:
        answer = at.caller("GET", f"{path}/deployments?{asked}").json()
        return ([row["id"] for row in answer["data"]], answer["pagination"]["total_count"]) == (expected, len(expected))

    for asked, takes in filters.items():
        expected = [row["id"] for row in rows if takes(row)]
        # The index sees a row a moment after it was written.
        eventually(f"{asked} takes {expected}", functools.partial(is_taken, asked, expected))
    choices = at.caller.get(f"{path}/deployments/filters")
    HistoryFilters.model_validate(choices)
    assert {each["value"]: each["count"] for each in choices["statuses"]} == Counter(row["status"] for row in rows)
    assert [(each["value"], each["count"]) for each in choices["versions"]] == [("v2", 1), ("v1", 2)]
    times = sorted(row["created_at"] for row in rows)
    assert (choices["total"], choices["first_at"], choices["last_at"]) == (4, times[0], times[-1])
    problem(at.caller("GET", f"{path}/deployments/{rows[0]['id']}/diff"), 422, "never rolled out")
