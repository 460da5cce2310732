"""Verifies a history: each row's digest over its content and the previous row, each outcome over its row.

It finds what no policy of the API server can prevent: rows edited in etcd, removed despite the policies, or made by an impersonated
operator. Retention deletes the oldest rows, so a kept history verifies from its oldest row on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import rfc8785

from dynamiq_operator.model import digests


@dataclass(frozen=True)
class Misfit:
    """A row that does not fit, and why."""

    row: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The result of verifying a history. `rows`: the number verified. `oldest`, `newest`: digests of the chain's two ends.

    `newest_row`, `expected_row`: names of the rows with the newest and the expected digest; None if no row has it.
    """

    rows: int
    oldest: str | None
    newest: str | None
    misfits: tuple[Misfit, ...]
    newest_row: str | None = None
    expected_row: str | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    """The remainder of a row once its own content is verified: histories of thousands of rows are not kept in memory.

    `wrong`: problems of the row by itself. `waits`: True if it was never admitted; a row that overtook it may have ended first.
    `relies_on`: rows that went live before it, according to its pins. `restored`: sequence and name of the row that it restores.
    """

    sequence: int
    name: str
    wrong: tuple[str, ...]
    waits: bool
    relies_on: tuple[Any, ...]
    has_pins: bool
    has_outcome: bool
    is_pinned: bool
    digest: Any
    previous: Any
    restored: tuple[int, Any] | None

    @classmethod
    def of(cls, sequence: int, name: str, spec: Mapping[str, Any]) -> _Link:
        pinned = _part(spec, "pinned")
        pins = pinned or {}
        restores = _part(pins, "restores") or {}
        number = restores.get("sequence")
        return cls(
            sequence=sequence,
            name=name,
            wrong=tuple(_alone(spec)),
            relies_on=tuple((_part(pins, part) or {}).get("row") for part in ("base", "restores")),
            waits=bool(pins.get("guards")) and not {"released", "outcome"} & set(spec),
            has_pins="pinned" in spec,
            has_outcome="outcome" in spec,
            is_pinned=pinned is not None,
            digest=pins.get("digest"),
            previous=pins.get("previousDigest"),
            restored=(number, restores.get("row")) if isinstance(number, int) else None,
        )


class Chain:
    """The rows of one App, added in any order. Little is kept of each row, so the rows of many Apps may arrive interleaved."""

    def __init__(self) -> None:
        self._misfits: list[Misfit] = []
        self._links: list[_Link] = []

    def add(self, raw: Mapping[str, Any]) -> None:
        """Adds a row, whatever its fields contain: a copy of a history may be damaged anywhere."""
        name, spec = _name(raw), raw.get("spec")
        if not isinstance(spec, Mapping):
            self._misfits.append(Misfit(name, "it has no spec"))
        elif isinstance(sequence := spec.get("sequence"), int) and sequence > 0:
            self._links.append(_Link.of(sequence, name, spec))
        elif {"sequence", "pinned", "outcome"} & set(spec):
            self._misfits.append(Misfit(name, "it has no sequence: it was changed"))

    def verdict(self, *, expected: str | None = None) -> Verdict:
        """Verifies the added rows, oldest first. `expected`: a digest that some row must have, as exported earlier."""
        misfits, links = list(self._misfits), sorted(self._links, key=lambda link: (link.sequence, link.name))
        rows = len(links) + len(misfits)
        misfits += _walk(links)
        named = [(link.digest, link.name) for link in links if isinstance(link.digest, str)]
        expected_row = next((name for digest, name in named if digest == expected), None)
        if expected is not None and expected_row is None:
            misfits.append(Misfit("(none)", f"no row has the expected digest {expected}: the row that had it is missing or was changed"))
        (oldest, _), (newest, newest_row) = (named[0], named[-1]) if named else ((None, None), (None, None))
        return Verdict(rows, oldest, newest, tuple(misfits), newest_row, expected_row)


def verify(records: Iterable[Mapping[str, Any]], *, expected: str | None = None) -> Verdict:
    """Verifies rows from an iterable, like `Chain`."""
    chain = Chain()
    for raw in records:
        chain.add(raw)
    return chain.verdict(expected=expected)


def fits_alone(spec: Mapping[str, Any]) -> bool:
    """Returns True if a row's digests match its own content."""
    return not any(_alone(spec))


def change_fits_alone(spec: Mapping[str, Any]) -> bool:
    """Returns True if an AppChange's digest matches its content, whatever is around it."""
    return not _change_alone(spec)


