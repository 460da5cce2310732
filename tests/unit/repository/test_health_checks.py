"""The health of our objects in Argo CD and Flux by the checks for them, run in Argo CD's Lua and in Flux's CEL."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.objects import Manifest
from local import builds, components
from tests.support.cluster import REPOSITORY
from tests.support.kstatus import kstatus
from tests.unit.support import health_cases
from tests.unit.support.health_cases import FOLDER

ARGO, FLUX = REPOSITORY / "manifests" / "argocd", REPOSITORY / "manifests" / "flux"
CHECKED = (kinds.APP.kind, kinds.ROW.kind, kinds.RUNTIME.kind, kinds.WORKFLOW_VERSION.kind)


@pytest.fixture(scope="module", autouse=True)
def program() -> Path:
    """Returns the program that runs the checks, built once if the cache has none: no test compiles it."""
    return builds.ensure([components.HEALTH])["checks"]


def run(checks: Iterable[Manifest]) -> list[Manifest]:
    """Returns the result of each check. Raises AssertionError if one cannot be run."""
    program = builds.ensure([components.HEALTH])["checks"]
    done = subprocess.run([program], input=json.dumps(list(checks)), capture_output=True, text=True, check=True)
    found: list[Manifest] = json.loads(done.stdout)
    assert not [each["error"] for each in found if each["error"]]
    return found


def expected(kind: str) -> dict[str, Manifest]:
    """Returns the expected health of each object in Argo CD, by its file, in the form of Argo CD's own tests."""
    tests = yaml.safe_load((FOLDER / kind / "health_test.yaml").read_text())["tests"]
    return {test["inputPath"]: test["healthStatus"] for test in tests}


def load(path: Path) -> Manifest:
    loaded: Manifest = yaml.safe_load(path.read_text())
    return loaded


def test_the_objects_are_those_of_the_operator_today() -> None:
    made = {path: health_cases.text(each) for path, each in health_cases.objects().items()}
    there = {path: path.read_text() for path in FOLDER.glob("*/testdata/*.yaml")}
    assert there == made, "python -m tests.unit.support.health_cases"


@pytest.mark.parametrize("kind", CHECKED)
def test_argo_cd_shows_the_health_of_each_object(kind: str) -> None:
    script = (FOLDER / kind / "health.lua").read_text()
    health = expected(kind)
    assert health.keys() == {f"testdata/{path.name}" for path in (FOLDER / kind / "testdata").iterdir()}
    found = run({"lua": script, "obj": load(FOLDER / kind / path)} for path in health)
    assert {path: {"status": each["status"], "message": each["message"]} for path, each in zip(health, found, strict=True)} == health


def test_an_app_that_is_not_ready_is_never_healthy_and_a_row_never_fails_a_wait() -> None:
    """Without a check Argo CD calls such an App Healthy. A wait for a failed row, which stays in Git, would never end."""
    for path, health in expected(kinds.APP.kind).items():
        conditions = {each["type"]: each["status"] for each in load(FOLDER / "App" / path)["status"].get("conditions", ())}
        assert conditions.get("Ready") == "True" or health["status"] != "Healthy", path
    for path, health in expected(kinds.ROW.kind).items():
        assert load(FOLDER / "Deployment" / path)["status"]["phase"] != "Failed" or health["status"] == "Healthy", path


def test_argo_cd_finds_each_check_in_its_settings() -> None:
    (generated,) = yaml.safe_load((ARGO / "kustomization.yaml").read_text())["configMapGenerator"]
    files = dict(each.split("=") for each in generated["files"])
    assert files.keys() == {f"resource.customizations.health.{GROUP}_{kind}" for kind in CHECKED}
    assert [ARGO / each for each in files.values()] == [FOLDER / kind / "health.lua" for kind in CHECKED]


# Flux.

FLUX_SAYS = {
    "progressing_not_seen": "InProgress",
    "progressing_first_deploy": "InProgress",
    "progressing_next_deploy": "InProgress",
    "suspended_not_deployed": "Current",
    "suspended_frozen": "InProgress",
    "suspended_held_after_rollback": "InProgress",
    "suspended_by_spec": "InProgress",
    "healthy_serving": "Current",
    "healthy_finishing": "Current",
    "healthy_rolled_back_by_hand": "Current",
    "degraded_first_deploy_failed": "Failed",
    "degraded_next_deploy_failed": "Failed",
    "degraded_row_refused": "Failed",
    "degraded_no_pod_ready": "InProgress",
    "degraded_service_of_a_stranger": "InProgress",
}


@cache
def flux_checks() -> dict[str, Any]:
    (only,) = yaml.safe_load((FLUX / "health-checks.yaml").read_text())["spec"]["healthCheckExprs"]
    assert (only["apiVersion"], only["kind"]) == (f"{GROUP}/v1alpha1", kinds.APP.kind)
    return {"InProgress": only["inProgress"], "Failed": only["failed"], "Current": only["current"]}


def flux_says(objects: dict[str, Manifest]) -> dict[str, str]:
    """Returns Flux's status of each object. One with an unobserved generation is in progress; else the first status in order that is true."""
    seen = {name: each for name, each in objects.items() if each["status"]["observedGeneration"] == each["metadata"]["generation"]}
    cases = [(name, status) for name in seen for status in flux_checks()]
    found = run({"cel": flux_checks()[status], "obj": seen[name]} for name, status in cases)
    true = [(name, status) for (name, status), each in zip(cases, found, strict=True) if each["is"]]
    return {name: next((status for its, status in true if its == name), "InProgress") for name in objects}


def test_flux_waits_for_what_git_asks_for_and_ends_where_it_failed() -> None:
    objects = {path.stem: load(path) for path in (FOLDER / "App" / "testdata").iterdir()}
    assert flux_says(objects) == FLUX_SAYS


def test_kinds_without_a_check_for_flux_are_right_by_its_general_rules() -> None:
    """A row is done when it has ended, whatever its result."""
    rows = {path.stem: kstatus(load(path)) for path in (FOLDER / "Deployment" / "testdata").iterdir()}
    assert {name for name, status in rows.items() if status == "Current"} == {
        "healthy_live",
        "healthy_superseded",
        "healthy_failed_is_history",
        "healthy_app_missing",
    }
    others = [path for kind in (kinds.RUNTIME.kind, kinds.WORKFLOW_VERSION.kind) for path in (FOLDER / kind / "testdata").iterdir()]
    assert {kstatus(load(path)) for path in others} == {"Current"}


def test_without_its_check_flux_would_take_an_app_for_done_while_it_is_deployed() -> None:
    assert kstatus(load(FOLDER / "App" / "testdata" / "progressing_next_deploy.yaml")) == "Current"
