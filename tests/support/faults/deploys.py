"""Runs a deploy, a redeploy and a rollback on a real control plane, and checks their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model import digests, names
from tests.support import factories as given
from tests.support.api import Api, Manifest
from tests.support.waiting import eventually

END_WITHIN = 300.0  # seconds for one row to be Live, restarts of the operator included
ROWS: dict[str, Manifest] = {"a": {"workflowVersion": "v1"}, "b": {"workflowVersion": "v2"}, "c": {"restores": "a"}}
"""Deploy, redeploy, rollback."""
PHASES = {"a": "Superseded", "b": "Superseded", "c": "Live"}
BACK = names.revert_row(given.NAME, "b")
TAKEN_BACK = {"a": "Superseded", "b": "Superseded", BACK: "Live"}
CRASHED = {
    "ready": False,
    "restartCount": 2,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
}
"""The status of a container that crashes again and again."""


def prepare(api: Api, namespace: str, *modifiers: given.Modifier, name: str = given.NAME, versions: tuple[str, ...] = ("v1", "v2")) -> None:
    """Creates an App, the releases of its workflow, and a Runtime, before any deploy."""
    placed = given.in_namespace(namespace)
    shared = given.runtime_manifest()
    for manifest in (shared, *(given.version_manifest(version, placed) for version in versions)):
        answer = api.apply(manifest)
        assert answer.ok, answer.message
    create_app(api, namespace, name, *modifiers)


def create_app(api: Api, namespace: str, name: str, *modifiers: given.Modifier) -> None:
    answer = api.apply(given.app_manifest(given.in_namespace(namespace), *modifiers, name=name))
    assert answer.ok, answer.message


def create_row(api: Api, namespace: str, name: str, *, app: str = given.NAME, **spec: Any) -> None:
    row = given.row_manifest(name, given.in_namespace(namespace), given.of_app(app), given.asking(**spec))
    answer = api.create(row)
    assert answer.ok, answer.message


def phase(api: Api, namespace: str, name: str) -> str | None:
    read = api.get("Deployment", name, namespace).body.get("status", {}).get("phase")
    return str(read) if read else None


def deploy(api: Api, namespace: str, *rows: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Creates the rows, each when the previous one is Live; `meanwhile` is called again and again."""

    def is_live(name: str) -> Callable[[], bool]:
        def check() -> bool:
            meanwhile()
            return phase(api, namespace, name) == "Live"

        return check

    for name in rows:
        create_row(api, namespace, name, **ROWS[name])
        eventually(f"row {name} of {namespace} is Live", is_live(name), END_WITHIN)


def until_live(api: Api, namespace: str, name: str) -> None:
    eventually(f"row {name} of {namespace} is Live", lambda: phase(api, namespace, name) == "Live", END_WITHIN)


def deploy_all(api: Api, namespace: str, *, meanwhile: Callable[[], None] = lambda: None) -> End:
    """Deploys the three rows; returns the end once the operator has written all statuses."""
    deploy(api, namespace, *ROWS, meanwhile=meanwhile)
    return until_told(api, namespace, meanwhile)


def take_back(api: Api, namespace: str, *, meanwhile: Callable[[], None] = lambda: None) -> End:
    """Deploys, then redeploys a version whose pods crash again and again once it is live; returns the end."""
    deploy(api, namespace, "a", "b", meanwhile=meanwhile)
    for pod in api.get("Pod", "", namespace, api_version="v1", labelSelector=f"{names.APP_LABEL}={given.NAME}").body["items"]:
        crash(api, pod)
    return until_told(api, namespace, meanwhile, TAKEN_BACK)


def crash(api: Api, pod: Manifest) -> None:
    """Sets the pod's container to a crash loop, as the kubelet would; ignores a deleted pod."""
    status = pod["status"]
    others = [each for each in status.get("conditions", ()) if each["type"] not in ("Ready", "ContainersReady")]
    not_ready = [{"type": type_, "status": "False"} for type_ in ("Ready", "ContainersReady")]
    containers = [{**each, **CRASHED} for each in status.get("containerStatuses", ())]
    changed = api.merge(
        {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]},
        {"status": {"containerStatuses": containers, "conditions": [*others, *not_ready]}},
        subresource="/status",
    )
    assert changed.ok or changed.status == 404, changed.message


