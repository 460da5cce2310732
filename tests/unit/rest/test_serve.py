"""The API as a process: it serves over a socket, is ready once everything was listed, and ends well on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.kube.id_index import INDEXED
from dynamiq_operator.rest.serve import Options, serve
from tests.support.rest_stage import table
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, kubeconfig, listed


@pytest.fixture
def signals() -> Iterator[None]:
    """`serve` handles the signals of its process."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("signals")
def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    over = threading.Event()

    def watch(_: Sent) -> Reply:
        return Reply(stream=(None for _ in iter(over.wait, True)))

    script = Script()
    for resource in INDEXED:
        script.on("GET", resource.path(), table([]) if resource.kind == RECORDS.kind else listed()).on(
            "GET", resource.path(), watch, query={"watch": "1"}
        )
    answered: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def ask() -> None:
        retries = urllib3.Retry(total=100, backoff_factor=0.1, backoff_max=0.1, status_forcelist=[503], raise_on_status=False)
        try:
            answered.append(urllib3.PoolManager().request("GET", f"http://127.0.0.1:{port}/readyz", retries=retries).status)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ScriptedServer(script) as server:
        file = tmp_path / "config"
        file.write_text(json.dumps(kubeconfig(server)))
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            with pytest.raises(SystemExit) as ended:
                serve(Options(Settings(), "127.0.0.1", port, file))
        finally:
            over.set()
            asking.join()
    assert answered == [200]
    assert ended.value.code == 0
