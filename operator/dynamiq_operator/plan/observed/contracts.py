"""The contracts of the flows of rows that are about to be pinned, and the shapes of the App's recorded runs. It judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dynamiq_operator.model.contract import Contract
from dynamiq_operator.model.shapes import Shapes


@dataclass(frozen=True)
class ObservedContracts:
    """Contracts by the hash of their flow; a flow that could not be read is missing.

    `shapes`: of the fields that have to be counted; None if they were not asked for, or not answered. `problem`: why.
    """

    by_hash: Mapping[str, Contract] = field(default_factory=dict)
    shapes: Shapes | None = None
    problem: str = ""
