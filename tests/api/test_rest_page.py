"""The examples of the product's page "Deployment History & Rollback", with base URL, ids and token replaced and nothing else.

They lie in `page/` as the page has them; our copy of it had lost the leading white space of lines, of which Python needs one.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.clusters import Cluster
from tests.support import rest_rehearsal
from tests.support.rest_rehearsal import Rehearsal

PAGE = Path(__file__).parent / "page"
BASE = "https://api.getdynamiq.ai"
TOKEN = "DYNAMIQ_PERSONAL_ACCESS_TOKEN"
ENDS_WITHIN = 120.0  # seconds


def needed(program: str, package: str) -> str:
    """Where a program of the examples is. Raises AssertionError saying what to install."""
    found = shutil.which(program)
    assert found, (
        f"the page's examples need {program}, which is not on the PATH: install it, on Debian and Ubuntu apt-get install {package}"
    )
    return found


@dataclass(frozen=True)
class Page:
    """Runs an example as a reader does who has put in what is theirs."""

    at: Rehearsal

    def run(self, example: str, program: list[str], ids: Mapping[str, str]) -> str:
        """What it prints. Raises AssertionError where it fails."""
        text = (PAGE / example).read_text()
        for placeholder, given in {BASE: self.at.url, **ids}.items():
            assert placeholder in text
            text = text.replace(placeholder, given)
        environment = rest_rehearsal.environment(**{TOKEN: self.at.token})
        done = subprocess.run(program, input=text, env=environment, capture_output=True, text=True, timeout=ENDS_WITHIN, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def page(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with rest_rehearsal.rehearsal(cluster, account, tmp_path_factory.mktemp("page"), "page") as made:
        yield Page(made)


@pytest.fixture(scope="module")
def app(page: Page) -> str:
    """The id of an App that ran v1, and runs v2."""
    made = page.at.new_app("Customer support")
    page.at.deploy(made, "v2", message="Routes questions")
    return made


def history(page: Page, app: str) -> list[dict[str, Any]]:
    rows = page.at.history(app)
    assert len(rows) >= 2
    return rows


def test_history_by_curl(page: Page, app: str) -> None:
    needed("curl", "curl")
    printed = json.loads(page.run("history.curl", ["sh"], {"<your-app-id>": app}))
    assert printed["data"] == history(page, app)
    assert printed["pagination"]["total_count"] == len(printed["data"])


def test_history_by_python(page: Page, app: str) -> None:
    printed = page.run("history.python", [sys.executable, "-"], {"<your-app-id>": app})
    assert [ast.literal_eval(line) for line in printed.splitlines()] == history(page, app)


def test_history_by_javascript(page: Page, app: str) -> None:
    node = needed("node", "nodejs, version 18 or newer")
    printed = page.run("history.javascript", [node, "--input-type=module", "-"], {"<your-app-id>": app})
    # It prints objects in node's own way, the deepest as [Object]: what node prints of the same rows has to be the same.
    program = "console.log(JSON.parse(require('fs').readFileSync(0)))"
    expected = subprocess.run([node, "-e", program], input=json.dumps(history(page, app)), capture_output=True, text=True, check=True)
    assert printed == expected.stdout
    assert all(f"id: '{row['id']}'" in printed for row in history(page, app))


def test_rollback_by_curl(page: Page, app: str) -> None:
    needed("curl", "curl")
    before, ids = history(page, app), page.at.ids
    newest, first = before[0], before[-1]
    assert (newest["workflow_version"]["version"], first["workflow_version"]["version"]) == ("v2", "v1")
    given = {
        "<your-app-id>": app,
        "<workflow-id>": ids["workflow"],
        "<older-workflow-version-id>": first["workflow_version_id"],
        "<runtime-id>": first["runtime_id"],
    }
    made = json.loads(page.run("rollback.curl", ["sh"], given))["data"]
    page.at.until_live(app, made["id"])
    newest, *others = history(page, app)
    assert newest["id"] == made["id"]
    assert (newest["status"], newest["workflow_version"]["version"], newest["sequence"]) == ("Live", "v1", before[0]["sequence"] + 1)
    assert newest["deployment_config"] == before[0]["deployment_config"], "what is left out keeps what is live"
    assert [row["id"] for row in others] == [row["id"] for row in before]
    assert others[0]["status"] == "Superseded"
