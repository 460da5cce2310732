"""Defines pins: the parts of a row that make its pods.

Under strategy Switch, rows with the same pins share a workload, which is named by the digest of the pins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.desired.pin_labels import SHORT, digest_of, inputs_of
from dynamiq_operator.model.last_good import pair_of
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.model.runtime import PinnedRuntime, Resources


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
        return inputs_of(self.flow, self.runtime.as_json(), resources)

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
