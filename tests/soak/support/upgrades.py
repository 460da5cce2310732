"""Upgrades and downgrades the operator: an older checkout beside this one, and a scene of Apps of all kinds that must not change."""

from __future__ import annotations

import contextlib
import io
import itertools
import subprocess
import tarfile
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynamiq_operator.model import chain, digests, kinds, names
from dynamiq_operator.model.objects import Runtime
from local.archives import extract
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import made_rows
from tests.support.admission import RESTORING, made, restorer
from tests.support.api import Api, Manifest
from tests.support.cluster import CRDS, REPOSITORY, Kubectl
from tests.support.commands import blocks
from tests.support.flows import answering
from tests.support.operator import Operator
from tests.support.stage import WORKFLOW, Stage
from tests.support.waiting import eventually

SETTLED_WITHIN = 900.0
PARTS = ("rbac", "admission")
OLD_ROWS = 10
"""Rows of an App's history, so that a hundred Apps have a thousand."""
SMALL: Manifest = {**given.CONFIG, "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}}
CALM = {
    "startup": {"path": "/healthz", "periodSeconds": 5, "timeoutSeconds": 10, "failureThreshold": 100},
    "readiness": {"path": "/readyz", "periodSeconds": 5, "timeoutSeconds": 10, "failureThreshold": 6},
    "liveness": {"path": "/healthz", "periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 10},
}
"""A probe a second for each of a hundred pods would use most of a small machine. A hundred pods that start at once need time."""
PATIENT = {"progressDeadlineSeconds": 86_400}
"""A rollout under way stays so, and a hundred that begin at once may take their time."""
ELSEWHERE: Manifest = {"namespace": "staging", "app": "chat", "row": "chat-older", "cluster": "4a1f7c52-0b52-4bb5-9d3e-6d6f0d0c7a11"}
"""The source of a row promoted from another cluster, without the hash: `cluster` is a field that older operators do not know."""


@dataclass(frozen=True)
class Older:
    """The checkout of a commit: its manifests, and its operator as a program for Python."""

    commit: str
    folder: Path
    program: Path

    @property
    def manifests(self) -> Path:
        return self.folder / "manifests"

    @property
    def crds(self) -> Path:
        return self.folder / "crds"


def older(commit: str, folder: Path) -> Older:
    """Unpacks the commit in `folder`. Raises AssertionError if this clone does not have it."""
    place = folder / f"older-{commit}"
    packed = subprocess.run(["git", "archive", commit, "operator", "crds", "manifests"], cwd=REPOSITORY, capture_output=True, check=False)
    assert packed.returncode == 0, f"commit {commit} is needed, which a clone without its history lacks: {packed.stderr.decode()}"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        extract(archive, place, "data")
    program = folder / f"older-{commit}.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(place / 'operator')!r})\nfrom dynamiq_operator import __main__\nsys.exit(__main__.main())\n"
    )
    return Older(commit, place, program)


def install(kubectl: Kubectl, manifests: Path) -> None:
    """Applies the account, the rights and the policies of a checkout over the existing ones."""
    for file in ("namespace.yaml", "service-account.yaml"):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifests / "base" / file), "-n", "dynamiq-system")
    for part in PARTS:
        kubectl("apply", "--server-side", "--force-conflicts", "-k", str(manifests / part))


def install_definitions_of(cluster: Cluster, before: Older) -> None:
    """Replaces this checkout's definitions by older ones, on a cluster without objects of ours."""
    kubectl = Kubectl(cluster)
    kubectl("delete", "-k", str(CRDS))
    kubectl("apply", "--server-side", "-k", str(before.crds))
    served = ("App", "Runtime", "WorkflowVersion", kinds.ROW.kind)
    eventually("they are served", lambda: all(Api.of(cluster).get(kind, "", "default").ok for kind in served))


def step(of: str) -> str:
    """Returns the one block of commands of docs/upgrading-details.md that contains this text."""
    (commands,) = [block for block in blocks(REPOSITORY / "docs" / "upgrading-details.md") if of in block]
    return commands


# The scene.


