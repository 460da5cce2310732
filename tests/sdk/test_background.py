"""Background runs of the SDK: one whose pod is killed goes on after its last node, an agent after its last loop."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import openai
from tests.support.background import Caller, expire_leases, lines, pod, steps_flow
from tests.support.cluster import REPOSITORY
from tests.support.journal import JournalStage
from tests.support.preloaded import LOADED_WITHIN, Preloaded
from tests.support.waiting import eventually

SDK = {"DYNAMIQ_ENGINE": "sdk"}
TOOL = """
import io, time
def run(inputs):
    with io.open('{log}', 'a') as file:
        file.write('looked up\\n')
    while True:
        try:
            io.open('{gate}').close()
        except OSError:
            return 'Order ' + str(inputs['order']) + ' was sent'
        time.sleep(0.02)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    (tmp_path / "journal").mkdir()
    with JournalStage(tmp_path / "journal") as stage:
        yield stage


def test_a_run_goes_on_after_the_last_node_that_ended(sdk: Preloaded, journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    flow = steps_flow("a", "b", "c")
    with pod(tmp_path / "one", flow, journal, python=sdk, **SDK) as served:
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        eventually("node b begins", lambda: "b" in lines(log), LOADED_WITHIN)
        served.process.send_signal(signal.SIGKILL)
    gate.unlink()
    expire_leases(journal)
    with pod(tmp_path / "two", flow, journal, python=sdk, **SDK) as served:
        caller = Caller(served)
        assert caller.ended(run_id, LOADED_WITHIN)["output"] == ["a", "b", "c"]
        kinds = Counter(kind for kind, _ in caller.events(run_id))
    assert lines(log) == ["a", "b", "b", "c"]
    assert (kinds["run.interrupted"], kinds["run.completed"], kinds["node.ended"]) == (1, 1, 5)


def test_a_canceled_run_stops_at_its_next_node(sdk: Preloaded, journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "pod", steps_flow("a", "b"), journal, python=sdk, **SDK) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "a": str(gate)})
        eventually("node a begins", lambda: "a" in lines(log), LOADED_WITHIN)
        assert caller.ask("POST", f"/v1/runs/{run_id}/cancel").status == 200
        gate.unlink()
        assert caller.ended(run_id, LOADED_WITHIN)["status"] == "canceled"
    assert lines(log) == ["a"]


def test_an_agent_goes_on_after_its_last_loop(sdk: Preloaded, journal: JournalStage, tmp_path: Path) -> None:
    """Its tool is not called a second time."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    release = yaml.safe_load((REPOSITORY / "examples" / "agent" / "helpdesk-v1.yaml").read_text())
    flow = yaml.safe_load(release["spec"]["flow"])
    flow["nodes"]["agent"]["streaming"] = {"enabled": True, "mode": "all"}
    flow["nodes"]["agent"]["tools"][0]["code"] = TOOL.format(log=log, gate=gate)
    with openai.serving() as model:
        model.calls["order-status"] = {"order": "1001"}
        variables = SDK | {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY}
        with pod(tmp_path / "one", yaml.safe_dump(flow), journal, python=sdk, **variables) as served:
            run_id = Caller(served).begin({"question": "Where is my order 1001?"})
            eventually("the tool is called", lambda: lines(log), LOADED_WITHIN)
            with model.lock:  # the model answers nobody meanwhile
                gate.unlink()
                eventually("its loop is saved", lambda: _has_state(tmp_path / "journal" / "journal.db", "agent"), LOADED_WITHIN)
                served.process.send_signal(signal.SIGKILL)
                served.process.wait()
        expire_leases(journal)
        with pod(tmp_path / "two", yaml.safe_dump(flow), journal, python=sdk, **variables) as served:
            caller = Caller(served)
            assert caller.ended(run_id, LOADED_WITHIN)["output"] == {"answer": "Order 1001 was sent"}
            kinds = Counter(kind for kind, _ in caller.events(run_id))
    assert lines(log) == ["looked up"]
    assert kinds["agent.tool_call.completed"] >= 1


def _has_state(database: Path, node: str) -> bool:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return bool(connection.execute("SELECT 1 FROM part WHERE node = ?", (node,)).fetchall())
