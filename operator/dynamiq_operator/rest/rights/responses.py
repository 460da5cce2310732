"""Responses about rights."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel
from dynamiq_operator.rest.parts.responses import RightResponse


class AppRights(ResponseModel):
    """The rights of the caller for an App."""

    deploy: RightResponse
    roll_back: Annotated[RightResponse, Field(description="To roll back to a row that went live, and nothing else; for people on call.")]
    promote: Annotated[
        RightResponse, Field(description="To promote to any other environment of the project; `/environments` has it for each.")
    ]
    approve: Annotated[RightResponse, Field(description="To approve or reject a deployment that waits. Its author cannot approve it.")]
    resume: Annotated[RightResponse, Field(description="To resume what waits after a rollback or a freeze.")]
    withdraw: Annotated[RightResponse, Field(description="To withdraw a deployment of one's own that waits.")]
    reject_versions: Annotated[RightResponse, Field(description="To reject a version for everybody, and to withdraw a rejection.")]
    bypass: Annotated[RightResponse, Field(description="To bypass the guards, with a reason.")]
    suspend: Annotated[RightResponse, Field(description="To suspend the App, and to end that.")]
    configure: RightResponse
    delete: RightResponse
    keys_read: RightResponse
    keys_write: RightResponse
    triggers: Annotated[RightResponse, Field(description="To change triggers; to run one takes the right to create Jobs.")]
    pods: RightResponse
    logs: RightResponse
    runs_read: Annotated[RightResponse, Field(description="To list and read the App's runs, without their inputs and outputs.")]
    run_contents: Annotated[RightResponse, Field(description="To read inputs, outputs and error texts, if they are recorded.")]
    runs_score: RightResponse
    runs_answer: Annotated[RightResponse, Field(description="To answer questions of background runs, and to approve.")]
    runs_delete: RightResponse


class ProjectRights(ResponseModel):
    """The rights of the caller in a project."""

    create_app: RightResponse
    release: RightResponse
