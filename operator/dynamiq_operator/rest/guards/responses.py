"""Responses about guards of deploys, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.rest.apps.responses import WaitingRef
from dynamiq_operator.rest.deployments.responses import PREVIEW, PreviewShape
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import ANNA, DEPLOYMENT, GUARD, OTTO, ROW, WAITS
from dynamiq_operator.rest.shared.responses import Author, Guard, RowRef, Waits

_APPROVAL: dict[str, Any] = {
    "id": "c1f0f0b5-7bd0-4dd6-a0a3-1b7d0d5a6b52",
    "name": "support-x8cc4-0c1f93aa",
    "deployment_id": ROW,
    "purpose": "Approve",
    "message": "Read the diff, and tried it in staging",
    "created_at": "2026-11-24T22:22:41Z",
    "created_by": OTTO,
    "digest": DEPLOYMENT["digest"],
    "is_of_this_digest": True,
    "is_restored": False,
}


class Approval(ResponseModel):
    """A decision on a deployment. The operator decides if an approval counts: see `waits` of the deployment, and its `released`."""

    model_config = example(**_APPROVAL)

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


class MadeApproval(Approval):
    """A decision that was just made."""

    model_config = example(
        **_APPROVAL, says=["approved #13 (support-x8cc4) of support", "1 more approval is needed"], is_no_op=False, warnings=[]
    )

    says: Annotated[list[str], Field(description="What was done and what is still missing, in sentences.")]
    is_no_op: Annotated[
        bool, Field(description="True: the caller had already decided the same. This is that Approval, and nothing was written.")
    ]
    warnings: Annotated[list[str], Field(description="Why it may not count.")]


class WaitingPreview(PreviewShape):
    """The effects of a waiting deployment, compared with what is live now: what its author saw, and what an approver decides about."""

    model_config = example(
        **{
            **PREVIEW,
            "to": {**PREVIEW["to"], "row": "support-k2x7p", "sequence": 3, "restores": None},
            "guards": [],
            "waits": WAITS["message"],
            "begins_hold": False,
        },
        deployment_id="5f1a0b5e-52a5-5f0a-9c1e-7a9a3f0f7a11",
        digest=DEPLOYMENT["digest"],
        created_by=ANNA,
        message="Answers in French",
        base={"row": "support-x8cc4", "sequence": 2},
        waiting_for=WAITS,
    )

    deployment_id: Id
    digest: Annotated[str, Field(description="The deployment's digest: send it with an approval of what is shown here.")]
    created_by: Author | None
    message: str | None
    base: Annotated[RowRef | None, Field(description="What was live when it was requested: missing fields were filled in from it.")]
    waiting_for: Waits | None


class Standing(ResponseModel):
    """The guards that would block a new deployment of the App, and the deployments that wait already."""

    model_config = example(
        suspended=False,
        holds={"row": "support-x8cc4", "sequence": 2},
        guards=[
            GUARD,
            {
                "reason": "Held",
                "message": "After the rollback in #2, changes from Git are on hold. To apply them again: `kubectl dynamiq resume support -n demo`",
                "applies_to": ["Git"],
                "policy": None,
                "until": None,
            },
        ],
        waiting=[
            {
                "deployment_id": "5f1a0b5e-52a5-5f0a-9c1e-7a9a3f0f7a11",
                "name": "support-k2x7p",
                "sequence": 3,
                "version": "v3",
                "status": "Pending",
                "waits": WAITS,
            }
        ],
    )

    suspended: bool
    holds: Annotated[RowRef | None, Field(description="The rollback since which changes from Git are on hold.")]
    guards: list[Guard]
    waiting: Annotated[list[WaitingRef], Field(description="Deployments that wait, newest first; empty if the caller may read none.")]


class WithdrawnShape(ResponseModel):
    by: Author | None
    reason: str


class Rejection(ResponseModel):
    """A version that nobody can deploy, by the hash of its flow: under whatever name, and in promotions from here."""

    model_config = example(
        id="8a0c6d0e-7f5b-4a53-8b39-3f3f0cf0d1d4",
        name="support-v5-91ab03c2",
        workflow="support",
        version="v5",
        flow_hash=DEPLOYMENT["flow_hash"],
        reason="It loses invoices",
        created_at="2026-11-24T22:22:41Z",
        created_by=OTTO,
        withdrawn=None,
        message="v5 was rejected by otto@example.com: It loses invoices",
    )

    id: Id
    name: str
    workflow: Annotated[str | None, Field(description="The version's name when it was rejected.")]
    version: str | None
    flow_hash: str
    reason: str
    created_at: Time
    created_by: Author | None
    withdrawn: Annotated[
        WithdrawnShape | None, Field(description="When the rejection ended: after that the version may be deployed again.")
    ]
    message: Annotated[str, Field(description="The same in a sentence.")]


class Policy(ResponseModel):
    """A DeployPolicy: guards of deploys into the namespaces that it selects."""

    model_config = example(
        id="6d1c4f0a-0a4f-4a0b-8f40-0b5b8e5c1d6e",
        name="production",
        created_at="2026-11-20T09:00:00Z",
        spec={
            "namespaceSelector": {"matchLabels": {"dynamiq.getdynamiq.ai/environment": "production"}},
            "approvals": {"count": 1},
            "freezes": [{"name": "weekend", "cron": "0 17 * * 5", "duration": "61h", "timeZone": "Europe/Berlin"}],
        },
    )

    id: Id
    name: str
    created_at: Time
    spec: Annotated[dict[str, Any], Field(description="As it is stored: `kubectl explain deploypolicy.spec` explains each field.")]
