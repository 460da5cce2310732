"""Tests the SDK's engine behind the server: concurrent runs, bounds, streams, usage, traces and the stop."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import openai
from tests.support.collector import attributes_of, collecting
from tests.support.flows import a_flow
from tests.support.preloaded import LOADED_WITHIN, Preloaded
from tests.support.runtime import Served, listening, refused, serving
from tests.support.waiting import eventually

RUNS = 2000 if os.environ.get("SOAK") else 200
CONCURRENT = 50
NAP = 40  # seconds of runs that have to be under way at once
WITHIN = 300.0  # seconds for one answer on a busy machine
NAPPING = a_flow(
    "import time\ndef run(d):\n    time.sleep(d.get('seconds', 0))\n    return {'n': d['n'], 'twice': d['n'] * 2}\n", name="napper"
)
BOUNDS = {
    "DYNAMIQ_ENGINE": "sdk",
    "DYNAMIQ_MAX_CONCURRENT_RUNS": str(CONCURRENT),
    "DYNAMIQ_MAX_QUEUED_RUNS": "0",
}


@pytest.fixture(scope="module")
def napping(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Provides a server whose runs take the time of their input; it is alive from the start, and ready once loaded."""
    with listening(tmp_path_factory.mktemp("napping"), NAPPING, python=python, **BOUNDS) as served:
        assert served.request("GET", "/readyz").status == 503
        early = served.run({"n": 1})
        assert (early.status, early.headers["Retry-After"], early.body["error"]["code"]) == (503, "1", "starting")
        assert served.request("GET", "/healthz").status == 200
        eventually("it is ready", lambda: served.request("GET", "/readyz").status == 200, LOADED_WITHIN)
        yield served


def test_another_flow_than_was_deployed_is_not_served(python: str, tmp_path: Path) -> None:
    code, line = refused(tmp_path, NAPPING, python=python, DYNAMIQ_ENGINE="sdk", DYNAMIQ_FLOW_HASH="sha256:" + "0" * 64)
    assert code == 2
    assert "is another than was deployed" in line


@pytest.mark.full_count
def test_concurrent_runs_get_their_own_answers(napping: Served) -> None:
    before = napping.metric('dynamiq_runtime_runs_total{outcome="succeeded"}')
    with ThreadPoolExecutor(CONCURRENT) as pool:
        answers = list(pool.map(lambda number: napping.run({"n": number}, timeout=WITHIN), range(RUNS)))
    assert [answer.body for answer in answers] == [{"result": {"n": number, "twice": number * 2}} for number in range(RUNS)]
    assert napping.metric('dynamiq_runtime_runs_total{outcome="succeeded"}') == before + RUNS


def test_one_run_too_many_is_refused_and_the_others_go_on(napping: Served) -> None:
    with ThreadPoolExecutor(CONCURRENT) as pool:
        slow = [pool.submit(napping.run, {"n": number, "seconds": NAP}, timeout=WITHIN) for number in range(CONCURRENT)]
        eventually("all runs are under way", lambda: napping.metric("dynamiq_runtime_runs_in_flight") == CONCURRENT, NAP)
        refused = napping.run({"n": 1})
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert [future.result().body["result"]["n"] for future in slow] == list(range(CONCURRENT))


def test_a_run_past_its_time_is_given_up(sdk: Preloaded, tmp_path: Path) -> None:
    with serving(tmp_path, NAPPING, python=sdk, **BOUNDS, DYNAMIQ_RUN_TIMEOUT="2") as hurried:
        answer = hurried.run({"n": 1, "seconds": WITHIN}, timeout=WITHIN)
        assert (answer.status, answer.body["error"]["code"]) == (504, "run_timed_out")
        eventually("it runs others", lambda: hurried.run({"n": 3}, timeout=WITHIN).body == {"result": {"n": 3, "twice": 6}})


def test_a_failure_has_the_shape_of_every_engine(napping: Served) -> None:
    error = napping.run({"seconds": 0}, timeout=WITHIN).body["error"]
    assert (error["code"], [node["id"] for node in error["details"]["nodes"]]) == ("node_failed", ["code"])
    assert error["message"].startswith('node "napper" failed: ')
    assert "Traceback" not in json.dumps(error) + napping.log.read_text()


