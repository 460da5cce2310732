"""Runs the demo and the documents like a newcomer: first `make demo`, then every command of README.md and docs/ on its result."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import expect

from dynamiq_operator.model import names
from local import clusters, demo, operators, steps
from local.clusters import Cluster
from tests.support import audited, documents
from tests.support.browser import chromium
from tests.support.browser.everything import Reader, Way
from tests.support.browser.pages import WAITS, Windows, sign_in
from tests.support.cluster import SHORT_LIVED, Kubectl
from tests.support.waiting import eventually
from tests.system.support.opened import Opened, opened

REPOSITORY = Path(__file__).parents[2]
PRODUCTION = "demo-production"
DESK = "desk"


pytestmark = pytest.mark.timeout(1200)
"""The first test builds, starts and installs; one of a document may wait for several rollouts."""


@dataclass
class Curl:
    """Runs curl outside of the cluster, which resolves names under .localhost by itself."""

    token: str = ""

    def __call__(self, url: str, body: object = None) -> Any:
        """Returns the JSON of the answer; empty if there is none."""
        command = ["curl", "--silent", "--max-time", "120", "-H", f"Authorization: Bearer {self.token}", url]
        command += ["--json", json.dumps(body)] if body is not None else []
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        try:
            return json.loads(output)
        except ValueError:
            return {}


@pytest.fixture(scope="module")
def demo_run() -> Iterator[tuple[Cluster, str]]:
    """Provides the cluster that the demo left, and the demo's output."""
    name = f"t{os.getpid()}-demo"
    output = io.StringIO()
    try:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            patch.delenv("CLUSTER", raising=False)
            status = demo.main(["--name", name])
        assert status == 0, output.getvalue()
        cluster = clusters.find(name)
        assert cluster is not None
        yield cluster, output.getvalue()
    finally:
        audited.stop(name)


def test_the_demo_ends_with_three_rows_and_the_newest_live(demo_run: tuple[Cluster, str]) -> None:
    history = demo_run[1].split("$ kubectl get deployments.dynamiq -n demo --sort-by=.spec.sequence\n")[1].splitlines()
    assert history[0].split() == ["NAME", "APP", "VERSION", "DESCRIPTION", "STATUS", "ENDING", "CREATED", "BY", "RUNTIME", "DATE"]
    rows = [re.split(r"\s{2,}", row) for row in history[1:4]]
    assert [(row[1], row[2], row[4]) for row in rows] == [
        ("support", "v1", "Superseded"),
        ("support", "v2", "Superseded"),
        ("support", "v1", "Live"),
    ]
    assert not history[4]


def test_its_caller_got_every_version_and_no_failure(demo_run: tuple[Cluster, str]) -> None:
    cluster, output = demo_run
    if not cluster.real_pods:
        assert "the calls to the App are left out" in output
        return
    calls = re.search(r"^(\d+) calls, (\d+) failed$", output, re.MULTILINE)
    assert calls
    assert int(calls[1]) > 50
    assert int(calls[2]) == 0
    single = re.findall(r'^\S+ 200 \{"answer":"(v\d):', output, re.MULTILINE)
    assert single == ["v1", "v2", "v1"]


def test_it_ends_with_a_rollback_that_starts_no_pod_and_a_call_that_wakes_an_app(demo_run: tuple[Cluster, str]) -> None:
    cluster, output = demo_run
    if not cluster.real_pods:
        assert "nothing sleeps and nothing is switched here" in output
        return
    assert re.search(r"^\d+ calls, 0 failed; v1 answered \d+\.\d\d s after kubectl began", output, re.MULTILINE)
    assert re.search(r"^deployment\.apps/faq +0/0 ", output, re.MULTILINE)
    assert re.search(r'^{"answer":"v1: .*"}\nanswered after \d+\.\d s; the next call', output, re.MULTILINE)


