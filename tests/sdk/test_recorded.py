"""Tests the recorder's view of runs of the SDK's engine, and of its own client: tokens, cost, nodes, and the SDK's own words."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.clusters import Cluster
from tests.sdk.support import costs
from tests.support import factories, history_stage, openai
from tests.support.cluster import REPOSITORY, session_cluster
from tests.support.history_stage import HistoryStage, counted
from tests.support.load.recording.identities import Reader, RecordedPod, account, app_uid, pods_of
from tests.support.load.recording.recorders import RecorderProcess, recording
from tests.support.measured import Figures
from tests.support.operator import Operator, install_account
from tests.support.preloaded import Preloaded
from tests.support.runtime import Served, serving
from tests.support.waiting import eventually

PLAIN, OPEN = "plain", "open"  # Apps: one that records no content, one that does
KEY = "a-key-of-the-app"
WITHIN = 300.0  # seconds for one answer on a busy machine
CONCURRENT = 8
RUNS = 1000
FIGURES = Figures("run-costs")
AGENT = yaml.safe_load((REPOSITORY / "examples" / "agent" / "helpdesk-v1.yaml").read_text())["spec"]["flow"]
CONTENT = ("input", "output", "error")


@dataclass(frozen=True)
class Recorded:
    """Apps on a cluster with simulated pods, a recorder, and a user who may read all of it."""

    stage: HistoryStage
    recorder: RecorderProcess
    token: str
    folder: Path

    def pod(self, app: str) -> RecordedPod:
        return pods_of(self.stage, app, self.folder)[0]

    def uid(self, app: str) -> str:
        return app_uid(self.stage, app)

    @property
    def reader(self) -> Reader:
        return Reader(self.recorder.url, self.token)

    @contextmanager
    def serving(self, app: str, flow: str, sdk: Preloaded, model: openai.Model) -> Iterator[Served]:
        """Runs a process that stands in for the App's pod, with engine sdk."""
        folder = self.folder / f"{app}-{len(list(self.folder.iterdir()))}"
        keys = folder / "keys"
        keys.mkdir(parents=True)
        (keys / "default").write_text(KEY)
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY, "DYNAMIQ_ENGINE": "sdk", "DYNAMIQ_ACCESS_KEYS_DIR": str(keys)}
        with serving(folder, flow, python=sdk, **variables, **self.pod(app).variables(self.recorder.url)) as served:
            yield served

    def run(self, run_id: str, *, content: bool = False) -> dict[str, Any]:
        """Returns the recorded run once it has arrived."""

        def found() -> dict[str, Any] | None:
            path = f"/v1/runs/{run_id}"
            query = {"include": "content"} if content else {}
            return self.reader.get(path, **query)["data"] if self.reader.status("GET", path) == 200 else None

        return eventually(f"run {run_id} is recorded", found)


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    with session_cluster("control-plane", pytestconfig) as started:
        yield started


@pytest.fixture(scope="module")
def recorded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("recorded")
    login = install_account(cluster, folder)
    options = (f"--kubeconfig={cluster.kubeconfig}", f"--store=sqlite://{folder / 'runs.db'}")
    with (
        recording(folder, options) as (recorder,),
        history_stage.stage(cluster, "recorded") as stage,
        Operator(login, folder, [stage.namespace], [f"--recorder={recorder.url}"]),
    ):
        for app, content in ((PLAIN, False), (OPEN, True)):
            recorded_content = factories.with_spec(runs={"content": True}) if content else factories.with_spec()
            stage.apply(stage.declared("v1", factories.public(), recorded_content, name=app))
            stage.until_served("v1", app)
        yield Recorded(stage, recorder, account(stage, "reader", "dynamiq-deployer"), folder)


@pytest.fixture(scope="module")
def model() -> Iterator[openai.Model]:
    with openai.serving() as answering:
        answering.calls["order-status"] = {"order": "1001"}
        costs.set_up(answering)
        yield answering


def test_an_agents_run_is_recorded_with_its_tool_its_model_and_what_they_used(
    recorded: Recorded, sdk: Preloaded, model: openai.Model
) -> None:
    with recorded.serving(PLAIN, AGENT, sdk, model) as served:
        answer = served.run({"question": "Where is my order 1001?"}, key=KEY, timeout=WITHIN)
        assert answer.status == 200
        run = recorded.run(answer.headers["X-Dynamiq-Run-Id"])
    nodes = {node["node_id"]: node for node in run["nodes"]}
    assert Counter(node["node_id"] for node in run["nodes"]) == {"input": 1, "agent": 1, "model": 2, "order-status": 1, "output": 1}
    assert {name: nodes[name]["parent_id"] for name in ("model", "order-status")} == dict.fromkeys(
        ("model", "order-status"), nodes["agent"]["span_id"]
    )
    per_input, per_cached, per_output = costs.PRICES[openai.NAME]
    used, cached, output = costs.USED[openai.NAME]
    price = 2 * ((used - cached) * per_input + cached * per_cached + output * per_output) / 1e6
    assert [run[f"{kind}_tokens"] for kind in ("input", "cache_read", "output")] == [2 * used, 2 * cached, 2 * output]
    assert (run["cost_usd"], run["unpriced_calls"], run["models"]) == (pytest.approx(price), 0, [openai.NAME])
    assert nodes["agent"]["cost_usd"] is None, "what its model cost is the model's"
    assert run["content"] == "not_recorded"


