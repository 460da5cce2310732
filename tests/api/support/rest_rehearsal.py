"""Runs the management API and an operator over one namespace, each under its own account, with callers of the API."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.support import factories, history_stage, rest
from tests.support.cluster import Kubectl
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.rest import Client
from tests.support.waiting import IN_TIME, eventually

ROLES = ("edit",)
HEARD_WITHIN = IN_TIME
LIVE_WITHIN = 300.0


@dataclass(frozen=True)
class Rehearsal:
    """A project with a workflow, its releases v1 to v4 and a Runtime, and a caller who may edit it and nothing else."""

    stage: HistoryStage
    url: str
    caller: Client
    ids: Mapping[str, str]
    """Ids of `project`, `workflow`, `runtime`, and of each release by its version."""

    @property
    def token(self) -> str:
        assert self.caller.token is not None
        return self.caller.token

    def new_app(self, name: str, version: str = "v1", caller: Client | None = None) -> str:
        """Creates an App, waits until its first row is Live, and returns its id."""
        ids = self.ids
        body = {
            "name": name,
            "project_id": ids["project"],
            "workflow_id": ids["workflow"],
            "workflow_version_id": ids[version],
            "runtime_id": ids["runtime"],
            "deployment_config": rest.SERVER,
        }
        app = (caller or self.caller).post("/v1/apps", body)
        self.until_live(app["id"], app["latest_deployment_id"])
        return str(app["id"])

    def deploy(self, app: str, version: str, **more: Any) -> str:
        """Deploys, waits until the row is Live, and returns its id."""
        body = {"workflow_id": self.ids["workflow"], "workflow_version_id": self.ids[version], **more}
        row = self.caller.post(f"/v1/apps/{app}/deploy", body)
        self.until_live(app, row["id"])
        return str(row["id"])

    def until_live(self, app: str, row: str) -> None:
        """Waits until the row is Live and no other row is."""

        def seen() -> bool:
            statuses = {each["id"]: each["status"] for each in self.history(app)}
            assert statuses[row] != "Failed", self.history(app)
            return [each for each, status in statuses.items() if status not in ("Superseded", "Failed")] == [row] and statuses[
                row
            ] == "Live"

        eventually(f"deployment {row} is Live", seen, LIVE_WITHIN)

    def history(self, app: str) -> list[dict[str, Any]]:
        """Returns the App's rows, newest first."""
        found: list[dict[str, Any]] = self.caller.get(f"/v1/apps/{app}/deployments")
        return found

    def named(self, app: str) -> str:
        """Returns the object name of an App's id."""
        found = self.stage.api.get(kinds.APP.kind, "", self.stage.namespace).body["items"]
        return next(str(each["metadata"]["name"]) for each in found if each["metadata"]["uid"] == app)


@contextlib.contextmanager
def rehearsal(
    cluster: Cluster, account: Path, folder: Path, purpose: str, recorder: str | None = None, journal: str | None = None
) -> Iterator[Rehearsal]:
    """Yields the API, ready, and a running operator. `account`: the operator's kubeconfig. `recorder`, `journal`: their URLs."""
    kubeconfig = rest.install(cluster, folder)
    options = ("--recorder", recorder) if recorder is not None else ()
    of_api = (*options, *(("--journal", journal) if journal is not None else ()))
    with (
        history_stage.stage(cluster, purpose) as stage,
        Operator(account, folder, [stage.namespace], options),
        rest.serving(kubeconfig, folder, *of_api) as url,
    ):
        stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name=APP))
        caller = new_caller(stage, url, "anna")
        yield Rehearsal(stage, url, caller, ids(stage))


def ids(stage: HistoryStage) -> dict[str, str]:
    """Returns the ids of a stage's objects."""
    objects = {
        "project": (kinds_namespace := "Namespace", stage.namespace),
        "workflow": (kinds.WORKFLOW.kind, APP),
        "runtime": (kinds.RUNTIME.kind, stage.default_runtime),
        **{version: (kinds.WORKFLOW_VERSION.kind, f"{APP}-{version}") for version in history_stage.RELEASES},
    }
    found = {}
    for word, (kind, name) in objects.items():
        namespace = "" if kind in (kinds_namespace, kinds.RUNTIME.kind) else stage.namespace
        found[word] = rest.uid(stage.api, kind, name, namespace)
    return found


def new_caller(stage: HistoryStage, url: str, name: str, *roles: str) -> Client:
    """Returns a client of a service account with rights in the stage's namespace alone (default: edit), once they apply."""
    made = rest.client(stage.api, url, stage.namespace, name, *(roles or ROLES))
    user = f"system:serviceaccount:{stage.namespace}:{name}"
    eventually(f"the rights of {name} apply", lambda: rest.allowed(stage.api, user, stage.namespace, "list", "apps"), HEARD_WITHIN)
    return made


def login(stage: HistoryStage, token: str, path: Path) -> Path:
    """Writes a kubeconfig that logs in with a token, in the stage's namespace."""
    made = yaml.safe_load(Kubectl(stage.cluster)("config", "view", "--minify", "--raw", "--flatten").stdout)
    made["users"][0]["user"] = {"token": token}
    made["contexts"][0]["context"]["namespace"] = stage.namespace
    path.write_text(yaml.safe_dump(made))
    path.chmod(0o600)
    return path


def environment(**more: str) -> dict[str, str]:
    """Returns the environment of programs that tests start."""
    return {**os.environ, **more}
