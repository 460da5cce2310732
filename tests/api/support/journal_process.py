"""Runs the journal of this checkout as a process, under its own account, and accepts background runs of Apps' pods.

Pods are simulated, so the test sends their runs, with the token that a pod of the App would have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from dynamiq_operator.model.journal import JOURNAL_AUDIENCE, JOURNAL_NAMESPACE, JOURNAL_SERVICE
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import programs, recorders
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, install_files, login_of
from tests.support.operator import OPERATOR_ACCOUNT
from tests.support.ports import free_port
from tests.support.waiting import eventually

HERE = "127.0.0.1"
MANIFESTS = REPOSITORY / "manifests" / "journal"


@dataclass(frozen=True)
class Journal:
    """A ready journal. `url`: its address for this machine."""

    cluster: Cluster
    url: str

    def accept(self, pod: Manifest, app: str, *runs: str, ends: bool = False) -> None:
        """Accepts background runs of these ids, each with a callback, from a pod of the App. `ends`: cancels them at once."""
        token = self._token(pod)
        for run in runs:
            called = [{"url": "https://hooks.example.com/done", "token": None, "metadata": None}]
            body = {"id": run, "key": "default", "input": {"question": "When?"}, "claim": False, "callbacks": called}
            self._send("POST", f"/v1/apps/{app}/runs", token, body, 201)
            if ends:
                self._send("POST", f"/v1/apps/{app}/runs/{run}/cancel", token, {}, 200)

    def begin(self, pod: Manifest, app: str, *sessions: str) -> None:
        """Begins conversations, given by their hashes, with a turn at a pod of the App."""
        token = self._token(pod)
        for session in sessions:
            self._send("PUT", f"/v1/apps/{app}/sessions/{session}", token, {"instance": pod["metadata"]["uid"]}, 200)

    def _token(self, pod: Manifest) -> str:
        account, namespace = pod["spec"].get("serviceAccountName") or "default", pod["metadata"]["namespace"]
        return recorders.token(Api.of(self.cluster), namespace, account, audience=JOURNAL_AUDIENCE, pod=pod)

    def _send(self, method: str, path: str, token: str, body: Manifest, status: int) -> None:
        def is_taken() -> bool:
            answer = requests.request(method, f"{self.url}{path}", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=120)
            # The journal sees a new App a moment later.
            assert answer.status_code in (status, 404, 503), answer.text
            return answer.status_code == status

        eventually(f"the journal answers {status} to {path}", is_taken)


@contextlib.contextmanager
def journaling(cluster: Cluster, folder: Path, metrics_port: int | None = None) -> Iterator[Journal]:
    """Runs a journal without runs, under its own account."""
    install_files(cluster, JOURNAL_NAMESPACE, *(MANIFESTS / f"{name}.yaml" for name in ("namespace", "service-account", "rbac", "epoch")))
    login = login_of(cluster, JOURNAL_SERVICE, JOURNAL_NAMESPACE, folder / "journal.kubeconfig")
    port, health_port, log = free_port(), free_port(), folder / "journal.log"
    ports = [f"--port={port}", f"--health-port={health_port}", f"--metrics-port={metrics_port or free_port()}"]
    options = [f"--store=sqlite://{folder}/journal.db", f"--host={HERE}", *ports, f"--kubeconfig={login}"]
    process = programs.fork("dynamiq_recorder", "journal", *options, log=log)
    try:
        eventually(f"the journal is ready: see {log}", lambda: _status(f"http://{HERE}:{health_port}/readyz") == 200)
        yield Journal(cluster, f"http://{HERE}:{port}")
    finally:
        process.terminate()
        process.wait(programs.ENDS_WITHIN)


def operator_options(journal: Journal, folder: Path) -> list[str]:
    """Returns options of the operator for this journal, with the token that its pod mounts. Pods name their row only if they are recorded."""
    token = folder / "token"
    token.write_text(recorders.token(Api.of(journal.cluster), OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, audience=JOURNAL_AUDIENCE))
    return [f"--journal={journal.url}", f"--journal-token-file={token}", "--recorder=http://recorder.test:8080"]


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=10).status_code
    except (requests.ConnectionError, requests.Timeout):
        return 0
