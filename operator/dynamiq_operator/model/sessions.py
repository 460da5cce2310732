"""spec.sessions of an App: conversations stay on the version that they began on."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Part


class WhenUnknown(StrEnum):
    """The version of a conversation whose own is unknown, since the journal is away."""

    LIVE = "Live"
    REFUSE = "Refuse"


class SessionsPolicy(Part):
    """How long conversations stay on the version that they began on."""

    idle_seconds: Annotated[
        int | None, Field(ge=60, le=604_800, description="Seconds without a turn after which it ends. Left out: 1800.")
    ] = None
    warm_seconds: Annotated[
        int | None, Field(ge=0, le=86_400, description="Seconds after its last turn for which a pod is kept for it. Left out: 300.")
    ] = None
    when_unknown: Annotated[
        WhenUnknown | None, Field(description="Where a turn goes while the journal is away and its version unknown. Left out: Live.")
    ] = None
