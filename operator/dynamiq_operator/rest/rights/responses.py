"""Responses about rights, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel, example
from dynamiq_operator.rest.shared.responses import Right

_YES = {"allowed": True, "needs": None}
_NO = {"allowed": False, "needs": "get pods/log in demo: the role dynamiq-deployer has it"}


class AppRights(ResponseModel):
    """The rights of the caller for an App."""

    model_config = example(
        deploy=_YES,
        roll_back=_YES,
        promote=_YES,
        approve={**_NO, "needs": "approve deployments.dynamiq.getdynamiq.ai in demo: the role dynamiq-approver has it"},
        resume=_YES,
        withdraw=_YES,
        reject_versions={**_NO, "needs": "create rejections.dynamiq.getdynamiq.ai in demo: the role dynamiq-approver has it"},
        bypass={**_NO, "needs": "bypass deployments.dynamiq.getdynamiq.ai in demo: the role dynamiq-bypass has it"},
        suspend=_YES,
        configure=_YES,
        delete=_YES,
        keys_read=_YES,
        keys_write=_YES,
        triggers=_YES,
        pods=_YES,
        logs=_NO,
        runs_read=_YES,
        run_contents=_NO | {"needs": "get apps.dynamiq.getdynamiq.ai/runcontents named chat in demo: the role dynamiq-deployer has it"},
        runs_score=_YES,
        runs_delete=_YES,
    )

    deploy: Right
    roll_back: Annotated[Right, Field(description="To roll back to a row that went live, and nothing else; for people on call.")]
    promote: Annotated[Right, Field(description="To promote to any other environment of the project; `/environments` has it for each.")]
    approve: Annotated[Right, Field(description="To approve or reject a deployment that waits. Its author cannot approve it.")]
    resume: Annotated[Right, Field(description="To resume what waits after a rollback or a freeze.")]
    withdraw: Annotated[Right, Field(description="To withdraw a deployment of one's own that waits.")]
    reject_versions: Annotated[Right, Field(description="To reject a version for everybody, and to withdraw a rejection.")]
    bypass: Annotated[Right, Field(description="To bypass the guards, with a reason.")]
    suspend: Annotated[Right, Field(description="To suspend the App, and to end that.")]
    configure: Right
    delete: Right
    keys_read: Right
    keys_write: Right
    triggers: Annotated[Right, Field(description="To change triggers; to run one takes the right to create Jobs.")]
    pods: Right
    logs: Right
    runs_read: Annotated[Right, Field(description="To list and read the App's runs, without their inputs and outputs.")]
    run_contents: Annotated[Right, Field(description="To read inputs, outputs and error texts, if they are recorded.")]
    runs_score: Right
    runs_delete: Right


class ProjectRights(ResponseModel):
    """The rights of the caller in a project."""

    model_config = example(
        create_app=_YES, release={**_NO, "needs": "create workflowversions.dynamiq.getdynamiq.ai in demo: the role dynamiq-edit has it"}
    )

    create_app: Right
    release: Right