@dataclass
class Scene:
    """The Apps of a namespace by their kind, and which of them are called all the time. The pods of those in `woken` change."""

    on: Stage
    runtime: str
    plain: list[str] = field(default_factory=list)
    of_git: list[str] = field(default_factory=list)
    switching: list[str] = field(default_factory=list)
    rolling_out: list[str] = field(default_factory=list)
    sleeping: list[str] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    stopped: str = "restoring"
    """An App that was restored, with its stamp still on."""
    rows: int = 0

    @property
    def at_work(self) -> list[str]:
        """Returns the Apps that the operator works for."""
        return [*self.plain, *self.of_git, *self.switching, *self.rolling_out, *self.sleeping, *self.woken]

    def state(self) -> dict[str, Any]:
        """Returns every row to the byte, the pods and their restarts, and the templates of workloads; those without pods may be renewed."""
        rows = {row["metadata"]["name"]: written(row) for row in self._listed(kinds.ROW.kind)}
        pods = {
            pod["metadata"]["uid"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
            for pod in self._listed("Pod")
            if (app := _app_of(pod)) and app not in self.woken and "deletionTimestamp" not in pod["metadata"]
        }
        workloads = {
            each["metadata"]["name"]: (each["spec"]["template"] if each["spec"]["replicas"] else None, each["spec"]["replicas"])
            for each in self._listed("Workload")
            if _app_of(each) not in self.woken
        }
        return {"rows": rows, "pods": pods, "workloads": workloads}

    def verified(self) -> dict[str, chain.Verdict]:
        """Returns the results of verifying each App's history."""
        verdicts = {app: chain.verify(self.on.rows(app)) for app in [*self.at_work, self.stopped]}
        assert not {app: verdict.misfits for app, verdict in verdicts.items() if verdict.misfits}
        return verdicts

    def changes(self) -> dict[str, list[Manifest]]:
        """Returns the records of each App's settings, oldest first."""
        records: dict[str, list[Manifest]] = {app: [] for app in self.at_work}
        for each in sorted(self._listed(kinds.APP_CHANGE.kind), key=lambda each: each["spec"]["sequence"]):
            records[each["spec"]["app"]].append(each)
        return records

    def all_seen(self) -> None:
        """Waits in the same way for every App that the operator works for."""
        all_seen(self.on, self.at_work)

    def until_quiet(self) -> None:
        """Waits until only the lasting rollouts are under way, and no other pod remains."""

        def quiet() -> bool:
            pods = Counter(_app_of(each) for each in self._listed("Pod"))
            replica_counts: Counter[str] = Counter()
            for each in self._listed("Workload"):
                status, replicas = each["status"], each["spec"]["replicas"]
                replica_counts[_app_of(each)] += status.get("replicas", 0)
                if status.get("observedGeneration") != each["metadata"]["generation"]:
                    return False
                if _app_of(each) not in (*self.rolling_out, *self.woken) and {
                    status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")
                } != {replicas}:
                    return False
            return all(pods[app] == replica_counts[app] for app in self.at_work if app not in self.woken)

        eventually("every rollout has ended", quiet, SETTLED_WITHIN, 1)

    def _listed(self, kind: str) -> list[Manifest]:
        return listed(self.on, kind)


def listed(on: Stage, kind: str) -> list[Manifest]:
    """Returns all objects of a kind in the namespace."""
    named = on.named(kind, "")
    items: list[Manifest] = on.api.get(named["kind"], "", on.namespace, api_version=named["apiVersion"]).body["items"]
    return items


def all_seen(on: Stage, apps: Sequence[str]) -> None:
    """Waits until an operator has acted on these Apps twice, so that its first decisions are written."""
    for _ in range(2):
        for app in apps:
            on.change("App", app, spec={"displayName": f"Looked at {uuid.uuid4().hex[:6]}"})
        eventually(
            "every App is seen as it is", lambda: all(_seen(each) for each in listed(on, "App") if _name(each) in apps), SETTLED_WITHIN, 1
        )


def _app_of(raw: Manifest) -> str:
    """Returns the App that owns this child; empty for other objects, such as a caller."""
    return str(raw["metadata"].get("labels", {}).get(names.APP_LABEL, ""))


def _name(raw: Manifest) -> str:
    return str(raw["metadata"]["name"])


def _seen(app: Manifest) -> bool:
    return bool(app.get("status", {}).get("observedGeneration") == app["metadata"]["generation"])


def written(row: Manifest) -> Manifest:
    return {"spec": row["spec"], "status": row["status"], "version": row["metadata"]["resourceVersion"]}


def prepare(on: Stage, apps: int, *, sleeps: bool) -> Scene:
    """Makes so many Apps with histories as after a restore, without an operator: a fifth each of Git and Switch, a tenth being rolled out.

    With `sleeps`, a tenth is to sleep, which needs a gate, and real pods.
    """
    made_ = Scene(on, on.runtime("scene", by_default=True, probes=CALM))
    on.release("v1", "v2", "v3")
    tenth = max(apps // 10, 1)
    parts: list[tuple[list[str], int, given.Modifier | None]] = [
        (made_.of_git, 2 * tenth, given.with_deploy(workflowVersion="v1", runtime=made_.runtime)),
        (made_.switching, 2 * tenth, given.with_spec(rollout={"strategy": "Switch", **PATIENT})),
        (made_.rolling_out, tenth, None),
        (made_.sleeping, tenth if sleeps else 0, None),
        (made_.woken, int(sleeps), None),
    ]
    parts.append((made_.plain, apps - 1 - sum(count for _, count, _ in parts), None))
    rows: list[Manifest] = []
    for place, count, modify in parts:
        for number in range(count):
            place.append(name := f"{_called(made_, place)}-{number}")
            on.app(name, given.with_spec(rollout=PATIENT), *([modify] if modify else []))
            rows += _history(made_, name)
    app_in_git = given.app_manifest(given.in_namespace(on.namespace), given.with_spec(workflow=WORKFLOW), name=made_.stopped)
    stamped = made(restorer(on.api).create(app_in_git))
    assert stamped["metadata"]["annotations"][RESTORING] == "true"
    rows += _history(made_, made_.stopped)
    made_rows.make(on.cluster, rows)
    made_.rows = len(rows)
    return made_


def _called(scene: Scene, place: list[str]) -> str:
    """Returns the name of the Apps of a kind: the field's own name, as a name of Kubernetes."""
    return next(name for name, each in vars(scene).items() if each is place).replace("_", "-")


def _history(scene: Scene, app: str) -> list[Manifest]:
    """Returns rows of v2 and v1 in turn, the last of which, of v1, is live; each contains the digest of the previous one."""
    on = scene.on
    uid = on.get("App", app)["metadata"]["uid"]
    runtime = Runtime.of(on.get(kinds.RUNTIME.kind, scene.runtime))
    rows: list[Manifest] = []
    for number, version in zip(range(OLD_ROWS), itertools.cycle(("v2", "v1")), strict=False):
        pins: dict[str, Any] = {"workflow": WORKFLOW, "workflowHash": digests.flow_hash(answering(version)), "config": SMALL}
        if rows:
            pins["previousDigest"] = rows[-1]["spec"]["pinned"]["digest"]
        made_of = given.live if number == OLD_ROWS - 1 else given.superseded
        author = given.with_spec(createdBy="ada")
        rows.append(made_rows.row(on.namespace, app, uid, number, made_of(number + 1, version, runtime=runtime, **pins), author))
    return rows


def settle(scene: Scene) -> None:
    """Waits until all Apps have their lasting state: live, being rolled out, asleep. An operator is at work."""
    on = scene.on
    serving = [*scene.plain, *scene.of_git, *scene.switching, *scene.rolling_out]
    eventually("all serve v1", lambda: all(serves(on, app, "v1") for app in serving), SETTLED_WITHIN, 2)
    scene.until_quiet()
    rows_by_app = {app: on.deploy(app, "v1", config={"type": "serverless", "idleSeconds": 5}) for app in (*scene.sleeping, *scene.woken)}
    rows_by_app |= {app: on.deploy(app, "v2") for app in scene.switching}
    for row in rows_by_app.values():
        on.until(row, "Live", SETTLED_WITHIN)
    for app in scene.rolling_out:
        on.until(on.deploy(app, "v2", config={"resources": given.NO_NODE_HAS}), "Progressing", SETTLED_WITHIN)
    scene.until_quiet()
    scene.rows = len(scene.state()["rows"])


def serves(on: Stage, app: str, version: str) -> bool:
    """Returns True if the App's status has this version as live."""
    return bool(on.get("App", app).get("status", {}).get("live", {}).get("workflowVersion") == version)


# Two versions side by side.


@contextlib.contextmanager
def operators(kubeconfig: Path, folder: Path, namespace: str, cluster: Cluster | None) -> Iterator[Replicas]:
    """Provides two replicas on one lease; stops running ones at the end."""
    made_ = Replicas(*(Operator(kubeconfig, _folder(folder, name), [namespace], cluster=cluster) for name in ("leader", "follower")))
    try:
        yield made_
    finally:
        made_.leader.stop()
        made_.follower.stop()


def _folder(folder: Path, name: str) -> Path:
    made_ = folder / name
    made_.mkdir()
    return made_


@dataclass
class Replicas:
    """The leader, and the replica that has to follow it."""

    leader: Operator
    follower: Operator

    def hand_over(self, program: Sequence[str]) -> None:
        """Starts another version beside the leader, stops the leader, and waits until the other leads, like a rollout of the Deployment."""
        self.follower.start(program, leads=False)
        self.leader.stop()
        self.follower.until_leading()
        self.leader, self.follower = self.follower, self.leader
