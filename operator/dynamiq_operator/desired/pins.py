"""Pins: what of a row makes its pods. Rows with the same pins share a workload under strategy Switch, named by the pins' digest."""

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
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.model.runtime import PinnedRuntime, Resources

PLAIN = ""
"""In the place of a pins label: the one workload of strategy Rolling."""
SHORT = 8
"""Hex characters of the digest that stand in names and labels."""


@dataclass(frozen=True)
class Pins:
    """Flow, runtime and resources of a row. `version` is how pods call the flow in logs and metrics; it is no part of the digest."""

    flow: str
    version: str
    runtime: PinnedRuntime
    resources: Resources | None

    @classmethod
    def of(cls, pinned: Pinned) -> Pins:
        return cls(pinned.workflow_hash, pinned.workflow_version, pinned.runtime, pinned.config.resources)

    @classmethod
    def read(cls, raw: object) -> Pins | None:
        """What `as_json` made; None where it is anything else."""
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
        """What the digest is of, and what a template's digest begins with."""
        resources = self.resources.as_json() if self.resources is not None else None
        return {"flow": self.flow, "runtime": self.runtime.as_json(), "resources": resources}

    @property
    def pair(self) -> str:
        """The digest by which rows are compared whatever their compute is."""
        return pair_of({"workflowHash": self.flow, "runtime": self.runtime.as_json()})

    @cached_property
    def digest(self) -> str:
        """Of a template's inputs, as 16 hex characters."""
        return digest_of(self.inputs)

    @property
    def label(self) -> str:
        """The value of the pins label of the workload of these pins, and of its pods."""
        return self.digest[:SHORT]


def digest_of(content: Mapping[str, Any]) -> str:
    return canonical(content).removeprefix("sha256:")[:16]


def label_of(raw: Mapping[str, Any]) -> str:
    """The pins label of an object; empty where it has none."""
    return str((raw["metadata"].get("labels") or {}).get(names.PINS_LABEL, ""))


def selected_pins(selector: Mapping[str, str]) -> str:
    """The pins that a selector asks for; empty where it takes the pods of any."""
    return str(selector.get(names.PINS_LABEL, ""))


def pod_selector(app: str, label: str) -> dict[str, str]:
    """The pods of an App of these pins; of any, where `label` is empty."""
    return names.pod_selector(app) | ({names.PINS_LABEL: label} if label else {})


def by_label(app: str, found: Iterable[Manifest]) -> dict[str, Manifest]:
    """An App's workloads by the pins label of their selectors, which nobody can change.

    One of another name is none of them, whatever its labels: who copies a workload copies its labels, too.
    """
    labelled = ((selected_pins(raw["spec"].get("selector", {}).get("matchLabels") or {}), raw) for raw in found)
    return {label: raw for label, raw in labelled if raw["metadata"]["name"] == names.workload(app, label)}
