"""The journal as a process: an API server says who calls, it serves until SIGTERM, and then again with what it kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from dynamiq_operator.model import names
from dynamiq_operator.model.journal import JOURNAL_AUDIENCE
from tests.support import programs
from tests.support.journal import a_run
from tests.support.ports import free_port
from tests.support.recorder_stage import ADMIN, APP, APP_UID, HOST, NAMESPACE, PINS, STRANGER, VIEWER, RecorderStage, app, pod_of, pod_user
from tests.support.scripted import Reply, kubeconfig
from tests.support.waiting import IN_TIME, eventually

POD, FINISHING, RECORDERS = "pod-of-journal", "finishing-pod", "pod-token"
OLDER = "fedcba9876543210"


class Process:
    """A journal as a process, on the scripted API server of a stage."""

    def __init__(self, stage: RecorderStage) -> None:
        self.stage = stage
        self.port, self.health_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url = f"http://{HOST}:{self.port}"
        for token, pod, pins, label in ((POD, "chat-2", PINS, names.APP_LABEL), (FINISHING, "fin-1", OLDER, names.FINISHING_OF_LABEL)):
            stage.users[token] = {**pod_user(NAMESPACE, pod, f"uid-of-{pod}"), "audience": JOURNAL_AUDIENCE}
            for raw, path in pod_of(NAMESPACE, pod, f"uid-of-{pod}", APP, APP_UID, pins, label):
                stage.script.on("GET", path, raw)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs it while the block runs; it has to end with exit code 0."""
        path, log = self.stage.folder / "kubeconfig.yaml", self.stage.folder / "journal.log"
        path.write_text(yaml.safe_dump(kubeconfig(self.stage._server)))
        ports = [f"--port={self.port}", f"--health-port={self.health_port}", f"--metrics-port={self.metrics_port}"]
        store = f"--store=sqlite://{self.stage.folder}/journal.db"
        process = programs.fork("dynamiq_recorder", "journal", f"--host={HOST}", *ports, store, f"--kubeconfig={path}", log=log)
        with programs.beside(process, "the journal", log, self._is_ready):
            yield

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"http://{HOST}:{self.health_port}/readyz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def call(self, method: str, path: str, token: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{self.url}/v1/apps/{APP_UID}/{path}", json=body, headers=headers, timeout=IN_TIME)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with RecorderStage(tmp_path) as stage:
        yield Process(stage)


def test_it_serves_pods_and_users_as_the_api_server_says_and_keeps_runs_over_a_restart(process: Process) -> None:
    body, older = a_run(claim=True), a_run(claim=True)
    with process.running():
        assert process.call("POST", "runs", POD, body).json()["data"]["pins"] == PINS
        assert process.call("POST", "runs", FINISHING, older).json()["data"]["pins"] == OLDER
        statuses = {token: process.call("GET", f"runs/{body['id']}", token).status_code for token in (ADMIN, VIEWER, STRANGER, RECORDERS)}
        assert statuses == {ADMIN: 200, VIEWER: 200, STRANGER: 404, RECORDERS: 401}, "a token for the recorder is none for the journal"
        assert process.call("GET", f"runs/{body['id']}", VIEWER).json()["data"]["input"] is None
    with process.running():
        saves = {"instance": "i", "saves": [{"id": body["id"], "fence": 1, "number": 1}, {"id": older["id"], "fence": 1, "number": 1}]}
        assert [each["ok"] for each in process.call("POST", "saves", POD, saves).json()["data"]] == [True, False], (
            "the other has older pins"
        )
        assert process.call("POST", "claims", POD, {"instance": "i", "free": 1, "held": 0}).json()["data"] == []


def test_an_app_that_is_deleted_in_the_cluster_has_its_runs_canceled(process: Process) -> None:
    def is_counted() -> bool:
        text = requests.get(f"http://{HOST}:{process.metrics_port}/metrics", timeout=IN_TIME).text
        return "dynamiq_journal_runs{" in text

    with process.running():
        assert process.call("POST", "runs", POD, a_run()).status_code == 201
        eventually("its run is counted", is_counted)
        process.stage.apps.pop(0)
        process.stage.script.on("GET", f"/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/{NAMESPACE}/apps/{APP}", _missing)
        process.stage.put("apps", app(APP_UID, NAMESPACE), "DELETED")
        eventually("its run is canceled", lambda: not is_counted())
        assert process.call("GET", "runs", POD).status_code == 404


def _missing(_: object) -> Any:
    return Reply(404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"})
