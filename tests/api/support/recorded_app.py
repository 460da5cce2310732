"""Sets up an App with two rows and runs of each, an API, a recorder, and people with different rights, over a real API server."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamiq_operator.model import kinds
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.recorder import RECORDER_AUDIENCE
from local.clusters import Cluster
from tests.api.support import rest_rehearsal
from tests.api.support.journal_process import Journal, journaling
from tests.api.support.recorder_process import Recorder, a_pod, recording, runs_of
from tests.support import factories, history_stage, recorders, rest
from tests.support.api import Api
from tests.support.history_stage import HistoryStage
from tests.support.operator import OPERATOR_ACCOUNT, Operator
from tests.support.rest import Client
from tests.support.waiting import eventually

APP = "support"
RUNS = 80
"""Number of runs of each row."""
WHO: Mapping[str, tuple[str, ...]] = {
    "viewer": ("dynamiq-view",),
    "deployer": ("dynamiq-view", "dynamiq-deployer"),
    "editor": ("dynamiq-view", "dynamiq-deployer", "dynamiq-edit"),
}


@dataclass(frozen=True)
class Recorded:
    """An App with runs.

    `callers`: clients by name; `stranger` has no right here. `rows`: ids, oldest first.
    """

    stage: HistoryStage
    recorder: Recorder
    journal: Journal
    url: str
    callers: Mapping[str, Client]
    app: str
    rows: tuple[str, str]

    @property
    def path(self) -> str:
        return f"/v1/apps/{self.app}"

    def token(self, who: str) -> str:
        token = self.callers[who].token
        assert token is not None
        return token

    def runs(self, who: str, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.callers[who].get(f"{self.path}/runs{query}")
        return found


@contextlib.contextmanager
def recorded(cluster: Cluster, account: Path, folder: Path, purpose: str) -> Iterator[Recorded]:
    """Runs the operator, the recorder, a journal and the API, and yields the App. `account`: the operator's kubeconfig."""
    with (
        recording(cluster, folder) as recorder,
        journaling(cluster, folder) as journal,
        history_stage.stage(cluster, purpose) as stage,
        Operator(account, folder, [stage.namespace], ["--recorder", recorder.url, "--recorder-token-file", str(_token(cluster, folder))]),
        rest.serving(rest.install(cluster, folder), folder, "--recorder", recorder.url, "--journal", journal.url) as url,
    ):
        stage.app(APP, factories.with_spec(runs={"content": True}), workflow=history_stage.APP)
        app = rest.uid(stage.api, kinds.APP.kind, APP, stage.namespace)
        rows = (_row(stage, recorder, "v1", 100.0), _row(stage, recorder, "v2", 200.0))
        callers = {name: rest_rehearsal.new_caller(stage, url, name, *roles) for name, roles in WHO.items()}
        callers["stranger"] = rest.client(stage.api, url, stage.namespace, "stranger")
        made = Recorded(stage, recorder, journal, url, callers, app, rows)
        eventually(
            "every run is of its row", lambda: {each["deployment_id"] for each in made.runs("viewer", "?page_size=500")} == set(rows)
        )
        yield made


def _token(cluster: Cluster, folder: Path) -> Path:
    """Returns a file with the operator's token for the recorder."""
    file = folder / "recorder-token"
    file.write_text(recorders.token(Api.of(cluster), OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, audience=RECORDER_AUDIENCE))
    return file


def _row(stage: HistoryStage, recorder: Recorder, version: str, milliseconds: float) -> str:
    """Deploys a version, sends runs of it and returns the row's id. Each ten runs share a session; the tenth failed."""
    row = stage.live(APP, version, runtime=stage.default_runtime)
    pod = a_pod(stage.api, stage.namespace, APP, version)
    instance = str(uuid.uuid4())
    for at in range(0, RUNS, 10):
        named: dict[str, Any] = {"session__id": f"{version}-{at // 10}", "user__id": "u-1", "content": True, "milliseconds": milliseconds}
        good = runs_of(9, first=at + 1, **named)
        bad = runs_of(1, first=at + 10, outcome="failed", dynamiq__run__reason="node_failed", dynamiq__error="quota exceeded", **named)
        recorder.send(pod, *good, *bad, instance=instance)
    return rest.uid(stage.api, kinds.ROW.kind, row, stage.namespace)
