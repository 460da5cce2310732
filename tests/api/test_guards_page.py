"""The commands of docs/guards.md, each run by the person and with the roles that the page names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from tests.support import rest
from tests.support.api import Manifest
from tests.support.cluster import COMMAND_TIMEOUT, REPOSITORY
from tests.support.commands import blocks
from tests.support.history_stage import APP as WORKFLOW
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

GUARDS = REPOSITORY / "docs" / "guards.md"
EXAMPLE = REPOSITORY / "examples" / "guards" / "production.yaml"
WAITS = 3
"""Exit code of a deploy that waits, and of a check that finds that a deploy would wait."""


@dataclass(frozen=True)
class Page:
    """The page with an App of the test. `folder`: for kubeconfigs of the people, whom an administrator impersonates."""

    on: HistoryStage
    app: str
    folder: Path

    def run(self, person: str, begins: str, *, code: int = 0) -> str:
        """Runs the block that begins with `begins` as this person, line by line, and returns its output. `code`: of its first line."""
        (block,) = [each for each in blocks(GUARDS) if each.startswith(begins)]
        return "".join(self.line(person, line, code if place == 0 else 0) for place, line in enumerate(block.splitlines()))

    def line(self, person: str, line: str, code: int = 0) -> str:
        line = line.replace("-n demo", f"-n {self.on.namespace}").replace("namespace demo", f"namespace {self.on.namespace}")
        line = line.replace(" support ", f" {self.app} ")
        path = os.pathsep.join([str(Path(sys.executable).parent), str(self.on.cluster.kubectl.parent), os.environ["PATH"]])
        env = os.environ | {"PATH": path, "KUBECONFIG": str(self._login(person)), "PYTHONPATH": str(REPOSITORY / "operator")}
        done = subprocess.run(
            ["bash", "-c", line], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
        assert done.returncode == code, f"{person}: {line}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _login(self, person: str) -> Path:
        if not person:
            return self.on.cluster.kubeconfig
        content = yaml.safe_load(self.on.cluster.kubeconfig.read_text())
        content["users"][0]["user"]["as"] = f"{person}@example.com"
        path = self.folder / f"{person}.kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path

    def waiting(self) -> dict[str, str]:
        """Returns the reasons of the waiting rows, by version."""
        rows = self.on.rows(self.app)
        return {
            row["spec"]["pinned"]["workflowVersion"]: row["status"]["waits"]["reason"]
            for row in rows
            if "outcome" not in row["spec"] and row.get("status", {}).get("waits")
        }

    def policy(self, **spec: object) -> None:
        """Creates the page's DeployPolicy from the example, with these fields replaced."""
        self.without_policy()  # the weekend's freeze belongs to the page's kubectl, so an apply of another manager would keep it
        made = yaml.safe_load(EXAMPLE.read_text())
        made["spec"] |= spec
        made["spec"]["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": self.on.namespace}}
        assert self.on.api.create(made).ok

    def without_policy(self) -> None:
        assert self.on.api.delete(self.on.named(kinds.DEPLOY_POLICY.kind, "production")).status in (200, 404)

    def until_ends(self, version: str, result: str) -> str:
        """Deploys a version until one of its rows ends with `result`, and returns the reason."""

        # The operator may see a rejection of the version only after the first row.
        def ended() -> Manifest | None:
            row = self.on.deploy(self.app, version)
            found: Manifest = eventually(f"row {row} has ended", lambda: self.on.row(row)["spec"].get("outcome"))
            return found if found["result"] == result else None

        return str(eventually(f"a row of {version} ends: {result}", ended)["reason"])

    def until_told(self, *reasons: str) -> None:
        """Waits until the App's status lists exactly these reasons for which a manual deploy would wait."""

        def told() -> bool:
            guards = self.on.get("App", self.app).get("status", {}).get("guards") or []
            return [each["reason"] for each in guards if "Deploy" in each["appliesTo"]] == list(reasons)

        eventually(f"a deploy would wait for {reasons}", told)


