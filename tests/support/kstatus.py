"""What tools that know kstatus (kubectl apply's siblings, Flux, kpt) make of an object of ours."""

from __future__ import annotations

from tests.support.api import Manifest
from tests.support.stage import condition


def kstatus(found: Manifest) -> str:
    """The status that kstatus (kubectl apply's siblings, Flux, kpt) computes of a custom resource."""
    seen = found.get("status", {}).get("observedGeneration")
    if seen is not None and seen != found["metadata"]["generation"]:
        return "InProgress"
    if condition(found, "Reconciling").get("status") == "True":
        return "InProgress"
    if condition(found, "Stalled").get("status") == "True":
        return "Failed"
    return "Current" if condition(found, "Ready").get("status", "True") == "True" else "InProgress"
