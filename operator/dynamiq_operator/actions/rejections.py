"""Rejecting a version that nobody is to deploy, by the hash of its flow; and withdrawing that.

A Rejection counts for the flow under whatever name, so a WorkflowVersion that was deleted and made again is rejected as well, and one that is
gone is found by the rows that ran it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions import history
from dynamiq_operator.actions.refusals import NotNow, Refusal, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, STRICT, Api
from dynamiq_operator.kube.resources import REJECTIONS, VERSIONS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import Manifest, Rejection
from dynamiq_operator.plan.guards.asked import rejection_said


class Rejected(NotNow):
    """What would be deployed, as `version`, is rejected. `where`: in which namespace; `or_else`: what can be done but to deploy another."""

    def __init__(self, rejection: Manifest, version: str, where: str, or_else: str = ", or give a reason to bypass that") -> None:
        said = sentence(rejection, version)
        super().__init__(f"{said} (namespace {where}): deploy another version{or_else}", "workflowVersion", said)


@dataclass(frozen=True)
class RejectionPlan:
    """A Rejection that has not been made. `standing`: the one that says the same already, so that nothing would be done."""

    namespace: str
    app: str
    version: str
    flow_hash: str
    manifest: Manifest
    standing: Manifest | None = None

    def lines(self) -> list[str]:
        """The plan as text."""
        said = [f"reject {self.version} of {self.app} in {self.namespace}", f"  flow     {self.flow_hash}"]
        if self.standing is not None:
            return [*said, f"  nothing changes: {sentence(self.standing)}"]
        return [
            *said,
            f"  reason   {self.manifest['spec']['reason']}",
            "  nobody deploys this flow from then on, under whatever name, until it is withdrawn",
        ]


@dataclass(frozen=True)
class WithdrawalPlan:
    """Rejections that would be withdrawn: all of one flow."""

    namespace: str
    app: str
    version: str
    rejections: Sequence[Manifest]
    reason: str

    def lines(self) -> list[str]:
        """The plan as text."""
        said = [f"withdraw the rejection of {self.version} of {self.app} in {self.namespace}"]
        return [*said, *(f"  {sentence(each)}" for each in self.rejections), "  it may be deployed again from then on"]


def sentence(rejection: Manifest, version: str = "") -> str:
    """Who rejected what, and why, in the operator's words. `version`: the name that its flow has now; else the one that it was rejected as."""
    spec = rejection["spec"]
    return rejection_said(version or spec.get("version") or spec["workflowHash"], history.typed(Rejection, rejection))


def standing(api: Api, namespace: str, flow: str | None = None) -> list[Manifest]:
    """The Rejections of a namespace that are not withdrawn, of one flow where its hash is given, newest first; none where the caller may not read them."""
    return read_standing(api, namespace, flow) or []


def read_standing(api: Api, namespace: str, flow: str | None = None) -> list[Manifest] | None:
    """Returns the same; None where the caller may not read them, so that it is unknown."""
    try:
        found = requests.items(api, REJECTIONS, namespace, field=f"spec.workflowHash={flow}" if flow is not None else "")
    except errors.NotFound:  # a cluster whose definitions are older
        return []
    except errors.Denied as error:
        if error.status == 401:
            raise
        return None
    return newest_first(each for each in found if not each["spec"].get("withdrawn") and flow in (None, each["spec"]["workflowHash"]))


def unread(namespace: str, what: str) -> str:
    """Returns the warning of a caller who may not read them. `what` may be rejected."""
    return f"you may not read Rejections in namespace {namespace}, so this cannot say whether {what} is rejected"


def hashes(api: Api, namespace: str) -> frozenset[str]:
    """The hashes of the flows that are rejected in a namespace; none where the caller may not read that."""
    return frozenset(each["spec"]["workflowHash"] for each in standing(api, namespace))


def newest_first(found: Iterable[Manifest]) -> list[Manifest]:
    """Rejections, the newest first."""
    return sorted(found, key=lambda each: (each["metadata"].get("creationTimestamp") or "", each["metadata"]["name"]), reverse=True)


def by_hash(found: Iterable[Manifest]) -> dict[str, Manifest]:
    """The newest Rejection of each flow. `found`: newest first."""
    return {each["spec"]["workflowHash"]: each for each in reversed(list(found))}


def plan_rejection(api: Api, namespace: str, app: str, version: str | None, reason: str, *, row: Manifest | None = None) -> RejectionPlan:
    """What rejecting a version of an App's workflow, or the flow that a row ran, would do. Raises Unknown, Refusal and kube.errors.ApiError."""
    _check_reason(reason, "nobody is to deploy it")
    workflow, named, found = _flow(api, namespace, app, version, row)
    spec = {"workflowHash": found, "workflow": workflow, "version": named, "reason": reason}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": kinds.REJECTION.kind,
        "metadata": {"namespace": namespace, "name": f"{names.workflow_version(workflow, named)}-{secrets.token_hex(4)}"},
        "spec": spec,
    }
    return RejectionPlan(namespace, app, named, found, manifest, next(iter(standing(api, namespace, found)), None))


