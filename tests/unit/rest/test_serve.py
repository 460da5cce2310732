"""The API as a process: it serves over a socket, is ready once everything was listed, and ends cleanly on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from dynamiq_operator.kube.exposition import PortTaken
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest import serve as serving
from dynamiq_operator.rest.http import sessions
from dynamiq_operator.rest.kube.id_index import INDEXED
from dynamiq_operator.rest.serve import ApiOptions, serve
from tests.support import factories as make
from tests.support.ports import free_port
from tests.support.rest_stage import ANNA, of_user, table
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, kubeconfig, listed
from tests.support.waiting import IN_TIME


@pytest.fixture
def signals() -> Iterator[None]:
    """Restores the signal handlers of this process, which `serve` replaces."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


PATIENCE = IN_TIME


def _serve(tmp_path: Path, script: Script, ask: Callable[[str, Callable[[], None]], None], metrics_port: int | None = None) -> int:
    """Runs a server over a scripted API server, and returns its exit code.

    `ask` gets its URL once it is ready, and a function that stops it. After `ask` it is stopped in any case.
    """
    over, stopped = threading.Event(), threading.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            os.kill(os.getpid(), signal.SIGTERM)

    def watch(_: Sent) -> Reply:
        return Reply(stream=(None for _ in iter(over.wait, True)))

    for resource in INDEXED:
        script.on("GET", resource.path(), watch, query={"watch": "true"})
    url = f"http://127.0.0.1:{free_port()}"

    def ask_once_ready() -> None:
        retries = urllib3.Retry(total=600, backoff_factor=0.1, backoff_max=0.1, status_forcelist=[503], raise_on_status=False)
        try:
            assert urllib3.PoolManager().request("GET", f"{url}/readyz", retries=retries).status == 200
            ask(url, stop)
        finally:
            stop()

    with ScriptedServer(script) as server, ThreadPoolExecutor(1) as pool:
        file = tmp_path / "config"
        file.write_text(json.dumps(kubeconfig(server)))
        asking = pool.submit(ask_once_ready)
        try:
            with pytest.raises(SystemExit) as ended:
                serve(ApiOptions(Settings(), "127.0.0.1", int(url.rpartition(":")[2]), file, metrics_port=metrics_port))
        finally:
            over.set()
        asking.result(PATIENCE)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _empty() -> Script:
    script = Script()
    for resource in INDEXED:
        script.on("GET", resource.path(), table([]) if resource.kind == ROWS.kind else listed())
    return script


@pytest.mark.usefixtures("signals")
def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    assert _serve(tmp_path, _empty(), lambda *_: None) == 0


@pytest.mark.usefixtures("signals")
def test_sigterm_ends_streams_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "DRAIN", 3600)  # where anybody waited for it, it would not end
    app = make.stored(make.app_manifest())
    script = _empty().on("GET", APPS.path(), listed(app)).on("GET", APPS.path("demo", "chat"), app)
    script.on("POST", sessions.REVIEWS, of_user(ANNA))
    answers = []

    def stream(url: str, stop: Callable[[], None]) -> None:
        path = f"{url}/v1/apps/{app['metadata']['uid']}/watch"
        answer = urllib3.PoolManager().request("GET", path, headers={"Authorization": "Bearer any"}, preload_content=False)
        for piece in answer.stream(4096):
            answers.append(piece)
            if piece == b"event: ready\ndata: {}\n\n":
                stop()

    assert _serve(tmp_path, script, stream) == 0
    assert answers == [b"event: ready\ndata: {}\n\n", b"event: ending\ndata: {}\n\n"]


@pytest.mark.usefixtures("signals")
def test_metrics_are_read_without_a_token_at_a_port_of_their_own_alone(tmp_path: Path) -> None:
    port = free_port()
    answers: list[urllib3.BaseHTTPResponse] = []

    def scrape(url: str, _: Callable[[], None]) -> None:
        pool = urllib3.PoolManager()
        answers.extend(pool.request("GET", f"{at}/metrics") for at in (url, f"http://127.0.0.1:{port}"))

    assert _serve(tmp_path, _empty(), scrape, port) == 0
    public, metrics = answers
    assert public.status == 401
    assert (metrics.status, metrics.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert b'dynamiq_api_requests_total{code="401",method="GET",route="-"} 1.0' in metrics.data


@pytest.mark.usefixtures("signals")
def test_a_used_port_of_metrics_is_an_error_before_anything_is_served(tmp_path: Path) -> None:
    file = tmp_path / "config"
    with ScriptedServer(_empty()) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        file.write_text(json.dumps(kubeconfig(server)))
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} of /metrics"):
            serve(ApiOptions(Settings(), "127.0.0.1", 0, file, metrics_port=port))
