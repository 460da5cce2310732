"""Provides senders and readers of runs, by tokens that the API server itself makes: of an App's pods, and of accounts."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from dynamiq_operator.model import kinds
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from tests.support.rest import until_granted
from tests.support.stage import Stage

LIVES = "2h"
TOLD = ("DYNAMIQ_APP", "DYNAMIQ_APP_ID", "DYNAMIQ_PINS", "DYNAMIQ_RUNS", "DYNAMIQ_WORKFLOW_VERSION")
"""Variables of a pod for a process that replaces it, and serves another flow at another port."""
WITHIN = 120.0  # seconds


@dataclass(frozen=True)
class RecordedPod:
    """A pod of an App, with a token bound to it, as the kubelet would mount one."""

    name: str
    uid: str
    environment: Mapping[str, str]
    token: Path

    def variables(self, recorder: str) -> dict[str, str]:
        """Returns the variables for a process that replaces it and sends to a recorder at this URL."""
        variables = {name: value for name, value in self.environment.items() if name in TOLD}
        return variables | {"DYNAMIQ_RECORDER": recorder, "DYNAMIQ_RECORDER_TOKEN": str(self.token)}


def pods_of(stage: Stage, app: str, folder: Path) -> list[RecordedPod]:
    """Returns the App's pods; their tokens are in `folder`."""
    pods = []
    for pod in stage.pods(app):
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        bound = (f"--audience={RECORDER_AUDIENCE}", "--bound-object-kind=Pod", f"--bound-object-name={name}", f"--bound-object-uid={uid}")
        account = pod["spec"].get("serviceAccountName", "default")
        token = folder / f"{name}.token"
        token.write_text(stage.kubectl("create", "token", account, *bound, f"--duration={LIVES}", namespace=stage.namespace).stdout.strip())
        (container,) = (each for each in pod["spec"]["containers"] if each["name"] == "runtime")
        pods.append(RecordedPod(name, uid, {each["name"]: each["value"] for each in container["env"] if "value" in each}, token))
    return pods


def account(stage: Stage, name: str, *roles: str) -> str:
    """Returns a token of a new ServiceAccount that has these ClusterRoles in the stage's namespace."""
    stage.kubectl("create", "serviceaccount", name, namespace=stage.namespace)
    for role in roles:
        binding = ("create", "rolebinding", f"{name}-{role}", f"--clusterrole={role}", f"--serviceaccount={stage.namespace}:{name}")
        stage.kubectl(*binding, namespace=stage.namespace)
        # A recorder caches refusals for a while.
        until_granted(stage.api, f"system:serviceaccount:{stage.namespace}:{name}", stage.namespace, role)
    return stage.kubectl("create", "token", name, f"--duration={LIVES}", namespace=stage.namespace).stdout.strip()


def app_uid(stage: Stage, app: str) -> str:
    return str(stage.get(kinds.APP.kind, app)["metadata"]["uid"])


@dataclass(frozen=True)
class Reader:
    """A caller of a recorder, by its URL and the caller's token."""

    url: str
    token: str

    def get(self, path: str, **query: Any) -> Any:
        """Returns the parsed answer. Raises HTTPError."""
        with self._open("GET", path, query) as answer:
            return json.load(answer)

    def lines(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yields each line of an export."""
        with self._open("GET", path, query) as answer:
            for line in answer:
                yield json.loads(line)

    def status(self, method: str, path: str, **query: Any) -> int:
        try:
            with self._open(method, path, query) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def _open(self, method: str, path: str, query: Mapping[str, Any]) -> Any:
        url = f"{self.url}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"}, method=method)
        return urllib.request.urlopen(request, timeout=WITHIN)