@pytest.fixture
def page(module_stage: HistoryStage, app: str, tmp_path: Path) -> Iterator[Page]:
    """Yields the page with its App: v1 is live, and Anna may edit."""
    module_stage.app(app, workflow=WORKFLOW)
    module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    for person, role in (("anna", "edit"), ("dora", "dynamiq-deployer")):
        rest.bind_user(module_stage.api, f"{person}@example.com", module_stage.namespace, role)
    made = Page(module_stage, app, tmp_path)
    yield made
    made.without_policy()


def test_production_with_one_approval_a_night_on_call_and_a_rejected_version(page: Page) -> None:
    on = page.on
    assert "it would not wait" in page.run("anna", "kubectl dynamiq policy check")
    page.run("", "kubectl label --overwrite namespace demo")
    rest.until_granted(on.api, "bert@example.com", on.namespace, "dynamiq-approver")
    page.policy(freezes=[])  # as on a Tuesday, whenever the test runs
    page.until_told("AwaitingApproval")
    page.run("anna", 'kubectl dynamiq deploy support -n demo --version v2 -m "Answers in French"', code=WAITS)
    assert page.waiting() == {"v2": "AwaitingApproval"}
    assert "v2" in page.run("bert", "kubectl dynamiq approve")
    on.until_served("v2", page.app)
    assert on.rows(page.app)[-1]["spec"]["released"]["by"] == ["bert@example.com"]

    made = on.api.acting_as("anna@example.com").create(_row(page, workflowVersion="v3"))
    assert made.ok, made.message
    eventually("it waits", lambda: page.waiting() == {"v3": "AwaitingApproval"})
    page.run("bert", "kubectl dynamiq reject support")
    rejected = eventually("it ended", lambda: on.rows(page.app)[-1]["spec"].get("outcome"))
    assert "bert@example.com" in rejected["reason"]
    assert "Not before the fair" in rejected["reason"]

    page.run("", "kubectl create rolebinding on-call")
    rest.until_granted(on.api, "carl@example.com", on.namespace, "dynamiq-on-call")
    assert "DEPLOYABLE" in page.run("carl", "kubectl dynamiq history support -n demo -o wide")
    on.until_served("v1", page.app)

    page.without_policy()
    page.until_told()
    assert "loses invoices" in page.run("bert", "kubectl dynamiq reject-version support v2 -n demo -m")
    assert "was rejected by bert@example.com: loses invoices" in page.until_ends("v2", "Failed")
    page.run("bert", "kubectl dynamiq reject-version support v2 -n demo --withdraw")
    page.until_ends("v2", "Succeeded")


def test_held_and_suspended_rows_are_admitted_by_a_command_or_a_bypass_with_a_reason(page: Page) -> None:
    on = page.on
    on.change("App", page.app, spec={"deploy": {"workflowVersion": "v2"}})
    on.until_served("v2", page.app)
    on.live(page.app, restores=on.rows(page.app)[0]["metadata"]["name"])
    on.change("App", page.app, spec={"deploy": {"workflowVersion": "v3"}})
    eventually("it is held", lambda: page.waiting() == {"v3": "Held"})
    page.run("anna", "kubectl dynamiq resume")
    on.until_served("v3", page.app)

    (suspend, off) = next(each for each in blocks(GUARDS) if each.startswith("kubectl dynamiq suspend")).splitlines()
    assert "--off" in off
    page.line("anna", suspend)
    page.until_told("Suspended")
    row = on.deploy(page.app, "v2")
    eventually("it waits", lambda: page.waiting() == {"v2": "Suspended"})
    page.line("anna", off)
    on.until(row, "Live")

    page.policy(freezes=[{"name": "now", "from": "2026-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}])
    page.until_told("Frozen", "AwaitingApproval")
    page.run("", "kubectl create rolebinding break-glass")
    rest.until_granted(on.api, "dora@example.com", on.namespace, "dynamiq-bypass")
    page.run("dora", "kubectl dynamiq deploy support -n demo --version v3 --bypass")
    on.until_served("v3", page.app)
    assert on.rows(page.app)[-1]["spec"]["bypass"] == {"reason": "INC-4711: v2 answers nobody"}


def _row(page: Page, **asked: object) -> Manifest:
    meta = {"generateName": f"{page.app}-"[:30], "namespace": page.on.namespace}
    return {"apiVersion": API_VERSION, "kind": kinds.ROW.kind, "metadata": meta, "spec": {"app": page.app, **asked}}
