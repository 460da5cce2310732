"""Responses about rights."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel
from dynamiq_operator.rest.parts.responses import RightResponse


class AppRights(ResponseModel):
    """The rights of the caller for an App."""

    deploy: RightResponse
    roll_back: Annotated[
        RightResponse, Field(description="To bring back a row that went live, and nothing else of it: who is on call has it.")
    ]
    promote: Annotated[RightResponse, Field(description="To any other environment of the project; `/environments` tells it of each.")]
    approve: Annotated[
        RightResponse, Field(description="To approve a deployment that waits, or to reject it; the author of one approves none of it.")
    ]
    resume: Annotated[RightResponse, Field(description="To let go on what is held after a rollback or a freeze.")]
    withdraw: Annotated[RightResponse, Field(description="To withdraw a deployment of one's own that waits.")]
    reject_versions: Annotated[RightResponse, Field(description="To reject a version for everybody, and to withdraw that.")]
    bypass: Annotated[RightResponse, Field(description="To go past the rules for deploys, with a reason.")]
    suspend: Annotated[RightResponse, Field(description="To suspend the App, and to take that off.")]
    configure: RightResponse
    delete: RightResponse
    keys_read: RightResponse
    keys_write: RightResponse
    triggers: Annotated[RightResponse, Field(description="To change triggers; to run one takes the right to create Jobs.")]
    pods: RightResponse
    logs: RightResponse
    runs_read: Annotated[RightResponse, Field(description="To list the App's runs and to read them, without what they were called with.")]
    run_contents: Annotated[RightResponse, Field(description="To read inputs, outputs and texts of errors, where they are recorded.")]
    runs_score: RightResponse
    runs_delete: RightResponse


class ProjectRights(ResponseModel):
    """The rights of the caller in a project."""

    create_app: RightResponse
    release: RightResponse
