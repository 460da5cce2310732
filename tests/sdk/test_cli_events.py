"""The product's own command line, unmodified, on the management API: the events of a trigger with the run of each."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from dynamiq_operator.kube.resources import APPS, JOBS, PODS
from dynamiq_operator.model import triggers
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as make
from tests.support.ports import free_port
from tests.support.rest_stage import TOKEN, UNKNOWN, RestStage
from tests.support.scripted import listed
from tests.support.waiting import eventually

RUN = "11111111-0000-4000-8000-000000000001"
NIGHTLY: Manifest = {"name": "nightly", "schedule": "0 3 * * *"}


@contextmanager
def served(stage: RestStage) -> Iterator[str]:
    """Serves the API of a stage on a port; yields its URL."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(stage.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually("the API is served", lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_the_events_of_a_trigger_name_the_run(python: str, tmp_path: Path) -> None:
    with RestStage() as stage:
        stage.put(make.app_manifest(make.with_triggers(NIGHTLY)))
        job: Manifest = {"metadata": {"name": "nightly-1", "uid": UNKNOWN, "creationTimestamp": "2026-11-25T08:00:00Z"}, "status": {}}
        caller = {"name": "caller", "state": {"terminated": {"exitCode": 0, "message": json.dumps({"message": "200", "runId": RUN})}}}
        pod = {"metadata": {"ownerReferences": [{"uid": UNKNOWN}]}, "status": {"containerStatuses": [caller]}}
        stage.script.on("GET", JOBS.path("demo"), listed(job)).on("GET", PODS.path("demo"), listed(pod))
        app = stage.uid(APPS, "chat")
        with served(stage) as url:
            printed: Any = _dynamiq(python, tmp_path, url, "trigger", "events", app, triggers.id_of(app, NIGHTLY))
    assert [(event["id"], event["run_id"], event["received_at"]) for event in printed["data"]] == [(UNKNOWN, RUN, "2026-11-25T08:00:00Z")]


def _dynamiq(python: str, home: Path, url: str, *arguments: str) -> Any:
    """Runs a command of the CLI, and returns what it prints, parsed."""
    ids = {"DYNAMIQ_ORG_ID": UNKNOWN, "DYNAMIQ_PROJECT_ID": UNKNOWN}
    environment = {**os.environ, "HOME": str(home), "DYNAMIQ_API_BASE_URL": url, "DYNAMIQ_API_TOKEN": TOKEN, **ids}
    environment.pop("PYTHONPATH", None)
    command = [str(Path(python).with_name("dynamiq")), *arguments]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
