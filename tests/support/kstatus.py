"""Computes the kstatus of an object of ours, as kubectl apply's siblings, Flux and kpt do."""

from __future__ import annotations

from tests.support.api import Manifest
from tests.support.stage import condition


def kstatus(raw: Manifest) -> str:
    """Returns the status that kstatus (kubectl apply's siblings, Flux, kpt) computes for a custom resource."""
    observed = raw.get("status", {}).get("observedGeneration")
    if observed is not None and observed != raw["metadata"]["generation"]:
        return "InProgress"
    if condition(raw, "Reconciling").get("status") == "True":
        return "InProgress"
    if condition(raw, "Stalled").get("status") == "True":
        return "Failed"
    return "Current" if condition(raw, "Ready").get("status", "True") == "True" else "InProgress"
