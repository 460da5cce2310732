"""The recorder's work beside requests: its disk, old data, rows that arrive later, changing prices and options."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Row
from dynamiq_recorder import model, options, upkeep
from dynamiq_recorder.__main__ import main
from dynamiq_recorder.model import NO_TOKENS, Tokens, Wholeness
from dynamiq_recorder.row_feed import row_of
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.results import Retention
from dynamiq_recorder.table import PriceFile
from local.pki import Authority
from tests.support import stored_runs
from tests.support.cluster import REPOSITORY
from tests.support.factories import CONFIG, a_runtime, live, progressing, row_manifest, with_image, with_meta
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorder_stage import APP, APP_UID, NAMESPACE, RecorderStage, pod_of
from tests.support.waiting import IN_TIME, eventually
from tests.unit.recorder.test_committing import Held

OWNER = {"apiVersion": API_VERSION, "kind": "App", "name": "chat", "uid": APP_UID, "controller": True}


def a_row(name: str, *modifiers: Any, owner: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns a row of the stage's App that was pinned before any test."""
    owners = with_meta(ownerReferences=[owner or OWNER], namespace=NAMESPACE, uid=f"uid-of-{name}", resourceVersion="450")
    return row_manifest(name, *modifiers, owners)


def pins_of(raw: dict[str, Any]) -> str:
    found = Row.of(raw).pinned
    assert found is not None
    return Pins.of(found).digest


def test_a_row_of_a_record() -> None:
    raw = a_row("chat-1", live(3, "v2"))
    row = row_of(raw, lambda namespace, app: APP_UID if (namespace, app) == (NAMESPACE, "chat") else None)
    assert row is not None
    assert (row.uid, row.app_uid, row.sequence, row.workflow_version) == ("uid-of-chat-1", APP_UID, 3, "v2")
    assert (row.pins, row.succeeded) == (pins_of(raw), True)
    assert row.ended is not None
    assert row.ended >= row.began


@pytest.mark.parametrize(
    "raw",
    [
        a_row("a"),  # the operator has not completed it
        a_row("a", live(1), owner={**OWNER, "uid": "another-app"}),
        a_row("a", live(1)) | {"spec": {**a_row("a", live(1))["spec"], "pinned": {"runtime": 5}}},
        a_row("a", live(1)) | {"spec": {**a_row("a", live(1))["spec"], "app": "unknown"}},
    ],
)
def test_an_object_that_is_no_row_of_an_app_is_ignored(raw: dict[str, Any]) -> None:
    assert row_of(raw, lambda _, app: APP_UID if app == "chat" else None) is None


def test_rows_are_a_pair_by_flow_and_runtime_whatever_their_pods_take() -> None:
    def read(*modifiers: Any) -> model.Row:
        found = row_of(a_row("a", *modifiers), lambda *_: APP_UID)
        assert found is not None
        return found

    row = read(live(1))

    assert row.is_pair_of(read(live(2, config={**CONFIG, "resources": {"requests": {"cpu": "2"}}})))
    assert not row.is_pair_of(read(live(2, "v2")))
    assert not row.is_pair_of(read(live(2, runtime=a_runtime(with_image("other:1")))))
    assert row.is_pair_of(msgspec.structs.replace(row, pair=None))
    assert not row.is_pair_of(msgspec.structs.replace(row, pair=None, pins="f" * 16))


def test_a_row_that_is_under_way_has_not_succeeded_yet() -> None:
    row = row_of(a_row("a", progressing(1)), lambda *_: APP_UID)
    assert row is not None
    assert (row.succeeded, row.ended) == (None, None)


def test_runs_get_their_row_at_once_or_when_it_comes(stage: RecorderStage) -> None:
    first, second = a_row("chat-1", live(1, "v1")), a_row("chat-2", progressing(2, "v2"))
    for raw, path in pod_of(NAMESPACE, "chat-1", "pod-uid-1", "chat", APP_UID, pins_of(first))[:1]:
        stage.script.on("GET", path, raw)
    stage.rows.append(first)
    stage.start()
    run = a_run()
    stage.record(run)
    found = stage.get(f"/v1/runs/{run_id_of(run)}")
    assert (found["deployment_id"], found["sequence"]) == ("uid-of-chat-1", 1)
    assert stage.get(f"/v1/apps/{APP_UID}/metrics?group_by=deployment")["series"][0]["sequence"] == 1
    stage.users["later"] = {
        **stage.users["pod-token"],
        "extra": {"authentication.kubernetes.io/pod-name": ["chat-3"], "authentication.kubernetes.io/pod-uid": ["pod-uid-3"]},
    }
    for raw, path in pod_of(NAMESPACE, "chat-3", "pod-uid-3", "chat", APP_UID, pins_of(second))[:1]:
        stage.script.on("GET", path, raw)
    late = a_run()
    assert stage.send(request(late, instance="another"), "later").status_code == 200
    assert stage.get(f"/v1/runs/{run_id_of(late)}")["deployment_id"] is None
    stage.put("deployments", second)
    eventually("the run moves to its row", lambda: stage.get(f"/v1/runs/{run_id_of(late)}")["sequence"] == 2)
    assert stage.metrics()["dynamiq_recorder_runs_attributed_later_total"] == 1


