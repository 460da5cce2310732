"""Responses about environments, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel, example
from dynamiq_operator.rest.shared.examples import PROJECT
from dynamiq_operator.rest.shared.responses import Right


class Environment(ResponseModel):
    """A namespace of the App's project, and the App of the same name there."""

    model_config = example(
        environment="production",
        project_id=PROJECT,
        project_name="support-prod",
        is_own=False,
        app_id=None,
        live_version=None,
        hostname=None,
        needs_hostname=True,
        promote={"allowed": True, "needs": None},
    )

    environment: Annotated[str | None, Field(description="The namespace's label; none only for the App's own namespace without one.")]
    project_id: Id
    project_name: Annotated[str, Field(description="The namespace.")]
    is_own: Annotated[bool, Field(description="True: the App itself is in it.")]
    app_id: Annotated[Id | None, Field(description="None if there is no such App yet, or the caller may not read it.")]
    live_version: str | None
    hostname: Annotated[str | None, Field(description="What callers use there, as in an App.")]
    needs_hostname: Annotated[bool, Field(description="True: a first promotion to it must give a hostname.")]
    promote: Annotated[Right, Field(description="Includes what a first promotion creates if the App or its version does not exist yet.")]
