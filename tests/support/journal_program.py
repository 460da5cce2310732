"""Runs the journal as a process of its own, as a cluster does: a scripted API server says who calls.

with RecorderStage(tmp_path) as stage, Process(stage).running() as journal:
    journal.call("POST", "runs", POD, a_run())
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from dynamiq_operator.model import names
from dynamiq_operator.model.journal import JOURNAL_AUDIENCE
from tests.support import programs
from tests.support.ports import free_port
from tests.support.recorder_stage import (
    APP,
    APP_UID,
    HOST,
    NAMESPACE,
    OTHER_NAMESPACE,
    OTHER_UID,
    PINS,
    RecorderStage,
    app,
    pod_of,
    pod_user,
)
from tests.support.scripted import kubeconfig
from tests.support.waiting import IN_TIME

POD, FINISHING, RIVAL = "pod-of-journal", "finishing-pod", "pod-of-rival"
OLDER = "fedcba9876543210"


class Process:
    """A journal as a process, on the scripted API server of a stage. `folder`: of its store and log, by default the stage's.

    It serves POD and FINISHING of the stage's App, and RIVAL of the other App. `anew`: it has an interpreter of its own, as in a cluster, and
    is no fork that shares modules.
    """

    def __init__(self, stage: RecorderStage, folder: Path | None = None, *, anew: bool = False) -> None:
        self.stage, self.folder, self.anew = stage, folder or stage.folder, anew
        self.store = self.folder / "journal.db"
        self.options = [f"--store=sqlite://{self.store}"]
        self.port, self.health_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.program: programs.Process | None = None
        self.session = requests.Session()
        self.session.trust_env = False
        self.add_pod(POD, "chat-2")
        self.add_pod(FINISHING, "fin-1", pins=OLDER, label=names.FINISHING_OF_LABEL)
        self.add_pod(RIVAL, "rival-1", OTHER_NAMESPACE, APP, OTHER_UID)

    @property
    def log(self) -> Path:
        return self.folder / "journal.log"

    @property
    def pid(self) -> int:
        assert self.program is not None
        return self.program.pid

    def add_app(self, uid: str, name: str, namespace: str = NAMESPACE) -> None:
        """Adds an App, which the journal knows from its next start on."""
        self.stage.apps.append(app(uid, namespace, name=name))

    def add_pod(
        self,
        token: str,
        pod: str,
        namespace: str = NAMESPACE,
        of: str = APP,
        app_uid: str = APP_UID,
        pins: str = PINS,
        label: str = names.APP_LABEL,
    ) -> None:
        """Adds a pod of an App with its token."""
        uid = f"uid-of-{pod}"
        self.stage.users[token] = {**pod_user(namespace, pod, uid), "audience": JOURNAL_AUDIENCE}
        for raw, path in pod_of(namespace, pod, uid, of, app_uid, pins, label):
            self.stage.script.on("GET", path, raw)

    def start(self) -> programs.Process:
        """Starts it, and does not wait for it."""
        path = self.folder / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(kubeconfig(self.stage._server)))
        ports = [f"--port={self.port}", f"--health-port={self.health_port}", f"--metrics-port={self.metrics_port}"]
        options = [f"--host={HOST}", *ports, *self.options, f"--kubeconfig={path}"]
        environment = {"PYTHONPATH": programs.ROOTS[0]} if self.anew else None
        self.program = programs.fork("dynamiq_recorder", "journal", *options, log=self.log, environment=environment)
        return self.program

    @contextmanager
    def running(self) -> Iterator[Process]:
        """Runs it while the block runs; it has to end with exit code 0."""
        with programs.beside(self.start(), "the journal", self.log, self._is_ready):
            yield self

    def _is_ready(self) -> bool:
        try:
            return self.session.get(f"http://{HOST}:{self.health_port}/readyz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def call(self, method: str, path: str, token: str = POD, body: Any = None, app_uid: str = APP_UID) -> requests.Response:
        """Sends a request. `path`: below the App."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.session.request(method, f"{self.url}/v1/apps/{app_uid}/{path}", json=body, headers=headers, timeout=IN_TIME)

    def metrics(self) -> str:
        return self.session.get(f"http://{HOST}:{self.metrics_port}/metrics", timeout=IN_TIME).text