def test_the_recorded_content_follows_the_app(stage: RecorderStage) -> None:
    stage.start()
    before, after = a_run(content=True), a_run(content=True, seq=2)
    stage.record(before)
    app = {**stage.apps[0], "spec": {"workflow": "chat", "runs": {"content": False}}}
    stage.put("apps", app)

    def forgets() -> bool:
        stage.record(after)
        return bool(stage.get(f"/v1/runs/{run_id_of(after)}?include=content")["content"] == "not_recorded")

    def tries() -> bool:
        nonlocal after
        after = a_run(content=True, seq=2)
        return forgets()

    eventually("what comes now is not kept", tries)
    assert stage.get(f"/v1/runs/{run_id_of(before)}?include=content")["input"] == {"q": "hi"}


def test_a_recorder_is_ready_once_rows_were_read_and_while_it_can_write(stage: RecorderStage) -> None:
    stage.is_away = True
    store = Held(opened(stage.store_url))
    store.go.set()
    stage.start(store=store, ready=False)
    eventually("it says what it waits for", lambda: "not read yet" in stage.session.get(f"{stage.url}/readyz", timeout=IN_TIME).text)
    assert stage.session.get(f"{stage.url}/healthz", timeout=IN_TIME).status_code == 200
    assert stage.send(request(a_run())).status_code == 503, "nobody is refused whom it cannot know"
    stage.is_away = False
    eventually("it is ready", lambda: stage.session.get(f"{stage.url}/readyz", timeout=IN_TIME).status_code == 200)
    assert stage.metrics()["dynamiq_recorder_store_ready"] == 1


@pytest.mark.parametrize("fullness", [0.5, None])
def test_an_unknown_fullness_of_the_disk_is_no_metric(stage: RecorderStage, fullness: float | None) -> None:
    class Somewhere(Held):
        def fullness(self) -> float | None:
            return fullness

    store = Somewhere(opened(stage.store_url))
    store.go.set()
    stage.start(store=store)
    eventually("it has looked", lambda: stage.metrics()["dynamiq_recorder_store_ready"] == 1)
    assert stage.metrics().get("dynamiq_recorder_store_fullness") == fullness