def test_its_last_step_shows_the_result_of_the_last_deploy(demo_run: tuple[Cluster, str]) -> None:
    cluster, output = demo_run
    if not cluster.real_pods:
        assert "kubectl dynamiq compare" not in output
        return
    counts = re.search(r"^runs +(\d+) +(\d+)$", output, re.MULTILINE)
    assert counts
    assert min(map(int, counts.groups())) >= 60
    assert sum(int(number) for number in re.findall(r"^ +(\d+)  v\d: ", output, re.MULTILINE)) >= 200
    assert re.search(r'^improved: row #3 lowered p95 by \d+ %; node "answer" did it$', output, re.MULTILINE)


def test_its_last_preview_names_the_caller_that_a_version_would_break(demo_run: tuple[Cluster, str]) -> None:
    cluster, output = demo_run
    if not cluster.real_pods:
        assert "Who would break?" not in output
        return
    assert re.search(
        r"^  v3 reads `customer`, which [\d,]+ of the last [\d,]+ runs \(7 days\) did not send: key default \(", output, re.MULTILINE
    )


def test_the_demo_prints_the_next_steps_and_no_key(demo_run: tuple[Cluster, str]) -> None:
    output = demo_run[1]
    assert 'eval "$(.venv/bin/python -m local env' in output
    assert "remove it:" in output
    assert "dynq_" not in output


