"""Observed objects that may guard an App's rows: policies, Approvals and Rejections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.model.guard_objects import Approval, DeployPolicy, Rejection


@dataclass(frozen=True)
class ObservedGuards:
    """The observed objects that may guard an App's rows.

    - `policies`: those that select the App's namespace, by name.
    - `approvals`: those that name one of its open rows, oldest first.
    - `rejections`: those of its namespace that are not withdrawn, by hash of the flow.
    - `at_source`: the Rejection of a promoted flow in its source's namespace, by name of the promoting row.
    - `unknown`: why policies, Approvals or Rejections are unreadable; empty if they are readable.
    - `stamped_since`: since when the API server stamps who creates an Approval; None if it does not, or if that is not needed.
    - `outdated`: True if the cluster's CRDs are older than this operator, and would drop what rows note about guards.
    """

    policies: tuple[DeployPolicy, ...] = ()
    approvals: tuple[Approval, ...] = ()
    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    at_source: Mapping[str, Rejection] = field(default_factory=dict)
    unknown: str = ""
    stamped_since: datetime | None = None
    outdated: bool = False

    @property
    def asks_approvals(self) -> bool:
        """True if a readable policy requires approvals."""
        return any(each.spec.approvals is not None for each in self.policies)
