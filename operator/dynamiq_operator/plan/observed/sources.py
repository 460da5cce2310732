"""The objects beyond its App from which a row is pinned. It pins nothing: `model.completion` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.model.objects import Row, Runtime, Version


@dataclass(frozen=True)
class PinSources:
    """The objects from which rows are pinned."""

    versions: tuple[Version, ...] = ()
    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    promotions: Mapping[str, Row] = field(default_factory=dict)
    """The row of another App that a row promotes, by the promoting row's name. Missing sources are left out."""
    unknown: Mapping[ChildKey, str] = field(default_factory=dict)
    """Why a release, a Runtime or the source of a promotion is unreadable, by kind and name."""
    authors_stamped_since: datetime | None = None
    """Since when the API server stamps who creates a row; None if it does not."""

    def release_of(self, flow_hash: str) -> Version | None:
        """Returns a WorkflowVersion that has this flow; None if none has it."""
        return next((version for version in self.versions if version.flow_hash == flow_hash), None)
