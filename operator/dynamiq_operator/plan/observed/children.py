"""An App's children as observed, and why some could not be made. It compares nothing: `plan.children` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.jobs import TriggerJob
from dynamiq_operator.plan.observed.problems import ChildProblem


@dataclass(frozen=True)
class ObservedChildren:
    """The children of one App."""

    observed: Mapping[ChildKey, Manifest] = field(default_factory=dict)
    """The objects with our labels for this App, by kind and name."""
    flows: frozenset[str] = frozenset()
    """Hashes of the flows that its ConfigMaps have."""
    runs: tuple[TriggerJob, ...] = ()
    """Jobs of its triggers."""
    problems: Mapping[ChildKey, ChildProblem] = field(default_factory=dict)
    """Children that could not be made lately."""
    denied: Mapping[str, str] = field(default_factory=dict)
    """Why the operator may not list a kind, by kind. Children of such a kind are not created, changed or deleted."""
    has_gateway_api: bool = True
    """True if HTTPRoutes can be created."""

    def holds_back(self, key: ChildKey, digest: str) -> bool:
        """Returns True if a manifest of this digest must not be sent now: this child could not be made of it lately."""
        problem = self.problems.get(key)
        return problem is not None and problem.holds_back(digest)
