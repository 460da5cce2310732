"""Responses about environments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel
from dynamiq_operator.rest.parts.responses import RightResponse


class Environment(ResponseModel):
    """A namespace of the App's project, and the App of the same name there."""

    environment: Annotated[str | None, Field(description="The namespace's label; none only for the App's own namespace without one.")]
    project_id: Id
    project_name: Annotated[str, Field(description="The namespace.")]
    is_own: Annotated[bool, Field(description="True: the App itself is in it.")]
    app_id: Annotated[Id | None, Field(description="None if there is no such App yet, or the caller may not read it.")]
    live_version: str | None
    hostname: Annotated[str | None, Field(description="What callers use there, as in an App.")]
    needs_hostname: Annotated[bool, Field(description="True: a first promotion to it must give a hostname.")]
    promote: Annotated[
        RightResponse, Field(description="Includes what a first promotion creates if the App or its version does not exist yet.")
    ]
