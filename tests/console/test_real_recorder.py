"""The console over a real recorder on SQLite: the pages show the runs that were sent, as far as the reader may see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from dynamiq_operator.model import kinds
from dynamiq_operator.model.runs import APP_ID_HEADER
from local.clusters import Cluster
from tests.support import factories, programs, rest
from tests.support.browser import names, served
from tests.support.browser.chromium import Places
from tests.support.browser.pages import Windows, settled, sign_in
from tests.support.browser.served import Served, User
from tests.support.history_stage import APP, HistoryStage
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.ports import free_port
from tests.support.waiting import eventually

RUNS, FAILED = 40, 5
ORIGIN = f"https://{names.REPLICA}"


@pytest.fixture(scope="module")
def recorder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yields the address of a recorder that asks the cluster for the rights of its callers."""
    folder, port = tmp_path_factory.mktemp("recorder"), free_port()
    url = f"http://127.0.0.1:{port}"
    ports = [f"--port={port}", f"--health-port={free_port()}", f"--metrics-port={free_port()}"]
    options = ["--host=127.0.0.1", *ports, f"--store=sqlite://{folder}/runs.db"]
    log = folder / "log"
    process = programs.fork("dynamiq_recorder", "serve", *options, f"--kubeconfig={cluster.kubeconfig}", log=log)
    with programs.beside(process, "the recorder", log, lambda: is_ready(url)):
        yield url


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


@pytest.fixture(scope="module")
def recorded(recorder: str, stage: HistoryStage) -> tuple[str, list[str]]:
    """Returns an App and the ids of its runs, sent by an account that may write them."""
    stage.app("sent", factories.public(), workflow=APP)
    app = rest.uid(stage.api, kinds.APP.kind, "sent", stage.namespace)
    token = rest.account(stage.api, stage.namespace, "run-writer", "dynamiq-run-writer")
    runs = [
        a_run(seq=seq, outcome="failed" if seq <= FAILED else "succeeded", session__id=f"talk-{seq % 4}", user__id="anna", content=True)
        for seq in range(1, RUNS + 1)
    ]
    headers = {"Authorization": f"Bearer {token}", APP_ID_HEADER: app}

    def is_taken() -> bool:
        return requests.post(f"{recorder}/v1/traces", json=request(*runs), headers=headers, timeout=60).ok

    eventually("the runs are taken", is_taken)
    return app, [run_id_of(run) for run in runs]


@pytest.fixture(scope="module")
def console_of_it(
    console: Served, login: Path, places: Places, recorder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    with served.serving(login, tmp_path_factory.mktemp("api"), places, names.REPLICA, "--recorder", recorder) as made:
        yield made


def test_the_pages_show_the_sent_runs(
    console_of_it: Served, recorded: tuple[str, list[str]], windows: Windows, users: dict[str, User]
) -> None:
    app, ids = recorded
    window = windows.open(origin=ORIGIN)
    window.goto("/console/sign-in")
    sign_in(window, users["admin"].token)
    page = window.goto(f"/console/apps/{app}/runs?status=failed")
    expect(page.get_by_role("heading", name=re.compile("^Runs")).get_by_role("status")).to_have_text(f"{FAILED} runs")
    page.goto(f"{ORIGIN}/console/apps/{app}/runs/{ids[0]}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("table", name="Nodes").get_by_role("rowheader")).to_contain_text(["Node 0", "Node 1"])
    expect(dialog.get_by_text("120 tokens in", exact=False).or_(dialog.get_by_text("100 tokens in", exact=False))).to_be_visible()
    dialog.get_by_role("button", name="Bad").click()
    expect(dialog.get_by_role("listitem")).to_contain_text("Bad")
    page.goto(f"{ORIGIN}/console/apps/{app}/monitoring")
    settled(page)
    expect(page.get_by_role("definition").first).to_have_text(str(RUNS))


def test_a_user_who_may_not_read_contents_sees_the_run_without_them(
    console_of_it: Served, recorded: tuple[str, list[str]], windows: Windows, users: dict[str, User]
) -> None:
    app, ids = recorded
    window = windows.open(origin=ORIGIN)
    window.goto("/console/sign-in")
    sign_in(window, users["viewer"].token)
    page = window.goto(f"/console/apps/{app}/runs/{ids[-1]}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("table", name="Nodes")).to_be_visible()
    expect(dialog.get_by_role("button", name="Delete…")).to_have_attribute("aria-disabled", "true")
