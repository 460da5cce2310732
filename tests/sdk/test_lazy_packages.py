"""Tests that the SDK's engine loads what a flow names and no more, with the results and errors of the whole SDK."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import openai
from tests.support.cluster import REPOSITORY
from tests.support.preloaded import LOADED_WITHIN, ROOTS
from tests.support.runtime import listening
from tests.support.waiting import eventually

WITHIN = 300.0


def ran(python: str, module: str, *arguments: str) -> list[str]:
    """Returns the lines that a program of the interpreter with the SDK prints."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOTS, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [python, "-W", "ignore", "-m", f"tests.sdk.support.{module}", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def loaded(python: str) -> dict[str, Any]:
    """Provides what the program `loads` prints."""
    content: dict[str, Any] = json.loads(ran(python, "loads")[-1])
    return content


def test_a_flow_without_a_model_runs_fails_and_retries_without_litellm(loaded: dict[str, Any]) -> None:
    assert (loaded["divided"], loaded["litellm"]) == ([[{"result": 0.5}, 1], [False, 2]], False)


def test_a_call_that_a_model_refuses_for_good_is_not_tried_again(loaded: dict[str, Any]) -> None:
    assert loaded["asked"] == [False, 1]


def test_a_flow_with_a_fault_is_refused_without_loading_the_whole_sdk(loaded: dict[str, Any]) -> None:
    assert "no `nodes`" in loaded["refused"][0]
    assert "dynamiq.nodes.tools.Nothing" in loaded["refused"][1]
    assert (loaded["whole"], loaded["thresholds"]) == (False, True)


@pytest.mark.parametrize("package", ["dynamiq.nodes.llms", "openai.types.chat"])
def test_an_sdk_that_cannot_be_loaded_lazily_is_loaded_whole_and_the_pod_says_so(python: str, tmp_path: Path, package: str) -> None:
    flow, program = openai.a_flow(streaming=False), {"module": "tests.sdk.support.unsuited", "UNSUITED": package}
    with (
        openai.serving() as model,
        listening(tmp_path, flow, python=python, DYNAMIQ_ENGINE="sdk", MODEL_URL=model.url, MODEL_KEY=openai.KEY, **program) as served,
    ):
        eventually("it is ready", lambda: served.request("GET", "/readyz").status == 200, LOADED_WITHIN)
        assert served.run({"question": "why"}, timeout=WITHIN).body == {"answer": "why"}
        assert served.metric("dynamiq_runtime_sdk_loaded_whole") == 1
        (warning,) = (line for line in map(json.loads, served.log.read_text().splitlines()) if line["level"] == "warning")
        assert warning["message"].startswith("the SDK cannot be loaded lazily")
        assert warning["error"] == f"ModuleNotFoundError: No module named '{package}.nothing'"


@pytest.mark.long("it loads every node type of the SDK twice, which takes a minute")
def test_every_node_type_is_the_same_with_lazy_packages_and_without(python: str) -> None:
    """A type whose package is not installed has the same error."""
    lazy, plain = (json.loads(ran(python, "loaded_types", how)[-1]) for how in ("lazy", "plain"))
    assert lazy == plain
    assert len([name for name, described in lazy.items() if described[0].startswith("dynamiq.nodes.")]) > 100
