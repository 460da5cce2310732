"""Requests about deployments."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.rest.http.models import IdInput, RequestModel
from dynamiq_operator.rest.parts.requests import DeploymentConfig

Message = Annotated[str | None, Field(max_length=1024, description="Why. The history shows it.")]


class ConfirmedSide(RequestModel):
    """A side of a preview, whole or in part."""

    row: str | None = None
    sequence: int | None = None
    version: str | None = None
    flow_hash: str | None = None
    runtime: str | None = None
    runtime_name: str | None = None
    image: str | None = None
    config: dict[str, Any] | None = None
    resources: dict[str, Any] | None = None
    restores: str | None = None


class Confirmed(ConfirmedSide):
    """The preview that was confirmed: its `to`, whole or in part.

    If a part would be another one now, nothing is made: 409 with both values. Otherwise the new row names all that the preview showed, so
    that nothing is left open. `from` and `under_way` of the preview are compared if they are given: a deploy by somebody else in between
    then also leads to 409.
    """

    row: Annotated[str | None, Field(description="Not compared: the new row does not exist yet.")] = None
    sequence: Annotated[int | None, Field(description="Not compared.")] = None
    from_: Annotated[
        ConfirmedSide | None,
        Field(alias="from", description="What was live: `from` of the preview, whole or in part; null if nothing was."),
    ] = None
    under_way: Annotated[str | None, Field(description="What was being rolled out: `under_way` of the preview; null if nothing was.")] = (
        None
    )

    guards: Annotated[
        list[dict[str, Any]] | None, Field(max_length=64, description="What would block it: all `guards` of the preview.")
    ] = None
    begins_hold: Annotated[bool | None, Field(description="True: changes from Git are on hold after it: `begins_hold` of the preview.")] = (
        None
    )

    def sent(self) -> dict[str, Any]:
        """Returns the parts that were sent."""
        return self.model_dump(exclude_unset=True, by_alias=True)


BypassReason = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=1024,
        pattern=r"\S",
        description="Why the guards are bypassed: the row then waits for none. It takes the right to bypass, and the history shows it.",
    ),
]
Confirms = Annotated[
    Confirmed | None,
    Field(
        description="`to` of the preview that was confirmed, with its `from` and `under_way` if they must not differ, either. "
        "Left out: missing fields are those live at the deploy."
    ),
]


class NewDeployment(RequestModel):
    """A deploy: a new row of the App's history. Omitted parts keep what is live."""

    workflow_id: Annotated[
        IdInput | None,
        Field(description="The App's. With `restores` it may be left out: a rollback needs no workflow."),
    ] = None
    workflow_version_id: Annotated[IdInput | None, Field(description="Left out: the newest release.")] = None
    runtime_id: IdInput | None = None
    deployment_config: DeploymentConfig | None = None
    message: Message = None
    restores: Annotated[IdInput | None, Field(description="Id of a deployment to roll back to, instead of workflow_version_id.")] = None
    with_config: Annotated[
        bool,
        Field(description="With restores: also deploy that deployment's scaling and resources, instead of deployment_config."),
    ] = False
    hold: Annotated[
        bool | None,
        Field(description="Of a rollback, false: changes from Git are not put on hold. Left out: as the App's holdAfterRollback."),
    ] = None
    take_sessions: Annotated[
        bool,
        Field(
            description="True: once it is live, conversations that began before it on other versions are answered by it. Left out: each "
            "stays on its version. Only for an App with spec.sessions."
        ),
    ] = False
    bypass_reason: BypassReason = None
    confirmed: Confirms = None


class PromotionFields(RequestModel):
    """The target to which what the App serves is promoted."""

    environment: Annotated[
        str, Field(min_length=1, max_length=63, description="Environment of the same project: a label of its namespace.")
    ] = "production"
    project_id: Annotated[IdInput | None, Field(description="The target, if several namespaces belong to this environment.")] = None
    hostname: Annotated[str | None, Field(max_length=253, description="For a first promotion: the App's hostname there.")] = None
    message: Message = None
    bypass_reason: BypassReason = None
    confirmed: Confirms = None
