"""Tests the SDK's own client, outside of the cluster and unmodified: it sends its runs to an App's hostname, and a pod relays them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support import factories, openai
from tests.support import stage as stages
from tests.support.cluster import REPOSITORY
from tests.support.gateway import until_answer
from tests.support.load.recording.identities import Reader, account, app_uid
from tests.support.load.recording.installed import Installed, installed
from tests.support.operator import Operator, install_account
from tests.support.preloaded import LOADED_WITHIN
from tests.support.runtime import OPERATOR
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(3600)
APP, HOST = "desk", "desk.example.test"
AGENT = yaml.safe_load((REPOSITORY / "examples" / "agent" / "helpdesk-v1.yaml").read_text())["spec"]["flow"]
PYTHON = REPOSITORY / ".venv-sdk" / "bin" / "python"
NAMED = 'mount --bind "$HOSTS" /etc/hosts && exec "$@"'
"""Resolves the hostname to the gateway, for this process alone, as the DNS of a real installation would."""


@pytest.fixture(scope="module")
def at(cluster: Cluster) -> Gateway:
    return gateway.start(cluster)


@pytest.fixture(scope="module")
def recorder(cluster: Cluster) -> Iterator[Installed]:
    with installed(cluster) as running:
        yield running


@pytest.fixture(scope="module")
def on(cluster: Cluster, recorder: Installed, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Provides an App whose callers need a key, and which records content."""
    folder = tmp_path_factory.mktemp("client")
    login, options = install_account(cluster, folder), [f"--recorder={recorder.inside}", f"--ingress-class={gateway.INGRESS_CLASS}"]
    with stages.stage(cluster, "client") as staged, Operator(login, folder, [staged.namespace], options, cluster=cluster):
        staged.runtime("tiny", by_default=True)
        staged.release("v1")
        staged.app(APP, factories.with_hostname(HOST), factories.with_spec(runs={"content": True}))
        staged.live(APP, "v1")
        until_answer(HOST, at, "v1", staged.key(APP))
        yield staged


def test_a_run_that_is_sent_twice_is_stored_once_and_returned_unchanged(
    on: Stage, recorder: Installed, at: Gateway, tmp_path: Path
) -> None:
    sent = _run_and_send(f"http://{HOST}:{at.port}", on.key(APP), tmp_path)
    (top,) = (run for run in sent if run["parent_run_id"] is None)
    reader, uid = Reader(recorder.outside, account(on, "reader", "dynamiq-deployer")), app_uid(on, APP)

    def stored() -> list[str]:
        return [run["id"] for run in reader.lines(f"/v1/apps/{uid}/runs.jsonl") if run["source"] == "sdk"]

    eventually("the run is stored", stored)
    traced = reader.get(f"/v1/runs/{top['id']}/trace", include="content")["data"]["runs"]
    assert stored() == [top["id"]]
    assert {run["id"]: run for run in traced} == {run["id"]: run for run in sent}


def _run_and_send(url: str, key: str, folder: Path) -> list[dict[str, Any]]:
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {HOST}\n")
    with openai.serving() as model:
        model.calls["order-status"] = {"order": "1001"}
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOSTS": str(hosts)}
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", NAMED, "sh", PYTHON, "-m", "tests.support.sdk_client", url, key],
            input=json.dumps({"flow": AGENT, "input": {"question": "Where is my order 1001?"}}),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{OPERATOR}:{REPOSITORY}", **variables},
            capture_output=True,
            text=True,
            timeout=LOADED_WITHIN,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    runs: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
    return runs
