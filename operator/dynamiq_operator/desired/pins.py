"""Defines pins: the parts of a row that make its pods.

Under strategy Switch, rows with the same pins share a workload, which is named by the digest of the pins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.model import names
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.last_good import pair_of
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.model.runtime import PinnedRuntime, Resources

PLAIN = ""
"""The pins label of the one workload of strategy Rolling."""
SHORT = 8
"""Hex characters of the digest in names and labels."""


@dataclass(frozen=True)
class Pins:
    """Flow, runtime and resources of a row. `version`, the flow's name in logs and metrics, is not part of the digest."""

    flow: str
    version: str
    runtime: PinnedRuntime
    resources: Resources | None

    @classmethod
    def of(cls, pinned: Pinned) -> Pins:
        return cls(pinned.workflow_hash, pinned.workflow_version, pinned.runtime, pinned.config.resources)

    @classmethod
    def read(cls, raw: object) -> Pins | None:
        """Parses the result of `as_json`; None for anything else."""
        if not isinstance(raw, Mapping):
            return None
        try:
            resources = Resources.model_validate(raw["resources"]) if raw["resources"] is not None else None
            return cls(str(raw["flow"]), str(raw["version"]), PinnedRuntime.model_validate(raw["runtime"]), resources)
        except (KeyError, TypeError, ValidationError):
            return None

    def as_json(self) -> dict[str, Any]:
        return {"version": self.version, **self.inputs}

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """The content of the digest, and the first part of a template digest."""
        resources = self.resources.as_json() if self.resources is not None else None
        return {"flow": self.flow, "runtime": self.runtime.as_json(), "resources": resources}

    @property
    def pair(self) -> str:
        """The digest that compares rows without their compute."""
        return pair_of({"workflowHash": self.flow, "runtime": self.runtime.as_json()})

    @cached_property
    def digest(self) -> str:
        """The digest of these inputs, as 16 hex characters."""
        return digest_of(self.inputs)

    @property
    def label(self) -> str:
        """The value of the pins label on the workload of these pins and on its pods."""
        return self.digest[:SHORT]


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


def by_label(app: str, workloads: Iterable[Manifest]) -> dict[str, Manifest]:
    """Returns an App's workloads by the pins label of their selectors, which are immutable."""
    # Labels are not enough: a copy of a workload has its labels, too, but another name.
    labelled = ((selected_pins(raw["spec"].get("selector", {}).get("matchLabels") or {}), raw) for raw in workloads)
    return {label: raw for label, raw in labelled if raw["metadata"]["name"] == names.workload(app, label)}