def until_told(api: Api, namespace: str, meanwhile: Callable[[], None], phases: Mapping[str, str] = PHASES) -> End:
    """Returns the end. While writes fail, a later write may fail after all statuses were right: the last read must show no failure, either."""

    def settled_end() -> End | None:
        meanwhile()
        end = End.of(api, namespace, tuple(phases)) if is_settled(api, namespace, phases) else None
        return end if end is not None and "ReconcileFailed" not in end.conditions else None

    return eventually(f"all is told in {namespace}", settled_end, END_WITHIN)


def serving(api: Api, namespace: str) -> str:
    """Returns the name of the workload that the Service selects."""
    selector = api.get("Service", given.NAME, namespace, api_version="v1").body["spec"]["selector"]
    return names.workload(given.NAME, selector.get(names.PINS_LABEL, ""))


def change_strategy(api: Api, namespace: str, strategy: str, meanwhile: Callable[[], None]) -> None:
    """Changes the App's strategy, and waits until only one workload of the right kind exists."""
    app = api.get("App", given.NAME, namespace).body
    answer = api.merge(app, {"spec": {"rollout": {"strategy": strategy}}})
    assert answer.ok, answer.message

    def changed() -> bool:
        meanwhile()
        workloads = api.get("Deployment", "", namespace, api_version="apps/v1", labelSelector=names.MANAGED_SELECTOR).body["items"]
        return [each["metadata"]["name"] for each in workloads] == [serving(api, namespace)] and (
            (serving(api, namespace) != given.NAME) is (strategy == "Switch")
        )

    eventually(f"the App of {namespace} is under strategy {strategy}", changed, END_WITHIN)


def deploy_all_by_both(api: Api, namespace: str, *, meanwhile: Callable[[], None] = lambda: None) -> End:
    """Deploys the three rows, and in between changes to strategy Switch and back."""
    for row, strategy in (("a", "Switch"), ("b", "Rolling")):
        deploy(api, namespace, row, meanwhile=meanwhile)
        change_strategy(api, namespace, strategy, meanwhile)
    deploy(api, namespace, "c", meanwhile=meanwhile)
    return until_told(api, namespace, meanwhile)


def is_settled(api: Api, namespace: str, phases: Mapping[str, str] = PHASES) -> bool:
    """Returns True if rows and App have their final statuses, and no status shows an earlier failure."""
    rows = {row["metadata"]["name"]: row["status"]["phase"] for row in api.get("Deployment", "", namespace).body["items"]}
    status = api.get("App", given.NAME, namespace).body["status"]
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    return (
        rows == phases
        and phases.get(status.get("live", {}).get("row")) == "Live"
        and (conditions.get("Ready"), conditions.get("Progressing"), conditions.get("Warm", "True")) == ("True", "False", "True")
        and conditions.get("ReconcileFailed") != "True"
    )


@dataclass(frozen=True)
class Story:
    """A sequence of actions on an App: its modifiers, and the actions until the end.

    `watches_service`: its Service must always have a pod. `has_journal`: its operator reads a journal, the first argument of the actions.
    """

    name: str
    act: Callable[..., End]
    modifiers: tuple[given.Modifier, ...] = ()
    watches_service: bool = False
    has_journal: bool = False


