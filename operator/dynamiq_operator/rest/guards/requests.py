"""Requests about waiting rows, rejected versions and suspension."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dynamiq_operator.rest.http.models import IdInput, RequestModel

_Reason = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"\S")]


class NewApproval(RequestModel):
    """A decision on a waiting deployment."""

    purpose: Annotated[
        Literal["Approve", "Resume", "Reject", "Withdraw"],
        Field(
            description="Approve: deploy it. Resume: deploy it after a hold or a freeze. Reject: never deploy it. Withdraw: its author "
            "cancels it."
        ),
    ]
    message: Annotated[str | None, Field(max_length=1024, description="Why. It is stored with the history.")] = None
    digest: Annotated[
        str | None,
        Field(
            pattern="^sha256:[0-9a-f]{64}$",
            description="The deployment's `digest` as you saw it. If it differs, nothing is written, and 409 has both.",
        ),
    ] = None


class NewRejection(RequestModel):
    """A version to reject: by its id, or by a deployment that ran it, if its WorkflowVersion is deleted."""

    workflow_version_id: Annotated[IdInput | None, Field(description="A version of the App's workflow.")] = None
    deployment_id: Annotated[IdInput | None, Field(description="A deployment of the App that ran it, instead of workflow_version_id.")] = (
        None
    )
    reason: Annotated[_Reason, Field(description="Why nobody may deploy it.")]


class Withdrawal(RequestModel):
    """A withdrawal of rejections, after which the version may be deployed again."""

    reason: Annotated[_Reason, Field(description="Why it may be deployed again.")]
