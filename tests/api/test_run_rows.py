"""Each run belongs to its row, under traffic and every kind of row: deploys, scaling, rollbacks, waiting or failed rows, a restore."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from tests.api.support.traffic import SentRun, Traffic
from tests.support import factories as given
from tests.support import restores
from tests.support.api import Manifest
from tests.support.flows import answering
from tests.support.history_stage import HistoryStage, counted
from tests.support.load.recording.identities import Reader, account, app_uid
from tests.support.load.recording.recorders import RecorderProcess, recording
from tests.support.measured import Figures
from tests.support.operator import Operator, install_account
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")
APPS = ("support", "triage", "faq", "search", "mail")
DEPLOYS = 200  # of all Apps together
SAME = {"v1": "v11", "v2": "v12"}
"""Releases with the same flow."""
KINDS = ("version", "version", "scale", "same flow", "rollback", "compute", "waits", "fails")
SETTLED = 300.0  # seconds
FIGURES = Figures("run-rows")


@pytest.fixture
def recorder(cluster: Any, stage: HistoryStage, tmp_path: Path) -> Iterator[RecorderProcess]:
    """Runs a recorder on SQLite as it is installed, except for its login."""
    options = (f"--kubeconfig={cluster.kubeconfig}", f"--store=sqlite://{tmp_path / 'runs.db'}")
    with recording(tmp_path, options) as (started,):
        yield started


@pytest.mark.full_count
@pytest.mark.timeout(3600)
def test_each_run_is_of_the_row_that_it_was_made_by(stage: HistoryStage, cluster: Any, recorder: RecorderProcess, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    login = install_account(cluster, tmp_path)
    with Operator(login, tmp_path, [stage.namespace], [f"--recorder={recorder.url}"]):
        for version, again in SAME.items():
            stage.release(again, workflow=given.NAME, text=answering(version))
        stage.apply(*(stage.declared("v1", name=app) for app in APPS))
        for app in APPS:
            stage.until_served("v1", app)
        each = counted(DEPLOYS) // len(APPS)
        with Traffic(stage, recorder.url) as traffic:
            _deploy_all(stage, each // 2, seed)
        before = len(traffic.sent)
        _restore(stage, seed)
        with Traffic(stage, recorder.url) as after:
            _deploy_all(stage, each - each // 2, seed + 1)
        sent = traffic.sent + after.sent
        reader = Reader(recorder.url, account(stage, "reader", "dynamiq-view"))
        wrong: list[str] = []
        for app in APPS:
            wrong += _wrong_of(stage, reader, app, [run for run in sent if run.app == app])
        rows = sum(len(stage.rows(app)) for app in APPS)
    refused = traffic.refused + after.refused
    FIGURES.note(
        f"{rows} rows of {len(APPS)} Apps: {', '.join(sorted(set(KINDS)))}; seed {seed}",
        f"  {len(sent)} runs of their pods, {before} of them before a restore from a backup, {len(refused)} refused: {len(wrong)} of a wrong row",
    )
    assert not wrong, "\n".join(wrong[:20])
    assert before
    assert after.sent


def _deploy_all(stage: HistoryStage, number: int, seed: int) -> None:
    with ThreadPoolExecutor(len(APPS)) as pool:
        done = [pool.submit(_deploy, stage, app, number, random.Random(f"{seed}{app}")) for app in APPS]  # noqa: S311
        for each in done:
            each.result()


def _deploy(stage: HistoryStage, app: str, number: int, draw: random.Random) -> None:
    """Deploys `number` rows of random kinds, one after the other. A waiting row is overtaken by the next one."""
    for _ in range(number):
        kind = draw.choice(KINDS)
        row = stage.deploy(app, **_drawn_spec(stage, app, kind, draw))
        if kind == "waits":
            stage.until(row, "Pending", SETTLED)
        elif kind == "fails":
            stage.until(row, "Failed", SETTLED)
        else:
            try:
                eventually(f"row {row} has ended", lambda row=row: "outcome" in stage.row(row)["spec"], SETTLED)  # type: ignore[misc]
            except AssertionError as late:
                late.add_note(_standing(stage, app, kind, row))
                raise


def _standing(stage: HistoryStage, app: str, kind: str, row: str) -> str:
    """Returns everything that explains why a row does not end."""
    workload = stage.workload(app)
    state = {
        "asked": kind,
        "row": stage.row(row),
        "App": stage.get(kinds.APP.kind, app)["status"],
        "workload": {"replicas": workload["spec"]["replicas"], "generation": workload["metadata"]["generation"], **workload["status"]},
        "pods": [each["status"] for each in stage.pods(app)],
    }
    return "\n".join([*stage.lines(app), json.dumps(state, indent=1)])


def _drawn_spec(stage: HistoryStage, app: str, kind: str, draw: random.Random) -> dict[str, Any]:
    live = stage.served(app)
    version = str(live["workflowVersion"])
    low = draw.randrange(1, 4)
    if kind == "scale":
        return {"workflowVersion": version, "config": {"autoscaling": {"minReplicas": low, "maxReplicas": low + draw.randrange(4)}}}
    if kind == "same flow":
        return {"workflowVersion": SAME.get(version) or next((old for old, new in SAME.items() if new == version), "v1")}
    if kind == "rollback":
        return {"restores": draw.choice([row["metadata"]["name"] for row in stage.rows(app) if _succeeded(row)])}
    if kind == "compute":
        return {"workflowVersion": version, "config": {"resources": {"requests": {"cpu": f"{draw.randrange(10, 90)}m", "memory": "32Mi"}}}}
    if kind == "waits":
        return {"workflowVersion": f"v{draw.randrange(1000, 2000)}"}
    if kind == "fails":
        return {"workflowVersion": version, "config": {"idleSeconds": 9}}
    return {"workflowVersion": draw.choice([each for each in ("v1", "v2", "v3", "v4") if each != version])}


def _succeeded(row: Manifest) -> bool:
    return bool(row["spec"].get("outcome", {}).get("result") == "Succeeded")


def _restore(stage: HistoryStage, seed: int) -> None:
    # A row gets its outcome before its App's status has it.
    served = {app: [row["metadata"]["name"] for row in stage.rows(app) if _succeeded(row)][-1] for app in APPS}
    for app, row in served.items():
        eventually(f"{app} says that it serves {row}", lambda app=app, row=row: stage.served(app).get("row") == row, SETTLED)  # type: ignore[misc]
    backup, order = restores.without_uids(restores.export(stage)), random.Random(seed)  # noqa: S311
    restores.lose_the_namespace(stage)
    restores.apply(stage, backup, order, first=True)
    for app in APPS:
        restores.take_the_stamp_off(stage, app)
    for app, row in served.items():
        eventually(f"{app} serves again what it served", lambda app=app, row=row: stage.served(app).get("row") == row, SETTLED)  # type: ignore[misc]


@dataclass(frozen=True)
class Row:
    """A row: the pods by which its runs are recognised, and its start and end, in microseconds."""

    uid: str
    sequence: int
    pods: tuple[str, str | None]
    began: int
    succeeded: bool
    ended: int | None

    @classmethod
    def of(cls, raw: Manifest) -> Row:
        spec = raw["spec"]
        pinned, outcome = spec["pinned"], spec.get("outcome", {})
        config = pinned["config"].get("resources") or pinned["runtime"].get("resources") or {}
        pods = (pinned["workflowHash"], config.get("requests", {}).get("cpu"))
        ended = _microseconds(outcome["at"]) if outcome else None
        began = _microseconds(pinned["createdAt"])
        return cls(raw["metadata"]["uid"], spec["sequence"], pods, began, outcome.get("result") == "Succeeded", ended)


def _microseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1e6)


def _expected(rows: list[Row], run: SentRun) -> Row | None:
    """Returns the row that a run should belong to; None if no row made such pods.

    Rows are newest first. It is the first row with such pods that had succeeded when the run began, else the first in progress then. If the
    rollout failed and its pods still end, it is the first row that had begun; before all rows, the oldest.
    """
    fit = [row for row in rows if row.pods == (run.flow, run.cpu)]
    begun = [row for row in fit if row.began <= run.at]
    done = (row for row in fit if row.succeeded and row.ended is not None and row.ended <= run.at)
    under_way = (row for row in begun if row.ended is None or row.ended > run.at)
    oldest = sorted(fit, key=lambda row: (row.began, row.sequence))
    return next(done, None) or next(under_way, None) or next(iter([*begun, *oldest]), None)


def _wrong_of(stage: HistoryStage, reader: Reader, app: str, sent: list[SentRun]) -> list[str]:
    rows = [Row.of(raw) for raw in reversed(stage.rows(app)) if "pinned" in raw["spec"]]
    path = f"/v1/apps/{app_uid(stage, app)}/runs.jsonl"

    wrong: list[str] = []

    def none_is() -> bool:
        """Returns True once no run has a wrong row: the recorder sees rows and their ends later than this test, and then moves runs."""
        wrong.clear()
        try:
            found = {run["id"]: run["deployment_id"] for run in reader.lines(path)}
        except OSError as error:  # also that of an API server that does not say in time what the reader may do
            wrong.append(f"{app}: {error}")
            return False
        for run in sent:
            expected, shown = _expected(rows, run), found.get(run.id)
            if expected is None or shown != expected.uid:
                wrong.append(f"{app}: run {run.id} of {run.flow[:20]} {run.cpu} at {run.at} is of {shown}, and {expected} made it")
        return not wrong

    with contextlib.suppress(AssertionError):
        eventually(f"every run of {app} is of the row that made it", none_is, SETTLED, 1)
    return wrong
