"""Tests that the SDK's engine loads what a flow names and no more, with the results and errors of the whole SDK."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cluster import REPOSITORY
from tests.support.flows import a_flow
from tests.support.preloaded import LOADED_WITHIN, ROOTS
from tests.support.runtime import listening
from tests.support.waiting import eventually

DOUBLED = a_flow("def run(d):\n    return d['n'] * 2\n")
WITHIN = 300.0


def ran(python: str, module: str, *arguments: str) -> list[str]:
    """Returns the lines that a program of the interpreter with the SDK prints."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOTS, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [python, "-W", "ignore", "-m", f"tests.sdk.support.{module}", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def test_a_flow_without_a_model_runs_fails_and_retries_without_litellm(python: str) -> None:
    (line,) = ran(python, "without_models")
    assert json.loads(line) == [{"result": 0.5}, ["code"], [2], False]


def test_an_sdk_that_lazy_packages_do_not_suit_is_loaded_whole_and_the_pod_says_so(python: str, tmp_path: Path) -> None:
    with listening(tmp_path, DOUBLED, python=python, module="tests.sdk.support.unsuited", DYNAMIQ_ENGINE="sdk") as served:
        eventually("it is ready", lambda: served.request("GET", "/readyz").status == 200, LOADED_WITHIN)
        assert served.run({"n": 4}, timeout=WITHIN).body == {"result": 8}
        assert served.metric("dynamiq_runtime_sdk_loaded_whole") == 1
        (warning,) = (line for line in map(json.loads, served.log.read_text().splitlines()) if line["level"] == "warning")
        assert warning["message"].startswith("the SDK is loaded whole")
        assert "dynamiq.nodes.utils.nothing" in warning["error"]


@pytest.mark.long("it loads every node type of the SDK twice, which takes a minute")
def test_every_node_type_is_the_same_with_lazy_packages_and_without(python: str) -> None:
    """A type whose package is not installed has the same error."""
    lazy, plain = (json.loads(ran(python, "loaded_types", how)[-1]) for how in ("lazy", "plain"))
    assert lazy == plain
    assert len([name for name, described in lazy.items() if described[0].startswith("dynamiq.nodes.")]) > 100