def test_the_demo_leaves_a_namespace_that_is_not_its_own(
    demo_run: tuple[Cluster, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NAMESPACE", "default")
    monkeypatch.setattr(operators, "install", lambda *_: None)
    monkeypatch.delenv("CLUSTER", raising=False)
    assert demo.main(["--name", demo_run[0].name]) == 1
    assert "namespace default is there and is not the demo's" in capsys.readouterr().err


@pytest.fixture
def desk(demo_run: tuple[Cluster, str]) -> Iterator[str]:
    """Provides the uid of an App like the demo's, with a production: later tests read rows of the demo's own by their numbers."""
    kubectl = Kubectl(demo_run[0])
    app, row = (yaml.safe_load((REPOSITORY / "examples" / path).read_text()) for path in ("app.yaml", "records/01-v1.yaml"))
    app["metadata"]["name"] = row["spec"]["app"] = DESK
    app["spec"] |= {"displayName": "Service desk", "hostname": f"{DESK}.demo.localhost"}
    kubectl("create", "-f", "-", input=[app, row])
    kubectl("create", "namespace", PRODUCTION)
    for namespace, environment in (("demo", "staging"), (PRODUCTION, "production")):
        kubectl("label", "namespace", namespace, f"{names.PROJECT_LABEL}=demo", f"{names.ENVIRONMENT_LABEL}={environment}")
    kubectl("wait", f"app/{DESK}", "--for=jsonpath={.status.live.sequence}=1", "--timeout=240s", namespace="demo")
    yield kubectl("get", "app", DESK, "-o", "jsonpath={.metadata.uid}", namespace="demo").stdout
    kubectl("delete", "app", DESK, namespace="demo")
    kubectl("delete", "namespace", PRODUCTION)
    kubectl("label", "namespace", "demo", f"{names.PROJECT_LABEL}-", f"{names.ENVIRONMENT_LABEL}-")


@pytest.fixture
def console(demo_run: tuple[Cluster, str], desk: str, tmp_path: Path) -> Iterator[Opened]:
    """Provides the console on the demo's cluster, whose admin may deploy in production, too."""
    steps.run(chromium.missing())
    expect.set_options(timeout=WAITS)
    with opened(demo_run[0].name, tmp_path / "said") as console_opened:
        Kubectl(demo_run[0])(
            "create", "rolebinding", "console-admin", "--clusterrole=admin", "--serviceaccount=demo:admin", namespace=PRODUCTION
        )
        yield console_opened


@pytest.mark.long(
    "in Chromium on real pods; each action on simulated ones: tests/console/test_deploying.py, test_history.py, test_configuration.py; "
    "`make console`: tests/system/test_console.py"
)
@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_all_that_people_do_with_an_app_is_done_in_the_console(demo_run: tuple[Cluster, str], desk: str, console: Opened, way: Way) -> None:
    kubectl = Kubectl(demo_run[0])

    def history() -> list[str]:
        rows = json.loads(kubectl("get", "deployments.dynamiq", "-o", "json", namespace="demo").stdout)["items"]
        ours = sorted((row for row in rows if row["spec"]["app"] == DESK), key=lambda row: row["spec"]["sequence"])
        return [f"{row['spec']['pinned']['workflowVersion']} {row['status']['phase']}" for row in ours]

    with chromium.launched() as browser:
        window = Windows(browser).open(origin=console.origin())
        window.goto("/console/sign-in")
        sign_in(window, console.token("admin"))
        before = len(history())
        reader = Reader(window.page, console.origin(), f"/console/apps/{desk}", way)
        reader.deploy("v2", "It is the week's news")
        reader.deploy("v2", "Once more")
        reader.roll_back("v1")
        reader.compare(1, 2)
        reader.verify()
        reader.make_and_revoke_a_key("website")
        reader.promote("v1")
        assert (window.seen.refused, window.seen.errors) == ([], [])
        assert history()[before:] == ["v2 Superseded", "v2 Superseded", "v1 Live"]


def test_an_app_created_by_a_client_of_the_api_is_called_at_the_returned_hostname(demo_run: tuple[Cluster, str]) -> None:
    """The caller is outside: the App names no hostname, and has the demo's domain, scheme and port."""
    kubectl, curl = Kubectl(demo_run[0]), Curl()
    for command in ("create serviceaccount client", "create rolebinding client --clusterrole=edit --serviceaccount=demo:client"):
        kubectl(*command.split(), namespace="demo")
    curl.token = kubectl("create", "token", "client", namespace="demo").stdout
    service = kubectl("get", "service", "dynamiq-api", "-o", "jsonpath={.spec.clusterIP}", namespace=operators.NAMESPACE).stdout
    url = f"http://127.0.0.1:{demo_run[0].forward(f'{service}:80')}"

    def uid(kind: str, name: str) -> str:
        return kubectl("get", kind, name, "-o", "jsonpath={.metadata.uid}", namespace="demo").stdout

    manifest_sent = {
        "name": "Told",
        "project_id": uid("namespace", "demo"),
        "workflow_id": uid("workflow", "support"),
        "workflow_version_id": uid("workflowversion", "support-v1"),
        "access_control": {"access_type": "public"},
        "deployment_config": {"deployment_type": "server_based", "config": {}},
    }
    app = eventually("the App is made", lambda: curl(f"{url}/v1/apps", manifest_sent).get("data"))
    assert re.fullmatch(r"http://told\.demo\.localhost:\d+", app["hostname"])
    expected = 'v1: thank you, we will answer "Who is there?" by tomorrow'
    eventually("it answers", lambda: curl(app["hostname"], {"input": {"question": "Who is there?"}}).get("answer") == expected)
    assert curl(f"{url}/v1/apps/{app['id']}")["data"]["hostname"] == app["hostname"]
    kubectl("delete", "app", "told", namespace="demo")  # what follows shows every App of the namespace


@pytest.mark.parametrize("document", documents.SESSIONS)
def test_every_command_of_a_document_prints_the_shown_output(demo_run: tuple[Cluster, str], document: str) -> None:
    cluster = demo_run[0]
    assert cluster.real_pods, (
        "the pods of this machine are simulated, and nothing answers the document's calls: be root on Linux, or start Docker"
    )
    wrong = {}
    for step, output in documents.run(REPOSITORY / document, cluster.env | SHORT_LIVED, REPOSITORY):
        if lines := documents.missing(step, output):
            wrong[step.command] = f"shows {lines}, and it said:\n{output}"
    assert not wrong, "\n".join(f"{command} {problem}" for command, problem in wrong.items())
