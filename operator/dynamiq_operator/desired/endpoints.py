"""How an endpoint of an EndpointSlice reads, for all that decide where callers end up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_ready(endpoint: Mapping[str, Any]) -> bool:
    """Whether callers are led to it. Kubernetes takes one that does not say so for ready."""
    return (endpoint.get("conditions") or {}).get("ready") is not False
