"""A whole story by curl alone, and its history by three ways: the management API, the kubectl plugin and kubectl."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from local.clusters import Cluster
from tests.support import rest_rehearsal, versions
from tests.support.api import Manifest
from tests.support.plugin import Plugin
from tests.support.rest_rehearsal import Rehearsal
from tests.support.waiting import eventually

WORKFLOW = "greeter"
USERS = uuid.UUID("6f1d5c0e-6d0b-5b8e-9d0a-2f4f3d8a9c11")
"""As docs/rest.md has it: the id of a user is the version 5 UUID of the username in it."""
INPUT, PYTHON, OUTPUT = (f"dynamiq.nodes.{name}" for name in ("utils.Input", "tools.Python", "utils.Output"))


@pytest.fixture
def at(cluster: Cluster, guarded: None, account: Path, tmp_path: Path) -> Iterator[Rehearsal]:
    with rest_rehearsal.rehearsal(cluster, account, tmp_path, "story") as made:
        yield made


def flow(answer: str) -> Manifest:
    """A flow in the API's form, with what survives only where it is kept as it was written."""
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
        return self.at.curl(self.at.url + path)["data"]

    def post(self, path: str, body: Manifest) -> Any:
        return self.at.curl("--request", "POST", "--json", json.dumps(body), self.at.url + path)["data"]

    def until_live(self, app: str, row: Manifest) -> None:
        """Waits until this deployment, and no other that is under way, is Live."""

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
    workflow = post("/v1/workflows", {"name": WORKFLOW, "project_id": project, "flow": flow("one"), "flow_ui": layout})["id"]
    first = post(f"/v1/workflows/{workflow}/release", {"name": "Says one", "flow": flow("one"), "flow_ui": layout})
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
    asked = {
        "name": "Greeter",
        "project_id": project,
        "workflow_id": workflow,
        "workflow_version_id": first["id"],
        "runtime_id": at.ids["runtime"],
        "access_control": {"access_type": "private"},
        "deployment_config": config,
    }
    app = post("/v1/apps", asked)
    assert app["hostname"] == get(f"/v1/apps/{app['id']}")["hostname"]
    until_live(app["id"], get(f"/v1/apps/{app['id']}/deployments")[0])
    deploy = f"/v1/apps/{app['id']}/deploy"
    until_live(app["id"], post(deploy, {"workflow_id": workflow, "workflow_version_id": second["id"], "message": "Says two instead"}))
    back = {"workflow_id": workflow, "workflow_version_id": first["id"], "message": "“Two” was wrong"}
    until_live(app["id"], post(deploy, back))

    rows = get(f"/v1/apps/{app['id']}/deployments")
    could = [each["deployable"] for each in get(f"/v1/apps/{app['id']}/deployments?deployable=true")]
    assert [(row["sequence"], row["workflow_version"]["version"], row["status"]) for row in rows] == [
        (3, "v1", "Live"),
        (2, "v2", "Superseded"),
        (1, "v1", "Superseded"),
    ]
    assert {json.dumps(row["deployment_config"]) for row in rows} == {json.dumps(config)}, "what is left out keeps what is live"
    author = f"system:serviceaccount:{at.stage.namespace}:anna" if versions.stamps(at.stage.cluster) else None
    assert {_name_of(row["created_by"]) for row in rows} == {author}
    name = at.named(app["id"])
    stored = _by_kubectl(at, name)
    assert rows == [_as_row(at, each) for each in stored]
    login = rest_rehearsal.login(at.stage, at.token, tmp_path / "anna.kubeconfig")
    plugin = Plugin(at.stage.cluster, at.stage.namespace, tmp_path, more={"KUBECONFIG": str(login)})
    printed = plugin.data("history", name)
    assert [{**_as_line(row, name), "deployable": back} for row, back in zip(rows, could, strict=True)] == printed
    plugin.nothing_left()


def _by_kubectl(at: Rehearsal, app: str) -> list[Manifest]:
    """The App's rows as kubectl prints them, newest first."""
    listed = at.stage.kubectl("get", "deployments.dynamiq", f"--field-selector=spec.app={app}", "-o", "json", namespace=at.stage.namespace)
    return sorted(json.loads(listed.stdout)["items"], key=lambda row: -int(row["spec"]["sequence"]))