def test_every_line_of_the_log_is_json_and_holds_no_input(napping: Served) -> None:
    napping.run({"n": "s3cr3t-value"}, timeout=WITHIN)
    lines = napping.log.read_text().splitlines()
    assert all(json.loads(line)["time"] for line in lines)
    assert "s3cr3t" not in "".join(lines)


@pytest.fixture(scope="module")
def asking(sdk: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, openai.Model, Any]]:
    """Provides a flow that asks a model and streams its answer, with traces."""
    with openai.serving() as answering, collecting() as (collector, endpoint):
        variables = {"MODEL_URL": answering.url, "MODEL_KEY": openai.KEY, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        folder, more = tmp_path_factory.mktemp("asking"), {"DYNAMIQ_ENGINE": "sdk", "DYNAMIQ_WORKFLOW_VERSION": "v7"}
        with serving(folder, openai.a_flow(streaming=True), python=sdk, **variables, **more) as served:
            yield served, answering, collector


def test_tokens_and_cost_are_counted(asking: tuple[Served, openai.Model, Any]) -> None:
    served, *_ = asking
    names = [f'dynamiq_runtime_tokens_total{{kind="{kind}",node="model"}}' for kind in ("prompt", "completion")]
    names.append('dynamiq_runtime_cost_usd_total{node="model"}')
    before = [served.metric(name) for name in names]
    assert served.run({"question": "how are you"}, timeout=WITHIN).body == {"answer": "how are you"}
    served.run({"question": "how are you"}, stream=True, timeout=WITHIN)
    used = [served.metric(name) - was for name, was in zip(names, before, strict=True)]
    price = openai.PROMPT_TOKENS * openai.PROMPT_PRICE + openai.COMPLETION_TOKENS * openai.COMPLETION_PRICE
    assert used == [2 * openai.PROMPT_TOKENS, 2 * openai.COMPLETION_TOKENS, pytest.approx(2 * price)]


def test_a_stream_sends_each_word_at_once(asking: tuple[Served, openai.Model, Any]) -> None:
    served, answering, _ = asking
    answering.go.clear()
    words = []
    for name, data in served.events({"question": "one two three"}, timeout=WITHIN):
        if name == "result":
            assert data == {"answer": "one two three "}
        elif name == "chunk" and (content := data["data"]["choices"] and data["data"]["choices"][0]["delta"]["content"]):
            assert (data["entity_id"], data["event"], data["source"]["name"]) == ("model", "streaming", "the model")
            words.append(content)
            if len(words) == 1:
                assert served.metric("dynamiq_runtime_runs_in_flight") == 1
                answering.go.set()
    assert (words, name) == (["one ", "two ", "three "], "result")


def test_a_run_is_traced_with_what_its_model_used(asking: tuple[Served, openai.Model, Any]) -> None:
    served, _, collector = asking
    run_id = served.run({"question": "trace"}, "/v1/runs", timeout=WITHIN).body["data"]["id"]

    def spans() -> list[Any]:
        return [span for span in collector.spans if attributes_of(span).get("dynamiq.run.id") == run_id]

    eventually("spans arrive", lambda: bool(spans()))
    (run,) = spans()
    assert attributes_of(run)["dynamiq.workflow.version"] == "v7"
    nodes = {span.name: attributes_of(span) for span in collector.spans if span.parent_span_id == run.span_id}
    assert list(nodes) == ["node start", "node the model", "node end"]
    model_node = nodes["node the model"]
    assert (model_node["gen_ai.usage.input_tokens"], model_node["gen_ai.usage.output_tokens"]) == (
        openai.PROMPT_TOKENS,
        openai.COMPLETION_TOKENS,
    )
    assert openai.KEY.encode() not in collector.raw
    assert openai.KEY not in served.log.read_text()


def test_a_stop_lets_an_open_stream_end(asking: tuple[Served, openai.Model, Any]) -> None:
    """The last of this file: its server is stopped."""
    served, answering, _ = asking
    answering.go.clear()
    stopping = threading.Event()
    names = []
    for name, _ in served.events({"question": "one two"}, timeout=WITHIN):
        names.append(name)
        if not stopping.is_set():
            served.terminate()
            eventually("it is no longer ready", lambda: served.request("GET", "/readyz").status == 503)
            stopping.set()
            answering.go.set()
    assert names[0] == "chunk"
    assert names[-1] == "result"
    assert served.process.wait(LOADED_WITHIN) == 0
