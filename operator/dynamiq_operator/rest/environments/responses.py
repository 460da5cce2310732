"""Responses about environments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel
from dynamiq_operator.rest.parts.responses import RightResponse


class Environment(ResponseModel):
    """A namespace of the App's project, and the App of the same name there."""

    environment: Annotated[str | None, Field(description="The namespace's label; only the App's own may have none.")]
    project_id: Id
    project_name: Annotated[str, Field(description="The namespace.")]
    is_own: Annotated[bool, Field(description="Whether it is the one that the App is in.")]
    app_id: Annotated[Id | None, Field(description="None where there is no such App yet, or the caller may not read it.")]
    live_version: str | None
    hostname: Annotated[str | None, Field(description="What callers use there, as of an App.")]
    needs_hostname: Annotated[bool, Field(description="A first promotion to it has to name a hostname.")]
    promote: Annotated[
        RightResponse, Field(description="With what a first promotion makes, where the App or its version is not there yet.")
    ]