def _author(name: str | None) -> Manifest | None:
    """Nobody, where no policy stamps who made a row."""
    return {"id": str(uuid.uuid5(USERS, name)), "email": None, "username": name} if name else None


def _name_of(author: Manifest | None) -> str | None:
    return author["username"] if author else None


def _as_row(at: Rehearsal, stored: Manifest) -> Manifest:
    """A record, as kubectl shows it, as the contract has it: every field, from what is stored and from nothing else."""
    meta, spec = stored["metadata"], stored["spec"]
    pinned, outcome = spec["pinned"], spec["outcome"]
    scaling = pinned["config"]["autoscaling"]
    began, ended = (datetime.fromisoformat(text) for text in (pinned["createdAt"], outcome["at"]))

    def uid(resource: str, name: str) -> str:
        return at.stage.kubectl("get", resource, name, "-o", "jsonpath={.metadata.uid}", namespace=at.stage.namespace).stdout

    runtime = uid("runtimes.dynamiq", pinned["runtime"]["name"])
    version = uid("workflowversions.dynamiq", f"{pinned['workflow']}-{pinned['workflowVersion']}")
    return {
        "id": meta["uid"],
        "app_id": uid("apps.dynamiq", spec["app"]),
        "status": stored["status"]["phase"],
        "created_at": pinned["createdAt"],
        "created_by": _author(spec.get("createdBy")),
        "runtime_id": runtime,
        "runtime": {"id": runtime, "version": pinned["runtime"]["version"], "label": pinned["runtime"].get("label")},
        "workflow_id": uid("workflows.dynamiq", pinned["workflow"]),
        "workflow_version_id": version,
        "workflow_version": {"id": version, "version": pinned["workflowVersion"], "description": pinned.get("description")},
        "deployment_config": {
            "deployment_type": {"server": "server_based", "serverless": "serverless"}[pinned["config"]["type"]],
            "config": {
                "autoscaling": {
                    "min_replicas": scaling["minReplicas"],
                    "max_replicas": scaling["maxReplicas"],
                    "target_cpu_utilization_percentage": scaling["targetCPUUtilizationPercentage"],
                },
                "resources": pinned["config"]["resources"],
            },
        },
        "message": spec.get("message"),
        "name": meta["name"],
        "sequence": spec["sequence"],
        "restores": spec.get("restores"),
        "promoted_from": spec.get("promotedFrom"),
        "provenance": None,
        "source": pinned["source"],
        "digest": pinned["digest"],
        "reason": None if outcome["result"] == "Succeeded" else outcome["reason"],
        "duration_seconds": (ended - began).total_seconds(),
        "is_live": stored["status"]["phase"] == "Live",
        "restores_sequence": None,
        "waits": None,
        "released": None,
        "verified": None,
        "holds": None,
        "flow_hash": pinned["workflowHash"],
        "bypass_reason": None,
        "deployable": None,
    }


def _as_line(row: Mapping[str, Any], app: str) -> Manifest:
    """A row of the API as the plugin prints it with `-o json`."""
    scaling = row["deployment_config"]["config"]["autoscaling"]
    return {
        "name": row["name"],
        "uid": row["id"],
        "app": app,
        "version": row["workflow_version"]["version"],
        "description": row["workflow_version"]["description"],
        "status": row["status"],
        "createdBy": _name_of(row["created_by"]),
        "runtime": row["runtime"]["version"],
        "date": row["created_at"],
        "sequence": row["sequence"],
        "config": {
            "type": {"server_based": "server"}[row["deployment_config"]["deployment_type"]],
            "autoscaling": {
                "minReplicas": scaling["min_replicas"],
                "maxReplicas": scaling["max_replicas"],
                "targetCPUUtilizationPercentage": scaling["target_cpu_utilization_percentage"],
            },
            "resources": row["deployment_config"]["config"]["resources"],
        },
        "message": row["message"],
        "provenance": row["provenance"],
        "duration": row["duration_seconds"],
        "waits": row["waits"],
        "approvedBy": row["released"],
        "bypassReason": row["bypass_reason"],
        "digest": row["digest"],
        "reason": row["reason"],
        "source": row["source"],
    }
