"""Reads endpoints of an EndpointSlice, for all code that decides where callers are routed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_ready(endpoint: Mapping[str, Any]) -> bool:
    """Returns True if callers are routed to it. Like Kubernetes, takes an endpoint without a `ready` condition for ready."""
    return (endpoint.get("conditions") or {}).get("ready") is not False
