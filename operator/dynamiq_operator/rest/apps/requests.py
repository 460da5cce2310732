"""Requests about Apps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dynamiq_operator.rest.http.models import IdInput, RequestModel
from dynamiq_operator.rest.parts.requests import DeploymentConfig, Origins


class AccessControl(RequestModel):
    """Who may call an App."""

    access_type: Annotated[Literal["private", "public"], Field(description="private: callers send an Access Key.")]
    origins: Annotated[Origins | None, Field(description="Web pages that may call it, such as https://app.example.com; `*`: all.")] = None


class NewApp(RequestModel):
    """An App and its first deployment."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[\w ./'-]*[^\W_][\w ./'-]*$", description="Letters, digits, spaces, and . / _ ' -"),
    ]
    project_id: IdInput
    workflow_id: IdInput
    workflow_version_id: Annotated[IdInput | None, Field(description="Left out: the newest release.")] = None
    description: Annotated[str | None, Field(max_length=512)] = None
    runtime_id: Annotated[IdInput | None, Field(description="Left out: the newest Runtime that is not deprecated.")] = None
    access_control: AccessControl | None = None
    deployment_config: DeploymentConfig | None = None
