"""Computes the digest of pins, and reads the label with it, from JSON data. Imports no pydantic: the plugin's `status` runs without models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.manifests import Manifest

PLAIN = ""
"""The pins label of the one workload of strategy Rolling."""
SHORT = 8
"""Hex characters of the digest in names and labels."""


def inputs_of(flow: str, runtime: Mapping[str, Any], resources: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the content of the digest of pins."""
    return {"flow": flow, "runtime": runtime, "resources": resources}


def stored_digest(pinned: Mapping[str, Any]) -> str:
    """Returns the digest of the pins of a row as the API server has them: `Pins.digest` of the same row."""
    return digest_of(inputs_of(pinned["workflowHash"], pinned["runtime"], pinned["config"].get("resources")))


def digest_of(content: Mapping[str, Any]) -> str:
    return canonical(content).removeprefix("sha256:")[:16]


def label_of(raw: Mapping[str, Any]) -> str:
    """Returns the pins label of an object; empty if it has none."""
    return str((raw["metadata"].get("labels") or {}).get(names.PINS_LABEL, ""))


def selected_pins(selector: Mapping[str, str]) -> str:
    """Returns the pins label of a selector; empty if it selects pods of any pins."""
    return str(selector.get(names.PINS_LABEL, ""))


def pod_selector(app: str, label: str) -> dict[str, str]:
    """Returns the selector of an App's pods of these pins; of all its pods if `label` is empty."""
    return names.pod_selector(app) | ({names.PINS_LABEL: label} if label else {})


def finishing_by_label(app: str, workloads: Iterable[Manifest]) -> dict[str, Manifest]:
    """Returns the workloads that only finish an App's background runs, by the pins label of their selectors."""
    selectors = ((raw["spec"].get("selector", {}).get("matchLabels") or {}, raw) for raw in workloads)
    finishing = ((selected_pins(selector), raw) for selector, raw in selectors if selector.get(names.FINISHING_OF_LABEL) == app)
    return {label: raw for label, raw in finishing if raw["metadata"]["name"] == names.finishing(app, label)}


def by_label(app: str, workloads: Iterable[Manifest]) -> dict[str, Manifest]:
    """Returns an App's workloads by the pins label of their selectors, which are immutable."""
    # Labels are not enough: a copy of a workload has its labels, too, but another name.
    labelled = ((selected_pins(raw["spec"].get("selector", {}).get("matchLabels") or {}), raw) for raw in workloads)
    return {label: raw for label, raw in labelled if raw["metadata"]["name"] == names.workload(app, label)}