def test_runs_beyond_the_retention_are_deleted_and_their_deletion_is_a_metric(stage: RecorderStage) -> None:
    old, new = stored_runs.a_run(app_uid=APP_UID, started_at=time.time_ns() // 1000 - 7200 * 10**6), a_run(seq=2)
    store = opened(stage.store_url)
    store.write([stored_runs.batch(old)])
    stage.start(store=store, keep=Retention(runs=3600), retains_every=0.2)
    stage.record(new)
    eventually("the old one is gone", lambda: stage.call("GET", f"/v1/runs/{old.id}").status_code == 404)
    assert stage.call("GET", f"/v1/runs/{run_id_of(new)}").status_code == 200
    eventually("it is told", lambda: stage.metrics()["dynamiq_recorder_retention_last_success_timestamp_seconds"] > 0)


def test_runs_older_than_the_retention_are_refused_each_time(stage: RecorderStage) -> None:
    stage.start(keep=Retention(runs=3600))
    old, new = (a_run(began=time.time_ns() - round(hours * 3600) * 10**9, seq=2) for hours in (2, 0.5))
    for _ in range(2):
        result = stage.send(request(old, new)).json()["partialSuccess"]
        assert (result["rejectedSpans"], "longer ago than runs are kept" in result["errorMessage"]) == ("3", True)
    series = stage.get(f"/v1/apps/{APP_UID}/metrics")["series"]
    assert sum(each["total"]["runs"] for each in series) == 1


def test_metrics_of_an_app_end_with_its_deletion(stage: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOKS_EVERY", 0.05)
    monkeypatch.setattr(upkeep, "COUNTS_EVERY", 0.05)
    stage.start()
    stage.record(a_run())
    of_app = f'{{app="{APP}",namespace="{NAMESPACE}"}}'
    names = {f"dynamiq_recorder_{what}_runs{of_app}" for what in ("lost", "unattributed")}
    eventually("the App is there", lambda: names <= stage.metrics().keys())
    stage.put("apps", stage.apps[0], "DELETED")
    eventually("it is gone", lambda: not names & stage.metrics().keys())


def test_metrics_follow_an_app_whose_runs_go_to_another_recorder_now(stage: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOKS_EVERY", 0.05)
    monkeypatch.setattr(upkeep, "COUNTS_EVERY", 0.05)
    missing = 0

    class Shared(Held):
        def wholeness(self, app_uid: str, alive: Sequence[str] = ()) -> Wholeness:
            return msgspec.structs.replace(super().wholeness(app_uid, alive), missing=missing)

    store = Shared(opened(stage.store_url))
    store.go.set()
    stage.start(store=store)
    stage.record(a_run())
    lost = f'dynamiq_recorder_lost_runs{{app="{APP}",namespace="{NAMESPACE}"}}'
    eventually("the App is there", lambda: stage.metrics().get(lost) == 0)
    missing = 5
    eventually("it is counted again, without a run of it", lambda: stage.metrics()[lost] == 5)


def test_prices_are_read_again_and_one_that_is_wrong_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    tokens = Tokens(input=1_000_000)
    prices = PriceFile(file)
    assert prices.cost("m", tokens, 0) == (None, None)
    for text, cost in (("[{model: m, input: 2, output: 0}]", 2), ("[{model: m, input: 3, output: 0}]", 3), ("{{{", 3), ("[{model: m}]", 3)):
        file.write_text(text)
        prices.read()
        assert prices.cost("m", tokens, 0)[0] == cost * 10**9
    assert prices.cost(None, NO_TOKENS, 0, 0.5)[0] == 500_000_000


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str]]]:
    """Returns a function that runs the program, and returns its exit code and all its output. Logging is restored after the test."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn.error")
    handlers, levels = root.handlers[:], (root.level, uvicorn.level)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["dynamiq_recorder", *arguments])
        try:
            code = main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        return code, "".join(capsys.readouterr())

    yield run
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    uvicorn.setLevel(levels[1])


def test_help_teaches(ran: Callable[..., tuple[int, str]]) -> None:
    code, output = ran("serve", "--help")
    assert code == 0
    for word in ("sqlite:///", "postgresql://", "DYNAMIQ_RECORDER_KEEP_RUNS", "POST /v1/traces", "exit codes"):
        assert word in output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["serve"], 2, "--store is missing"),
        (["serve", "--store", "mysql://user:hunter2@host/db"], 1, "cannot be used"),
        (["serve", "--store", "sqlite:///dev/null/runs.db"], 1, "cannot be used"),
        (["serve", "--store", "sqlite:///tmp/x.db", "--tls-cert", "a"], 2, "or neither"),
        (["serve", "--store", "sqlite:///tmp/x.db", "--port", "0"], 2, "port"),
        (["serve", "--store", "sqlite:///tmp/x.db", "--keep-runs", "-1"], 2, "days"),
        (["serve", "--store", "sqlite:///tmp/x.db", "--disk-full", "0.5"], 2, "at most"),
        (["serve", "--store", "sqlite:///tmp/x.db", "--disk-full", "95"], 2, "from 0 to 1"),
    ],
)
def test_options_that_are_wrong(ran: Callable[..., tuple[int, str]], arguments: list[str], code: int, says: str) -> None:
    ended, output = ran(*arguments)
    assert ended == code, output
    assert says in output
    assert "hunter2" not in output
    assert "Traceback" not in output


def test_an_invalid_kubeconfig_is_reported(ran: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, output = ran("serve", "--store", f"sqlite://{tmp_path}/runs.db", "--kubeconfig", "/dev/null")
    assert code == 1
    assert "configuration cannot be read" in output
    assert "Traceback" not in output


def test_a_password_is_read_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    url = options.with_password("postgresql://recorder:old@db.example:5432/runs?sslmode=require", file)
    assert url == "postgresql://recorder:p%40ss%2Fword@db.example:5432/runs?sslmode=require"
    assert options.without_password(url) == "postgresql://recorder@db.example:5432/runs"


def test_a_used_port_is_reported(stage: RecorderStage) -> None:
    """The program runs as its own process, because it starts to serve and handles signals."""
    stage.start()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "operator"), "KUBECONFIG": str(stage.folder / "kubeconfig.yaml")}
    store, port = f"sqlite://{stage.folder}/other.db", str(stage.port)
    command = [sys.executable, "-m", "dynamiq_recorder", "serve", "--store", store, "--host", "127.0.0.1", "--port", port]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=IN_TIME)
    assert done.returncode == 1
    assert "taken" in done.stderr or "in use" in done.stderr


def test_https_with_a_certificate_of_ones_own(stage: RecorderStage) -> None:
    authority = Authority("the tests' own")
    authority.pair.write(stage.folder, "ca")
    authority.issue("recorder", hosts=["127.0.0.1"]).write(stage.folder, "tls")
    stage.url = f"https://127.0.0.1:{stage.port}"
    stage.session.verify = str(stage.folder / "ca.crt")
    stage.start(tls=(stage.folder / "tls.crt", stage.folder / "tls.key"))
    stage.record(a_run())