@dataclass(frozen=True)
class End:
    """The state that must be the same however often the operator was killed: no times, no uids, and only the order of sequences."""

    rows: list[dict[str, Any]]
    children: list[str]
    conditions: dict[str, tuple[str, str]]
    live: str
    mounted: str
    revision: str
    said: list[str]

    @classmethod
    def of(cls, api: Api, namespace: str, expected: Sequence[str] = tuple(PHASES)) -> End:
        rows = sorted(api.get("Deployment", "", namespace).body["items"], key=lambda row: row["spec"]["sequence"])
        status = api.get("App", given.NAME, namespace).body["status"]
        _require_sound(rows, status, expected)
        workload = api.get("Deployment", serving(api, namespace), namespace, api_version="apps/v1").body
        return cls(
            rows=[_row(row) for row in rows],
            children=_children(api, namespace),
            conditions={each["type"]: (each["status"], each["reason"]) for each in status["conditions"]},
            live=status["live"]["workflowVersion"],
            mounted=workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"],
            revision=workload["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
            said=_said(api, namespace),
        )


def _row(row: Manifest) -> dict[str, Any]:
    spec = row["spec"]
    condition = row["status"]["conditions"][0]
    return {
        "name": row["metadata"]["name"],
        "phase": row["status"]["phase"],
        "outcome": (spec["outcome"]["result"], spec["outcome"]["reason"]),
        "pinned": (spec["pinned"]["workflowVersion"], spec["pinned"]["workflowHash"], spec["pinned"].get("restores", {}).get("row")),
        "succeeded": (condition["status"], condition["reason"]),
        "owned": [owner["kind"] for owner in row["metadata"]["ownerReferences"]],
    }


def _children(api: Api, namespace: str) -> list[str]:
    children = []
    for kind, version in (
        ("Service", "v1"),
        ("ConfigMap", "v1"),
        ("Secret", "v1"),
        ("Deployment", "apps/v1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2"),
        ("PodDisruptionBudget", "policy/v1"),
    ):
        listed = api.get(kind, "", namespace, api_version=version, labelSelector=names.MANAGED_SELECTOR).body["items"]
        children += [f"{kind} {each['metadata']['name']}" for each in listed]
    return sorted(children)


def _said(api: Api, namespace: str) -> list[str]:
    """Returns every Event of the operator's: a list and not a set, since no Event may be repeated."""
    events = api.get("Event", "", namespace).body["items"]
    ours = [event for event in events if event["source"].get("component") == names.FIELD_MANAGER]
    return sorted(f"{event['involvedObject']['kind']} {event['involvedObject']['name']}: {event['reason']}" for event in ours)


def _require_sound(rows: list[Manifest], status: Manifest, expected: Sequence[str]) -> None:
    """Asserts that no row and no sequence is duplicate, the rows are in order, and each digest is correct and contains the previous one."""
    assert [row["metadata"]["name"] for row in rows] == list(expected)
    sequences = [row["spec"]["sequence"] for row in rows]
    assert len(set(sequences)) == len(sequences)
    assert status["lastSequence"] >= sequences[-1]
    previous = None
    for row in rows:
        spec = row["spec"]
        pins, outcome = spec["pinned"], spec["outcome"]
        assert pins.get("previousDigest") == previous, row["metadata"]["name"]
        assert pins["digest"] == digests.row_digest(spec), row["metadata"]["name"]
        assert outcome["digest"] == digests.outcome_digest(pins["digest"], outcome, row["spec"]), row["metadata"]["name"]
        previous = pins["digest"]


def until_calm(count: Callable[[], int], seconds: float, within: float = 300) -> None:
    """Waits until a number has not changed for some seconds."""
    last, since = count(), time.monotonic()

    def calm() -> bool:
        nonlocal last, since
        if (now := count()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since >= seconds

    eventually("nothing more is counted", calm, within, 0.25)  # counting may take a while


ROLLING = Story("deploy, redeploy, rollback", deploy_all)
SWITCH = Story("deploy, redeploy, warm rollback by Switch", deploy_all, (given.with_spec(rollout={"strategy": "Switch"}),), True)
BOTH = Story("the same with changes of the strategy between", deploy_all_by_both, (), True)
REVERT = Story("deploy, redeploy that is taken back", take_back, (given.with_spec(rollout={"revert": {"seconds": 3600}}),))
