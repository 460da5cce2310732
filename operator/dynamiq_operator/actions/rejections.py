"""Rejects a version by the hash of its flow, so nobody can deploy it, and withdraws such Rejections.

A Rejection counts for the flow under any name. Therefore a version that is deleted and released again stays rejected.
The flow of a deleted version is found by the rows that ran it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions import reads, running
from dynamiq_operator.actions.refusals import NotNow, Refusal, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, STRICT, Api
from dynamiq_operator.kube.resource import REJECTIONS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import Manifest


class Rejected(NotNow):
    """A deploy of a rejected version. `where`: the namespace. `or_else`: the alternative to another version, for the message."""

    def __init__(self, rejection: Manifest, version: str, where: str, or_else: str = ", or give a reason to bypass that") -> None:
        rejected = sentence(rejection, version)
        super().__init__(f"{rejected} (namespace {where}): deploy another version{or_else}", "workflowVersion", rejected)


@dataclass(frozen=True)
class RejectionPlan:
    """A Rejection that has not been made. `existing`: the one in force for the same flow; then none is made."""

    namespace: str
    app: str
    version: str
    flow_hash: str
    manifest: Manifest
    existing: Manifest | None = None

    def lines(self) -> list[str]:
        """Describes the plan in lines of text."""
        text = [f"reject {self.version} of {self.app} in {self.namespace}", f"  flow     {self.flow_hash}"]
        if self.existing is not None:
            return [*text, f"  nothing changes: {sentence(self.existing)}"]
        return [
            *text,
            f"  reason   {self.manifest['spec']['reason']}",
            "  nobody can deploy this flow, under any name, until the rejection is withdrawn",
        ]


@dataclass(frozen=True)
class WithdrawalPlan:
    """Rejections that would be withdrawn: those of a version's flow, and those of its name."""

    namespace: str
    app: str
    version: str
    rejections: Sequence[Manifest]
    reason: str

    def lines(self) -> list[str]:
        """Describes the plan in lines of text."""
        text = [f"withdraw the rejection of {self.version} of {self.app} in {self.namespace}"]
        return [*text, *(f"  {sentence(each)}" for each in self.rejections), "  it may be deployed again"]


def sentence(rejection: Manifest, version: str = "") -> str:
    """Returns who rejected the version, and why, in the operator's words. `version`: its name now; empty for its name in the Rejection."""
    # Few versions are rejected: a preview need not load the models of policies.
    from dynamiq_operator.model.guard_objects import Rejection
    from dynamiq_operator.plan.guards.requirements import rejection_sentence

    spec = rejection["spec"]
    return rejection_sentence(version or spec.get("version") or spec["workflowHash"], reads.typed(Rejection, rejection))


def unread(namespace: str, version: str) -> str:
    """Returns the warning for a caller who may not read Rejections. `version`: it may be rejected."""
    return f"you may not read Rejections in namespace {namespace}, so it is unknown if {version} is rejected"


def by_hash(rejections: Iterable[Manifest]) -> dict[str, Manifest]:
    """Returns the newest Rejection of each flow, by its hash. `rejections`: newest first."""
    return {each["spec"]["workflowHash"]: each for each in reversed(list(rejections))}


def plan_rejection(api: Api, namespace: str, app: str, version: str | None, reason: str, *, row: Manifest | None = None) -> RejectionPlan:
    """Plans the rejection of a version of an App's workflow, or of the flow that a row ran.

    Raises Unknown, Refusal and kube.errors.ApiError.
    """
    _check_reason(reason, "for the rejection")
    workflow, version_name, hash_of_flow = _flow(api, namespace, app, version, row)
    spec = {"workflowHash": hash_of_flow, "workflow": workflow, "version": version_name, "reason": reason}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": REJECTIONS.kind,
        "metadata": {"namespace": namespace, "name": f"{names.workflow_version(workflow, version_name)}-{secrets.token_hex(4)}"},
        "spec": spec,
    }
    return RejectionPlan(
        namespace,
        app,
        version_name,
        hash_of_flow,
        manifest,
        next(iter(reads.rejections_in_force(api, namespace, hash_of_flow) or ()), None),
    )


def perform_rejection(api: Api, plan: RejectionPlan) -> Manifest:
    """Makes the Rejection and returns it, or the one in force for the same flow.

    Raises kube.errors.ApiError.
    """
    return plan.existing if plan.existing is not None else requests.create(api, REJECTIONS, plan.manifest)


