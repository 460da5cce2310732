"""An App's rows as observed. It orders nothing: `plan.history` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dynamiq_operator.model.objects import Meta, Row
from dynamiq_operator.plan.observed.problems import ChildProblem


@dataclass(frozen=True)
class OrphanedRow:
    """A row that a deleted App of this uid had not numbered. It is deleted with that App; a later App of the same name does not own it."""

    meta: Meta
    app_uid: str


@dataclass(frozen=True)
class ObservedRows:
    """The rows of one App."""

    observed: tuple[Row, ...] = ()
    """Its rows that are not closed, and closed rows that those name."""
    more: bool = False
    """True if further rows wait for a number; the next reconciles handle those."""
    problems: Mapping[str, ChildProblem] = field(default_factory=dict)
    """Why a row may not be written, by the row's name."""
    orphaned: tuple[OrphanedRow, ...] = ()
    """Rows of a deleted App of the same name, which no App owns yet."""
