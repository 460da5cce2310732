"""Deploys the same versions of several Apps, and knows which of them could accept a run at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.support.stage import Stage

CONFIG = {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}
SETTLES = 15.0
"""Seconds for which an earlier version may still accept runs after a newer one is live: its pods drain."""


@dataclass
class Deploys:
    """The versions that were deployed, with their times: from the row's creation until it is live. `rows`: names and versions by App."""

    on: Stage
    apps: Sequence[str]
    times: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    rows: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def deploy(self, version: str | None) -> None:
        """Deploys all Apps; None rolls each back to the row before."""
        for app in self.apps:
            rows = self.rows.setdefault(app, [])
            began = time.time()
            before = rows[-2] if version is None else None
            deployed = before[1] if before else str(version)
            fields = {"restores": before[0]} if before else {"workflowVersion": version, "config": CONFIG}
            rows.append((self.on.live(app, None, **fields), deployed))
            self.times.setdefault(app, []).append((began, time.time(), deployed))

    def live(self, app: str) -> str:
        """Returns the version that was deployed last."""
        return self.rows[app][-1][1]

    def hashes(self) -> dict[str, str]:
        """Returns the versions by the hashes of their flows, as the rows have them pinned."""
        rows = [row for app in self.apps for row in self.on.rows(app)]
        return {row["spec"]["pinned"]["workflowHash"]: row["spec"]["pinned"]["workflowVersion"] for row in rows}

    def may_accept(self, app: str, at: float) -> set[str]:
        """Returns the versions that could accept a run at a time: the live one, and another one while a deploy settles."""
        times = self.times[app]
        live = [version for _, until, version in times if until <= at][-1:]
        settling = [
            version for (_, _, old), (began, until, new) in pairwise(times) if began <= at <= until + SETTLES for version in (old, new)
        ]
        return {*live, *settling}
