"""`kubectl dynamiq verify` over a real operator's history, of the cluster and of an export: any change in a copy names a row."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.cli import export
from dynamiq_operator.views.verdict import check
from tests.support import restores
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage, counted
from tests.support.plugin import Plugin, without_progress
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

DAMAGED = 1000
"""Number of copies in a full run, each damaged in one byte."""


@pytest.fixture
def plugin(stage: HistoryStage, tmp_path: Path) -> Plugin:
    """Returns `kubectl dynamiq` without a default namespace."""
    return Plugin(stage.cluster, "", tmp_path)


def run(plugin: Plugin, *arguments: str) -> tuple[int, str]:
    """Returns the exit code of `verify` and all its output."""
    done = plugin("verify", *arguments)
    return done.returncode, done.stdout + without_progress(done.stderr)


@pytest.fixture(scope="module")
def stage(module_stage: HistoryStage) -> HistoryStage:
    return module_stage


@pytest.fixture(scope="module")
def exported(stage: HistoryStage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes `kubectl get deployments.dynamiq -o yaml` of an App with rows of every kind, and returns the file."""
    stage.apply(stage.declared("v1"))
    stage.until_served("v1", rows=1)
    first = stage.rows(APP)[0]["metadata"]["name"]
    stage.live(APP, "v2", message="a, “quoted” — déjà vu: yes", config={"autoscaling": {"maxReplicas": 3}})
    stage.live(APP, restores=first, row="back")
    stage.until(stage.deploy(APP, row="never", config={"idleSeconds": 9}), "Failed")
    stage.live(APP, "v3", row="newest")
    eventually("the App's settings are recorded", lambda: restores.changes(stage))
    path = tmp_path_factory.mktemp("exported") / "history.yaml"
    path.write_text(stage.kubectl("get", "deployments.dynamiq", "-o", "yaml", namespace=stage.namespace).stdout)
    return path


def test_each_end_has_its_exit_code(stage: HistoryStage, plugin: Plugin, exported: Path, tmp_path: Path) -> None:
    cluster = ("-n", stage.namespace)
    code, text = run(plugin, APP, *cluster)
    assert code == 0, text
    rows, settings = text.splitlines()
    assert "5 rows fit" in rows
    assert "1 record of its settings fits" in settings
    newest = rows.split()[-1]
    assert run(plugin, APP, "--file", str(exported)) == (code, f"{rows}\n")
    both = tmp_path / "both.yaml"
    both.write_text(stage.kubectl("get", "deployments.dynamiq,appchanges", "-o", "yaml", namespace=stage.namespace).stdout)
    assert run(plugin, APP, "--file", str(both), "--expect", settings.split()[-1]) == (code, text)
    assert run(plugin, APP, *cluster, "--expect", newest)[0] == 0
    code, text = run(plugin, APP, *cluster, "--expect", f"sha256:{'0' * 64}")
    assert (code, "no row has the expected digest" in text) == (1, True)
    assert run(plugin, "other", *cluster)[0] == 3
    assert run(plugin, APP, "--file", str(exported), "--expect", "none")[0] == 1
    assert run(plugin, APP, "--file", str(exported), "-n", "elsewhere")[0] == 3
    assert run(plugin, APP, "--file", str(exported), "--kubeconfig", str(tmp_path / "none"))[0] == 0, "no cluster is asked about a file"
    assert run(plugin, APP, "--file", str(tmp_path / "none.yaml"))[0] == 2
    assert run(plugin, APP, "--nonsense")[0] == 2
    assert run(plugin, APP, "--kubeconfig", str(tmp_path / "none"))[0] == 2

    document = yaml.safe_load(exported.read_text())
    document["items"] = [row for row in document["items"] if row["metadata"]["name"] != "back"]
    shorter = tmp_path / "shorter.yaml"
    shorter.write_text(yaml.safe_dump(document))
    code, text = run(plugin, APP, "--file", str(shorter))
    assert (code, "row newest does not fit: it does not follow row" in text) == (1, True)
    document["items"] = [row for row in document["items"] if row["metadata"]["name"] != "newest"]
    shorter.write_text(yaml.safe_dump(document))
    assert run(plugin, APP, "--file", str(shorter), "--expect", newest)[0] == 1


@pytest.mark.full_count
def test_one_byte_changed_anywhere_names_the_row(exported: Path, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    rows = {row["metadata"]["name"]: row["spec"] for row in yaml.safe_load(whole)["items"]}
    newest = max((spec for spec in rows.values() if "pinned" in spec), key=lambda spec: spec["sequence"])["pinned"]["digest"]
    seed = random.SystemRandom().randrange(2**32)
    draw = random.Random(seed)  # noqa: S311 - no secret depends on it
    print(f"seed {seed}")
    counts = {"named": 0, "told by the rows beside it": 0, "no YAML": 0, "no part of the history": 0}
    copy = tmp_path / "copy.yaml"
    for _ in range(counted(DAMAGED)):
        at = draw.randrange(len(whole))
        copy.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(7)]) + whole[at + 1 :])
        counts[_damage(copy, rows, newest)] += 1
    print(f"{counted(DAMAGED)} copies with one byte changed: {counts}")
    assert counts["named"] > counted(DAMAGED) // 10, "most bytes are YAML or metadata; of the rest each names a row"


def _damage(copy: Path, rows: dict[str, Manifest], newest: str) -> str:
    """Returns the effect of the damage on a copy.

    Fails if a row was changed and `verify` names neither it nor the row after it, or does not miss the newest.
    """
    try:
        found = export.read(copy, None, APP).rows
        everything = yaml.load(copy.read_text(), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        return "no YAML"
    text, code = check(APP, found, newest)
    items = everything.get("items") if isinstance(everything, dict) else None
    specs = [row.get("spec") for row in items or [] if isinstance(row, dict)]
    if all(spec in specs for spec in rows.values()) and code == 0:
        return "no part of the history"
    assert code in (1, 3), f"{text}: {json.dumps(everything)}"
    changed = {name for name, spec in rows.items() if spec not in specs}
    if any(f"row {name} does not fit" in text or f"also {name}:" in text for name in changed):
        return "named"
    # The byte was in a row's name, or in a field that makes it a row of this App: `verify` finds that row missing.
    telling = ("it does not follow row", "no row has the expected digest", "it was renamed")
    assert code == 3 or any(each in text for each in telling), text
    return "told by the rows beside it"
