"""Responses about guards of deploys."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from dynamiq_operator.actions.rejections import sentence
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.apps.responses import WaitingRef
from dynamiq_operator.rest.deployments.responses import PreviewShape
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time
from dynamiq_operator.rest.parts.deployment import GuardResponse, WaitsResponse
from dynamiq_operator.rest.parts.responses import Author, RowRef, author, identity


class ApprovalResponse(ResponseModel):
    """A decision on a deployment. The operator decides if an approval counts: see `waits` of the deployment, and its `released`."""

    id: Id
    name: str
    deployment_id: Id
    purpose: Annotated[str, Field(json_schema_extra={"enum": [each.value for each in Purpose]})]
    message: str | None
    created_at: Time
    created_by: Annotated[Author | None, Field(description="Its author, as the API server stamped it; none: it does not count.")]
    digest: Annotated[str, Field(description="The deployment's digest as the author saw it.")]
    is_of_this_digest: Annotated[bool, Field(description="True: it matches the deployment's digest. False: it does not count.")]
    is_restored: Annotated[bool, Field(description="True: it was restored from a backup, and does not count.")]

    @classmethod
    def of(cls, raw: Manifest, row: Manifest, **fields: Any) -> Self:
        """Returns an Approval of a row, with further fields."""
        spec = raw["spec"]
        return cls.read(
            spec,
            **identity(raw["metadata"]),
            deployment_id=row["metadata"]["uid"],
            created_by=author(spec.get("by")),
            is_of_this_digest=spec["digest"] == (row["spec"].get("pinned") or {}).get("digest"),
            is_restored=bool(spec.get("restored")),
            **fields,
        )


class MadeApproval(ApprovalResponse):
    """A decision that was just made."""

    says: Annotated[list[str], Field(description="What was done and what is still missing, in sentences.")]
    is_no_op: Annotated[
        bool, Field(description="True: the caller had already decided the same. This is that Approval, and nothing was written.")
    ]
    warnings: Annotated[list[str], Field(description="Why it may not count.")]


class WaitingPreview(PreviewShape):
    """The effects of a waiting deployment, compared with what is live now: what its author saw, and what an approver decides about."""

    deployment_id: Id
    digest: Annotated[str, Field(description="The deployment's digest: send it with an approval of what is shown here.")]
    created_by: Author | None
    message: str | None
    base: Annotated[RowRef | None, Field(description="What was live when it was requested: missing fields were filled in from it.")]
    waiting_for: WaitsResponse | None


class StandingResponse(ResponseModel):
    """The guards that would block a new deployment of the App, and the deployments that wait already."""

    suspended: bool
    holds: Annotated[RowRef | None, Field(description="The rollback since which changes from Git are on hold.")]
    guards: list[GuardResponse]
    waiting: Annotated[list[WaitingRef], Field(description="Deployments that wait, newest first; empty if the caller may read none.")]


class WithdrawnShape(ResponseModel):
    by: Author | None
    reason: str


class RejectionResponse(ResponseModel):
    """A version that nobody can deploy, by the hash of its flow: under whatever name, and in promotions from here."""

    id: Id
    name: str
    workflow: Annotated[str | None, Field(description="The version's name when it was rejected.")]
    version: str | None
    flow_hash: str
    reason: str
    created_at: Time
    created_by: Author | None
    withdrawn: Annotated[WithdrawnShape | None, Field(description="Who withdrew it and why: the version may be deployed again.")]
    message: Annotated[str, Field(description="The same in a sentence.")]

    @classmethod
    def of(cls, raw: Manifest) -> RejectionResponse:
        """Returns a stored Rejection."""
        spec = raw["spec"]
        who = {"created_by": author(spec.get("by")), "flow_hash": spec["workflowHash"], "message": sentence(raw)}
        return cls.read(spec, **identity(raw["metadata"]), **who)


class Policy(ResponseModel):
    """A DeployPolicy: guards of deploys into the namespaces that it selects."""

    id: Id
    name: str
    created_at: Time
    spec: Annotated[dict[str, Any], Field(description="As it is stored: `kubectl explain deploypolicy.spec` explains each field.")]

    @classmethod
    def of(cls, raw: Manifest) -> Policy:
        """Returns a stored DeployPolicy."""
        return cls.read(raw, **identity(raw["metadata"]))
