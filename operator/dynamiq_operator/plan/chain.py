"""Verifying a history: each row's digest over its content, each row over the row before it, each outcome over its row.

It finds what no policy of the API server can prevent: rows edited in etcd, removed past the policies, or made by an
impersonated operator. Rows that retention deleted are the oldest, so what is kept verifies from its oldest row on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model import digests


@dataclass(frozen=True)
class Misfit:
    """A row that does not fit, and why."""

    row: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """How a history verified. `rows`: how many were looked at; `oldest`, `newest`: digests of the chain's two ends."""

    rows: int
    oldest: str | None
    newest: str | None
    misfits: tuple[Misfit, ...]


def verify(records: Iterable[Mapping[str, Any]], *, expected: str | None = None) -> Verdict:
    """Walks the rows of one App, oldest first. `expected`: a digest that some row must have, as exported earlier."""
    rows = sorted((raw for raw in records if raw["spec"].get("sequence")), key=lambda raw: raw["spec"]["sequence"])
    misfits: list[Misfit] = []
    found: list[str] = []
    before: tuple[str, str] | None = None
    sequences: dict[int, str] = {}
    for raw in rows:
        name, spec = raw["metadata"]["name"], raw["spec"]
        misfits += [Misfit(name, reason) for reason in _alone(spec)]
        if (twin := sequences.setdefault(spec["sequence"], name)) != name:
            misfits.append(Misfit(name, f"sequence {spec['sequence']} is that of row {twin}, too"))
        pinned = spec.get("pinned")
        if pinned is None:
            continue
        if before is not None and pinned.get("previousDigest") != before[1]:
            misfits.append(Misfit(name, f"it does not follow row {before[0]}: a row between them is missing, or one was changed"))
        before = (name, pinned["digest"])
        found.append(pinned["digest"])
    if expected is not None and expected not in found:
        misfits.append(Misfit("(none)", f"no row has the expected digest {expected}: the row that had it is missing or was changed"))
    return Verdict(len(rows), found[0] if found else None, found[-1] if found else None, tuple(misfits))


def _alone(spec: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with a row whatever stands beside it."""
    pinned, outcome = spec.get("pinned"), spec.get("outcome")
    digest = digests.row_digest(spec)
    if pinned is not None and pinned.get("digest") != digest:
        yield "its content does not have its digest: it was changed"
    if outcome is not None and outcome.get("digest") != digests.outcome_digest(pinned["digest"] if pinned else digest, outcome):
        yield "its outcome does not have its digest: it was changed"
    if pinned is None and outcome is not None and outcome.get("result") == "Succeeded":
        yield "it succeeded and pins nothing"
