"""Responses about Runtimes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.runtime import Engine
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time
from dynamiq_operator.rest.parts.responses import identity


class RuntimeResponse(ResponseModel):
    """An approved version of the runtime."""

    id: Id
    name: Annotated[str, Field(description="The Runtime's own name: two may be of one version.")]
    version: str
    label: str | None
    image: Annotated[str, Field(description="Image that pods run.")]
    is_pinned_by_digest: Annotated[bool, Field(description="True: the image names a digest. A tag can change.")]
    deprecated: Annotated[bool, Field(description="True: a first deployment that names no Runtime does not get it.")]
    engine: Annotated[str, Field(json_schema_extra={"enum": [engine.value for engine in Engine]}, description="What runs a flow.")]
    created_at: Time

    @classmethod
    def of(cls, raw: Manifest) -> RuntimeResponse:
        """Returns a stored Runtime."""
        spec = raw["spec"]
        engine = spec.get("engine") or Engine.TINY.value
        return cls.read(spec, **identity(raw["metadata"]), is_pinned_by_digest="@sha256:" in spec["image"], engine=engine)
