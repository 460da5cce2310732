"""What may keep rows of an App from being deployed, as observed: policies, Approvals, Rejections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.model.objects import Approval, DeployPolicy, Rejection


@dataclass(frozen=True)
class ObservedGuards:
    """`policies`: those that select the App's namespace, by name. `approvals`: those that name one of its open rows, oldest first.

    `rejections`: by hash of a flow, those of its namespace that are not withdrawn. `at_source`: by the name of a row that promotes, the
    Rejection of its flow in the source's namespace. `unknown`: why policies, Approvals or Rejections cannot be read; empty where they can.
    `outdated`: the definitions in the cluster are older than this operator, and would drop what rows note of guards.
    `stamped_since`: from when on the API server has stamped who creates an Approval; None where it does not, or nobody asked.
    """

    policies: tuple[DeployPolicy, ...] = ()
    approvals: tuple[Approval, ...] = ()
    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    at_source: Mapping[str, Rejection] = field(default_factory=dict)
    unknown: str = ""
    stamped_since: datetime | None = None
    outdated: bool = False
