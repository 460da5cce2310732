"""What the archive has said: of rows that retention is about to let go, and of those that are brought back from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.model.objects import Record


@dataclass(frozen=True)
class Archive:
    """`acknowledged`: uids of rows that the archive has said a moment ago that it has, by their digests. `problem`: why it has not others, in words.

    `stored`: by uid, since when it has rows, by its own clock; None where it does not say.

    `rows`: by name, those that open rows restore and that are not in the cluster. `flows`: by hash, the text of those that open rows name and that
    no ConfigMap and no WorkflowVersion has.
    """

    acknowledged: frozenset[str] = frozenset()
    stored: Mapping[str, datetime | None] = field(default_factory=dict)
    problem: str = ""
    rows: Mapping[str, Record] = field(default_factory=dict)
    flows: Mapping[str, str] = field(default_factory=dict)