@pytest.mark.full_count
@pytest.mark.timeout(3600)
def test_the_cost_of_many_runs_is_their_sum_by_hand(recorded: Recorded, sdk: Preloaded, model: openai.Model) -> None:
    """Four models have a price and one has none, with cached tokens, repeated calls, and an agent whose tool is an agent."""
    runs, uid = counted(RUNS), recorded.uid(OPEN)
    with recorded.serving(OPEN, costs.a_flow(), sdk, model) as served, ThreadPoolExecutor(CONCURRENT) as pool:

        def one(number: int) -> str:
            if not number % 10:
                with model.lock:
                    model.busy[list(costs.USED)[number // 10 % len(costs.USED)]] += 1
            answer = served.run({"question": f"Where is {number}?"}, key=KEY, timeout=WITHIN)
            assert answer.status == 200, answer.body
            return str(answer.headers["X-Dynamiq-Run-Id"])

        ids = set(pool.map(one, range(runs)))
        for run_id in ids:
            recorded.run(run_id)
    stored = [run for run in recorded.reader.lines(f"/v1/apps/{uid}/runs.jsonl") if run["id"] in ids]
    total = recorded.reader.get(f"/v1/apps/{uid}/metrics")["data"]["series"][0]["total"]
    prompt, cached, output = costs.tokens()
    FIGURES.note(
        f"{len(stored)} runs of the SDK's engine, 7 calls of 5 models in each, an agent whose tool is an agent, cached tokens, calls tried again:",
        f"  {sum(run['cost_usd'] for run in stored):.6f} US dollars, by hand {runs * costs.price():.6f}; {total['unpriced_calls']} calls of a model"
        " without a price, whose cost is null",
    )
    assert len(stored) == runs == total["runs"]
    assert sum(run["cost_usd"] for run in stored) == pytest.approx(runs * costs.price(), rel=1e-9)
    assert total["cost_usd"] == pytest.approx(runs * costs.price(), rel=1e-9)
    assert total["unpriced_calls"] == sum(run["unpriced_calls"] for run in stored) == runs * costs.CALLS[costs.UNKNOWN]
    assert [total[f"{kind}_tokens"] for kind in ("input", "cache_read", "output")] == [runs * prompt, runs * cached, runs * output]
    unknown = [node for run in stored for node in run["nodes"] if node["model"] == costs.UNKNOWN]
    assert {node["cost_usd"] for node in unknown} == {None}


@pytest.mark.parametrize("app", [PLAIN, OPEN])
def test_runs_that_the_sdks_own_client_sends_twice_are_stored_once_and_returned_unchanged(
    recorded: Recorded, sdk: Preloaded, model: openai.Model, app: str, tmp_path: Path
) -> None:
    with recorded.serving(app, AGENT, sdk, model) as served:
        request = {"flow": AGENT, "input": {"question": "Where is my order 1001?"}}
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY}
        output = sdk.run(
            "tests.support.sdk_client",
            f"http://127.0.0.1:{served.port}",
            KEY,
            environment={"PATH": os.environ["PATH"], **variables},
            given=json.dumps(request),
            folder=tmp_path,
        )
    sent = json.loads(output)["runs"]
    (top,) = (run for run in sent if run["parent_run_id"] is None)
    run = recorded.run(top["id"])
    assert (run["source"], run["deployment_id"], run["tags"]) == ("sdk", None, ["outside"])
    path = f"/v1/apps/{recorded.uid(app)}/runs.jsonl"
    assert [each["id"] for each in recorded.reader.lines(path) if each["source"] == "sdk"] == [top["id"]]
    traced = recorded.reader.get(f"/v1/runs/{top['id']}/trace", include="content")["data"]["runs"]
    assert _by_id(traced) == _by_id(sent if app == OPEN else [_without_content(each) for each in sent])


def _by_id(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {run["id"]: run for run in runs}


def _without_content(run: dict[str, Any]) -> dict[str, Any]:
    """Returns the run without content: an agent's prompt to its model contains the caller's text."""
    visible = {name: value for name, value in run.items() if name not in CONTENT}
    visible["executions"] = [{name: value for name, value in each.items() if name not in CONTENT} for each in run["executions"]]
    if failed := run["metadata"].get("failed_nodes"):
        visible["metadata"] = run["metadata"] | {"failed_nodes": [{"id": each["id"], "name": each["name"]} for each in failed]}
    node = run["metadata"].get("node", {})
    if isinstance(prompt := node.get("prompt"), dict):
        prompt = {name: value for name, value in prompt.items() if name != "messages"}
        visible["metadata"] = run["metadata"] | {"node": node | {"prompt": prompt}}
    return visible
