"""Verifying a history: each row's digest over its content, each row over the row before it, each outcome over its row.

It finds what no policy of the API server can prevent: rows edited in etcd, removed past the policies, or made by an
impersonated operator. Rows that retention deleted are the oldest, so what is kept verifies from its oldest row on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from dynamiq_operator.model import digests


@dataclass(frozen=True)
class Misfit:
    """A row that does not fit, and why."""

    row: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """How a history verified. `rows`: how many were verified; `oldest`, `newest`: digests of the chain's two ends."""

    rows: int
    oldest: str | None
    newest: str | None
    misfits: tuple[Misfit, ...]


def verify(records: Iterable[Mapping[str, Any]], *, expected: str | None = None) -> Verdict:
    """Walks the rows of one App, oldest first. `expected`: a digest that some row must have, as exported earlier.

    A row is taken as it comes, whatever its fields hold: a copy of a history may be damaged in any place.
    """
    misfits: list[Misfit] = []
    numbered: list[tuple[int, str, Mapping[str, Any]]] = []
    for raw in records:
        name, spec = _name(raw), raw.get("spec")
        if not isinstance(spec, Mapping):
            misfits.append(Misfit(name, "it has no spec"))
        elif isinstance(sequence := spec.get("sequence"), int) and sequence > 0:
            numbered.append((sequence, name, spec))
        elif {"sequence", "pinned", "outcome"} & set(spec):
            misfits.append(Misfit(name, "it has no sequence: it was changed"))
    rows = len(numbered) + len(misfits)
    numbered.sort(key=lambda row: row[:2])
    misfits += _walk(numbered)
    found = [pinned["digest"] for _, _, spec in numbered if (pinned := _part(spec, "pinned")) and isinstance(pinned.get("digest"), str)]
    if expected is not None and expected not in found:
        misfits.append(Misfit("(none)", f"no row has the expected digest {expected}: the row that had it is missing or was changed"))
    return Verdict(rows, found[0] if found else None, found[-1] if found else None, tuple(misfits))


def fits_alone(spec: Mapping[str, Any]) -> bool:
    """Whether a row's digests are those of its own content."""
    return not any(_alone(spec))


def _walk(rows: Sequence[tuple[int, str, Mapping[str, Any]]]) -> Iterator[Misfit]:
    by_sequence: dict[int, str] = {}
    before: tuple[str, Any] | None = None
    ended = max((sequence for sequence, _, spec in rows if "pinned" in spec and "outcome" in spec), default=0)
    for sequence, name, spec in rows:
        for reason in _alone(spec):
            yield Misfit(name, reason)
        if (twin := by_sequence.setdefault(sequence, name)) != name:
            yield Misfit(name, f"sequence {sequence} is that of row {twin}, too")
        if sequence < ended and "outcome" not in spec:
            yield Misfit(name, "it has not ended, and a newer row that was rolled out has: its outcome was removed")
        pinned = _part(spec, "pinned")
        if pinned is None:
            continue
        if before is not None and pinned.get("previousDigest") != before[1]:
            yield Misfit(name, f"it does not follow row {before[0]}: a row between them is missing, or one was changed")
        restored = _part(pinned, "restores") or {}
        if (there := by_sequence.get(restored.get("sequence", 0))) is not None and there != restored.get("row"):
            yield Misfit(there, f"row {name} restored it under the name {restored.get('row')}: it was renamed")
        before = (name, pinned.get("digest"))


def _alone(spec: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a row by itself."""
    pinned, outcome = _part(spec, "pinned"), _part(spec, "outcome")
    if (pinned is None and "pinned" in spec) or (outcome is None and "outcome" in spec):
        yield "its pins or its outcome are no object: it was changed"
        return
    try:
        digest = digests.row_digest(spec)
        ended = digests.outcome_digest(pinned.get("digest", "") if pinned else digest, outcome) if outcome else ""
    except (rfc8785.CanonicalizationError, TypeError, ValueError):
        yield "its content is no JSON: it was changed"
        return
    if pinned is not None and pinned.get("digest") != digest:
        yield "its content does not have its digest: it was changed"
    if outcome is not None and outcome.get("digest") != ended:
        yield "its outcome does not have its digest: it was changed"
    if pinned is None and outcome is not None and outcome.get("result") == "Succeeded":
        yield "it succeeded and pins nothing"


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = of.get(name)
    return found if isinstance(found, Mapping) else None


def _name(raw: Mapping[str, Any]) -> str:
    return str((_part(raw, "metadata") or {}).get("name", "(no name)"))