def verify_changes(records: Iterable[Mapping[str, Any]], *, expected: str | None = None) -> Verdict:
    """Verifies the AppChanges of one App, in any order: each digest over its content and over the previous AppChange.

    Retention deletes the oldest, so the rest verifies from its oldest on. `expected`: a digest that one of them may have.
    """
    misfits: list[Misfit] = []
    links: list[_ChangeLink] = []
    for raw in records:
        name, spec = _name(raw), raw.get("spec")
        if isinstance(spec, Mapping) and isinstance(sequence := spec.get("sequence"), int) and sequence > 0:
            links.append(_ChangeLink(sequence, name, _change_alone(spec), spec.get("digest"), spec.get("previousDigest")))
        else:
            misfits.append(Misfit(name, "it has no spec, or no sequence: it was changed"))
    rows = len(links) + len(misfits)
    links.sort(key=lambda link: (link.sequence, link.name))
    before: _ChangeLink | None = None
    for link in links:
        misfits += [Misfit(link.name, reason) for reason in (link.wrong, _misplaced(link, before)) if reason]
        before = link
    oldest, newest = (links[0].digest, links[-1].digest) if links else (None, None)
    expected_name = next((link.name for link in links if expected is not None and link.digest == expected), None)
    return Verdict(rows, oldest, newest, tuple(misfits), links[-1].name if links else None, expected_name)


class _ChangeLink(NamedTuple):
    """The remainder of an AppChange once its own content is verified. `wrong`: its problem by itself."""

    sequence: int
    name: str
    wrong: str
    digest: Any
    previous: Any


def _change_alone(spec: Mapping[str, Any]) -> str:
    try:
        digest = digests.change_digest(spec)
    except (rfc8785.CanonicalizationError, TypeError, ValueError):
        return "its content is not JSON: it was changed"
    return "" if spec.get("digest") == digest else "its content does not have its digest: it was changed"


def _misplaced(link: _ChangeLink, before: _ChangeLink | None) -> str:
    if before is None or (before.sequence == link.sequence - 1 and link.previous == before.digest):
        return ""
    if before.sequence == link.sequence:
        return f"sequence {link.sequence} is that of {before.name}, too"
    return f"it does not follow {before.name}: a record between them is missing, or one was changed"


def _walk(links: Sequence[_Link]) -> Iterator[Misfit]:
    by_sequence: dict[int, str] = {}
    before: _Link | None = None
    ended = max((link.sequence for link in links if link.has_pins and link.has_outcome), default=0)
    relied_on = {name for link in links for name in link.relies_on}
    for link in links:
        for reason in link.wrong:
            yield Misfit(link.name, reason)
        if (twin := by_sequence.setdefault(link.sequence, link.name)) != link.name:
            yield Misfit(link.name, f"sequence {link.sequence} is that of row {twin}, too")
        if link.sequence < ended and not link.has_outcome and not (link.waits and link.name not in relied_on):
            yield Misfit(link.name, "it has not ended, and a newer row that was rolled out has: its outcome was removed")
        if not link.is_pinned:
            continue
        if before is not None and link.previous != before.digest:
            yield Misfit(link.name, f"it does not follow row {before.name}: a row between them is missing, or one was changed")
        number, restored = link.restored or (0, None)
        if (current_name := by_sequence.get(number)) is not None and current_name != restored:
            yield Misfit(current_name, f"row {link.name} restored it under the name {restored}: it was renamed")
        before = link


def _alone(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yields the problems of a row by itself."""
    pinned, outcome = _part(spec, "pinned"), _part(spec, "outcome")
    if (pinned is None and "pinned" in spec) or (outcome is None and "outcome" in spec):
        yield "its pins or its outcome are not an object: it was changed"
        return
    try:
        digest = digests.row_digest(spec)
        ended = digests.outcome_digest(pinned.get("digest", "") if pinned else digest, outcome, spec) if outcome else ""
    except (rfc8785.CanonicalizationError, TypeError, ValueError):
        yield "its content is not JSON: it was changed"
        return
    if pinned is not None and pinned.get("digest") != digest:
        yield "its content does not have its digest: it was changed"
    if outcome is not None and outcome.get("digest") != ended:
        yield "its outcome does not have its digest: it was changed"
    if pinned is None and outcome is not None and outcome.get("result") == "Succeeded":
        yield "it succeeded and pins nothing"


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    part = mapping.get(name)
    return part if isinstance(part, Mapping) else None


def _name(raw: Mapping[str, Any]) -> str:
    return str((_part(raw, "metadata") or {}).get("name", "(no name)"))