def plan_withdrawal(
    api: Api, namespace: str, app: str, version: str | None, reason: str, *, uid: str | None = None, row: Manifest | None = None
) -> WithdrawalPlan:
    """Plans the withdrawal of the Rejections of a version: those of its flow, and those of flows that were rejected under its name.

    `uid`: the id of one Rejection, in place of the version. Raises Unknown, Refusal and kube.errors.ApiError.
    """
    _check_reason(reason, "for the withdrawal")
    every = reads.newest_rejections_first(requests.items(api, REJECTIONS, namespace))
    if uid is not None:
        # All Rejections of its flow are withdrawn: any other would still prevent deploys.
        spec = _of_id(every, uid)
        version_name, hashes = spec.get("version") or spec["workflowHash"], {spec["workflowHash"]}
    else:
        workflow = reads.find_app(api, namespace, app).spec.workflow
        version_name, hashes = _name_and_hashes(api, namespace, app, version, row, every, workflow)
    in_force = [each for each in every if each["spec"]["workflowHash"] in hashes and not each["spec"].get("withdrawn")]
    if not in_force:
        raise NotNow(f"{version_name} of {app} is not rejected in namespace {namespace}: nothing to withdraw")
    return WithdrawalPlan(namespace, app, version_name, in_force, reason)


def perform_withdrawal(api: Api, plan: WithdrawalPlan) -> list[Manifest]:
    """Withdraws the Rejections, and returns them as stored.

    Raises NotNow if somebody else wrote one of them first, Unknown, and kube.errors.ApiError.
    """
    return [_withdraw(api, each, plan.reason) for each in plan.rejections]


def _of_id(rejections: Iterable[Manifest], uid: str) -> Mapping[str, Any]:
    """Returns the spec of the Rejection with this id.

    Raises Unknown.
    """
    # A withdrawn one counts, too: others of its flow may be in force.
    spec: Mapping[str, Any] | None = next((each["spec"] for each in rejections if each["metadata"]["uid"] == uid), None)
    if spec is None:
        raise Unknown(f"no rejection has the id {uid}, or you may not see it")
    return spec


def _name_and_hashes(
    api: Api, namespace: str, app: str, version: str | None, row: Manifest | None, rejections: Iterable[Manifest], workflow: str
) -> tuple[str, set[str]]:
    """Returns the name of the version, the hash of its flow, and the hashes that were rejected under its name.

    Raises Unknown and Refusal.
    """
    hashes = set()
    if version is not None:  # a Rejection by hash alone has no version
        name = (workflow, version)
        hashes = {
            each["spec"]["workflowHash"] for each in rejections if (each["spec"].get("workflow"), each["spec"].get("version")) == name
        }
    try:
        _, version_name, flow = _flow(api, namespace, app, version, row)
    except Unknown:
        if not hashes:
            raise
        return str(version), hashes
    return version_name, hashes | {flow}


def _withdraw(api: Api, rejection: Manifest, reason: str) -> Manifest:
    meta = rejection["metadata"]
    patch = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "spec": {"withdrawn": {"reason": reason}}}
    try:
        return api.request("PATCH", REJECTIONS.path(meta["namespace"], meta["name"]), query=STRICT, body=patch, content_type=MERGE)
    except errors.NotFound:
        raise Unknown("this rejection was deleted", "rejection") from None
    except errors.Conflict:
        raise NotNow("somebody else just withdrew this rejection: read it again") from None


def _flow(api: Api, namespace: str, app: str, version: str | None, row: Manifest | None) -> tuple[str, str, str]:
    """Returns the workflow, the version and the hash of its flow: of the row, else of the WorkflowVersion, else of a row that ran it.

    Raises Unknown and Refusal.
    """
    if row is not None:
        return _flow_of_row(row)
    app_object = reads.find_app(api, namespace, app)
    workflow = app_object.spec.workflow
    if version is None:
        raise Refusal("name a version, such as v3, or a row that ran it", "version")
    try:
        version_object = requests.read_object(api, VERSIONS, namespace, names.workflow_version(workflow, version))
        return workflow, version, flow_hash(version_object["spec"]["flow"])
    except errors.NotFound:
        rows: Iterable[Manifest] = running.rows(api, namespace, app, app_object.meta.uid)
    for each in rows:
        if _pins(each).get("workflowVersion") == version:
            return _flow_of_row(each)
    raise reads.unknown_version(namespace, workflow, version, running.releases(api, namespace, workflow))


def _flow_of_row(row: Manifest) -> tuple[str, str, str]:
    pins = _pins(row)
    if not pins:
        raise Refusal(f"row {row['metadata']['name']} was never rolled out, so it ran no flow that could be rejected")
    return pins["workflow"], pins["workflowVersion"], pins["workflowHash"]


def _pins(row: Manifest) -> Mapping[str, Any]:
    pins: Mapping[str, Any] = row["spec"].get("pinned") or {}
    return pins


def _check_reason(reason: str, why: str) -> None:
    if not reason.strip():
        raise Refusal(f"give a reason {why}: it must not be empty", "reason")