def perform_rejection(api: Api, plan: RejectionPlan) -> Manifest:
    """Makes the Rejection; returns it, or the one that says the same already. Raises kube.errors.ApiError."""
    return plan.standing if plan.standing is not None else requests.create(api, REJECTIONS, plan.manifest)


def plan_withdrawal(
    api: Api, namespace: str, app: str, version: str | None, reason: str, *, uid: str | None = None, row: Manifest | None = None
) -> WithdrawalPlan:
    """What withdrawing the Rejections of a version would do: of the flow that it has, and of those that were rejected under its name.

    `uid`: of one Rejection, in place of the version: every one of the same flow is withdrawn, or nobody could deploy it all the same. Raises
    Unknown, Refusal and kube.errors.ApiError.
    """
    _check_reason(reason, "it may be deployed again")
    every = newest_first(requests.items(api, REJECTIONS, namespace))
    if uid is not None:
        asked = _of_id(every, uid)
        named, hashes = asked.get("version") or asked["workflowHash"], {asked["workflowHash"]}
    else:
        workflow = history.find_app(api, namespace, app).spec.workflow
        named, hashes = _asked(api, namespace, app, version, row, every, workflow)
    found = [each for each in every if each["spec"]["workflowHash"] in hashes and not each["spec"].get("withdrawn")]
    if not found:
        raise NotNow(f"{named} of {app} is not rejected in namespace {namespace} (any more): nothing is to be withdrawn")
    return WithdrawalPlan(namespace, app, named, found, reason)


def perform_withdrawal(api: Api, plan: WithdrawalPlan) -> list[Manifest]:
    """Withdraws them; returns them as they are now. Raises NotNow where somebody was faster, and kube.errors.ApiError."""
    return [_withdraw(api, each, plan.reason) for each in plan.rejections]


def _of_id(found: Iterable[Manifest], uid: str) -> Mapping[str, Any]:
    """What the Rejection of this id says, be it withdrawn: others of its flow may stand. Raises Unknown."""
    spec: Mapping[str, Any] | None = next((each["spec"] for each in found if each["metadata"]["uid"] == uid), None)
    if spec is None:
        raise Unknown(f"no rejection has the id {uid}, or you may not see it")
    return spec


def _asked(
    api: Api, namespace: str, app: str, version: str | None, row: Manifest | None, found: Iterable[Manifest], workflow: str
) -> tuple[str, set[str]]:
    """What is named, and the hashes of its flow and of what was rejected under its name. Raises Unknown and Refusal."""
    hashes = set()
    if version is not None:  # a Rejection by hash alone has none
        name = (workflow, version)
        hashes = {each["spec"]["workflowHash"] for each in found if (each["spec"].get("workflow"), each["spec"].get("version")) == name}
    try:
        _, named, flow = _flow(api, namespace, app, version, row)
    except Unknown:
        if not hashes:
            raise
        return str(version), hashes
    return named, hashes | {flow}


def _withdraw(api: Api, rejection: Manifest, reason: str) -> Manifest:
    meta = rejection["metadata"]
    patch = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "spec": {"withdrawn": {"reason": reason}}}
    try:
        return api.request("PATCH", REJECTIONS.path(meta["namespace"], meta["name"]), query=STRICT, body=patch, content_type=MERGE)
    except errors.NotFound:
        raise Unknown("this rejection is gone", "rejection") from None
    except errors.Conflict:
        raise NotNow("somebody else withdrew this rejection at this moment: look again") from None


def _flow(api: Api, namespace: str, app: str, version: str | None, row: Manifest | None) -> tuple[str, str, str]:
    """The workflow, the version and the hash of the flow that are named: by a row, by the WorkflowVersion, or by a row that ran it."""
    if row is not None:
        return _ran(row)
    workflow = history.find_app(api, namespace, app).spec.workflow
    if version is None:
        raise Refusal("name a version, such as v3, or a row that ran it", "version")
    try:
        found = requests.get(api, VERSIONS, namespace, names.workflow_version(workflow, version))
        return workflow, version, flow_hash(found["spec"]["flow"])
    except errors.NotFound:
        rows: Iterable[Manifest] = history.rows(api, namespace, app)
    for each in rows:
        if _pins(each).get("workflowVersion") == version:
            return _ran(each)
    raise history.unknown_version(namespace, workflow, version, history.releases(api, namespace, workflow))


def _ran(row: Manifest) -> tuple[str, str, str]:
    pins = _pins(row)
    if not pins:
        raise Refusal(f"row {row['metadata']['name']} was never rolled out, so it ran no flow that could be rejected")
    return pins["workflow"], pins["workflowVersion"], pins["workflowHash"]


def _pins(row: Manifest) -> Mapping[str, Any]:
    pins: Mapping[str, Any] = row["spec"].get("pinned") or {}
    return pins


def _check_reason(reason: str, why: str) -> None:
    if not reason.strip():
        raise Refusal(f"say why {why}: a reason is never empty", "reason")
