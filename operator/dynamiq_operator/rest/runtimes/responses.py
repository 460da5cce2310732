"""Responses about Runtimes, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.runtime import Engine
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import RUNS_ON


class Runtime(ResponseModel):
    """An approved version of the runtime."""

    model_config = example(
        **RUNS_ON,
        name="runtime-1.4.0",
        image=f"registry.example/runtime@sha256:{'5d7a' * 16}",
        is_pinned_by_digest=True,
        deprecated=False,
        engine="tiny",
        created_at="2026-11-20T09:00:00Z",
    )

    id: Id
    name: Annotated[str, Field(description="The Runtime's own name: two may be of one version.")]
    version: str
    label: str | None
    image: Annotated[str, Field(description="Image that pods run.")]
    is_pinned_by_digest: Annotated[bool, Field(description="True: the image names a digest. A tag can change.")]
    deprecated: Annotated[bool, Field(description="True: a first deployment that names no Runtime does not get it.")]
    engine: Annotated[str, Field(json_schema_extra={"enum": [engine.value for engine in Engine]}, description="What runs a flow.")]
    created_at: Time
