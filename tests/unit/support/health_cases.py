"""Makes objects as the operator leaves them, for GitOps tools' health checks. `python -m tests.unit.support.health_cases` writes them.

They are in `manifests/argocd/resource_customizations`, in Argo CD's form, beside the expected health of each, which is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION, GROUP
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from tests.support import factories as given
from tests.support.cluster import REPOSITORY
from tests.support.world import World, a_world, serving
from tests.unit.support.finishing import deployed, with_runs
from tests.unit.support.guarded_rows import STAMPED

FOLDER = REPOSITORY / "manifests" / "argocd" / "resource_customizations" / GROUP
RUNNING: Manifest = {"running": {}}
CRASHED: Manifest = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}
DEADLINE = 400  # seconds: longer than an App gives a deploy
FROZEN = given.policy_manifest(
    given.with_spec(namespaceSelector={}, freezes=[{"name": "easter", "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}])
)


def _app(world: World) -> Manifest:
    return world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]


def _row(world: World, name: str) -> Manifest:
    return world.objects[(API_VERSION, kinds.ROW.kind, name)]


def _deploying(world: World, version: str = "v1", name: str = "a", *, old: int = 0) -> World:
    """Returns a deploy whose pods are not ready yet. `old`: pods that serve meanwhile."""
    world.deploy(name, version)
    world.settle()
    world.stall(RUNNING, old=old)
    world.settle()
    return world


def _failed(world: World, name: str = "a") -> World:
    world.deploy(name, "v2", runtime="none-such")
    world.settle()
    world.later(DEADLINE)
    world.run()
    return world


def _frozen() -> World:
    world = serving()
    world.guards = ObservedGuards(policies=(DeployPolicy.of(given.stored(FROZEN)),), stamped_since=STAMPED)
    world.deploy("b", "v2")
    world.run()
    return world


def _of_git(version: str, world: World, **more: Any) -> World:
    """Sets the version in Git, and runs the world."""
    app = _app(world)
    app["spec"] |= {"deploy": {"workflowVersion": version}, **more}
    app["metadata"]["generation"] = app["metadata"].get("generation", 1) + 1
    world.add(app)
    world.run()
    return world


def _back_by_hand() -> World:
    """Returns a world in which Git deployed v1 and then v2, and a user rolled back."""
    world = _of_git("v2", _of_git("v1", a_world()))
    first = min(world.rows.values(), key=lambda row: row.sequence).name
    world.deploy("back", restores=first)
    world.run()
    return world


def _not_serving() -> World:
    world = serving()
    world.stall(CRASHED, restartCount=3)
    world.later(DEADLINE)
    world.settle()
    return world


def _stranger() -> World:
    world = a_world()
    meta = {"name": given.NAME, "namespace": given.NAMESPACE, "uid": "of-a-stranger"}
    world.add({"apiVersion": SERVICE.api_version, "kind": SERVICE.kind, "metadata": meta, "spec": {}})
    world.deploy("a", "v1")
    world.run()
    return world


def _refused_row() -> World:
    world = serving()
    world.deploy("odd", "v2")
    world.row_problems["odd"] = ChildProblem(ProblemReason.DENIED, "row odd is not allowed: not on a Friday", retry_in=100)
    world.settle()
    return world


def _twice() -> World:
    world = serving()
    world.deploy("b", "v2")
    world.run()
    return world


def _without_app() -> World:
    world = World(given.row_manifest("a", given.asking(workflowVersion="v1")))
    world.later(DEADLINE)
    world.settle()
    return world


def _settled(world: World) -> World:
    world.settle()
    return world


APPS: dict[str, Callable[[], World]] = {
    "progressing_not_seen": a_world,
    "suspended_not_deployed": lambda: _settled(a_world()),
    "progressing_first_deploy": lambda: _deploying(a_world()),
    "healthy_serving": serving,
    "healthy_finishing": lambda: deployed(with_runs()),
    "progressing_next_deploy": lambda: _deploying(serving(), "v2", "b", old=1),
    "degraded_first_deploy_failed": lambda: _failed(a_world()),
    "degraded_next_deploy_failed": lambda: _failed(serving(), "b"),
    "degraded_no_pod_ready": _not_serving,
    "degraded_service_of_a_stranger": _stranger,
    "degraded_row_refused": _refused_row,
    "suspended_frozen": _frozen,
    "healthy_rolled_back_by_hand": _back_by_hand,
    "suspended_held_after_rollback": lambda: _of_git("v3", _back_by_hand()),
    "suspended_by_spec": lambda: _of_git("v2", serving(), suspend=True),
}
ROWS: dict[str, tuple[Callable[[], World], str]] = {
    "progressing_not_seen": (lambda: _with_row("v1"), "a"),
    "progressing_waits_for_version": (lambda: _settled(_with_row("v9")), "a"),
    "progressing_rolling_out": (lambda: _deploying(a_world()), "a"),
    "healthy_live": (serving, "a"),
    "healthy_superseded": (_twice, "a"),
    "healthy_failed_is_history": (lambda: _failed(serving(), "b"), "b"),
    "suspended_frozen": (_frozen, "b"),
    "healthy_app_missing": (_without_app, "a"),
}


def _with_row(version: str) -> World:
    world = a_world()
    world.deploy("a", version)
    return world


def objects() -> dict[Path, Manifest]:
    """Returns each case's object, by its file."""
    found = {FOLDER / "App" / "testdata" / f"{name}.yaml": _trimmed(_app(make())) for name, make in APPS.items()}
    found |= {FOLDER / "Deployment" / "testdata" / f"{name}.yaml": _trimmed(_row(make(), row)) for name, (make, row) in ROWS.items()}
    found[FOLDER / "WorkflowVersion" / "testdata" / "healthy.yaml"] = _trimmed(given.stored(given.version_manifest("v1")))
    for name, fields in (("healthy", {}), ("healthy_deprecated", {"deprecated": True})):
        found[FOLDER / "Runtime" / "testdata" / f"{name}.yaml"] = _trimmed(given.stored(given.runtime_manifest(given.with_spec(**fields))))
    return found


def _trimmed(made: Manifest) -> Manifest:
    """Returns the object without fields that no check reads."""
    meta = {name: made["metadata"][name] for name in ("name", "namespace", "generation") if name in made["metadata"]}
    spec = {name: value for name, value in made["spec"].items() if name not in ("pinned", "outcome", "flow")}
    kept: dict[str, Any] = {"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": {"generation": 1, **meta}, "spec": spec}
    return {**kept, **({"status": made["status"]} if "status" in made else {})}


def text(made: Manifest) -> str:
    return yaml.safe_dump(made, sort_keys=False)


def main() -> int:
    for path, made in objects().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
