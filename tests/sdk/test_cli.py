"""The product's own command line, unmodified: each of its commands that reaches an App's hostname."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.sdk.conftest import PYTHON
from tests.support.runs_contract import KEY, READS, SESSION
from tests.support.runtime import DEADLINE, Served, serving
from tests.support.scripted import Reply, Script, ScriptedServer

REFUSED = {
    "requirements": ([SESSION], "GET /v1/requirements"),
    "requirements-status": ([SESSION, "ada"], "GET /v1/requirements/status"),
    "connect-token": ([SESSION, "ada"], "POST /v1/connect/tokens"),
    "disconnect": ([SESSION, SESSION, "ada", "--yes"], "DELETE /v1/requirements/{id}/connections"),
}
"""Commands whose calls later versions serve, with their arguments and what the refusal names."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "keys").mkdir()
    (folder / "keys" / "default").write_text(KEY)
    with serving(folder, READS, DYNAMIQ_ACCESS_KEYS_DIR=str(folder / "keys")) as app:
        yield app


def called(served: Served, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the App with a management API that knows only its hostname."""
    script = Script()
    script.on("GET", f"/v1/apps/{SESSION}", Reply(body={"data": {"id": SESSION, "hostname": f"http://127.0.0.1:{served.port}"}}))
    with ScriptedServer(script) as api:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "DYNAMIQ_API_BASE_URL": api.url, "DYNAMIQ_API_TOKEN": "a-token"}
        command: Sequence[str] = [str(PYTHON.parent / "dynamiq"), "app", *arguments]
        environment |= {"DYNAMIQ_ACCESS_KEY": KEY, "DYNAMIQ_ORG_ID": SESSION, "DYNAMIQ_PROJECT_ID": SESSION}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10 * DEADLINE, check=False)


def test_it_invokes_an_app(served: Served, python: str, tmp_path: Path) -> None:
    done = called(served, tmp_path, "invoke", SESSION, '{"question": "Hello?"}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"result": {"question": "Hello?"}}


@pytest.mark.long("each command loads the whole SDK: the refusals themselves are in tests/sdk/test_contract.py")
@pytest.mark.parametrize("command", REFUSED)
def test_what_is_not_served_is_refused_by_its_name(served: Served, python: str, tmp_path: Path, command: str) -> None:
    arguments, name = REFUSED[command]
    done = called(served, tmp_path, command, *arguments)
    assert (done.returncode, "HTTP 501" in done.stderr, name in done.stderr) == (1, True, True), done.stderr
