"""The archive's answers: about rows that retention is about to delete, and about rows that are read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.model.objects import Row


@dataclass(frozen=True)
class ArchiveAnswers:
    """The archive's answers about an App.

    - `acknowledged`: uids of rows that the archive just confirmed, by their digests.
    - `stored`: since when it has a row, by uid and by its own clock; None if it does not report that.
    - `problem`: why it does not have other rows.
    - `rows`: missing rows to which open rows roll back, by name.
    - `flows`: texts of flows that open rows name and that no ConfigMap and no WorkflowVersion has, by hash.
    """

    acknowledged: frozenset[str] = frozenset()
    stored: Mapping[str, datetime | None] = field(default_factory=dict)
    problem: str = ""
    rows: Mapping[str, Row] = field(default_factory=dict)
    flows: Mapping[str, str] = field(default_factory=dict)
