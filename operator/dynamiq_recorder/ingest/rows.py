"""Rows that the operator hands over to the archive. Every digest is computed anew before one is taken: whoever is told that it is here deletes his own.

A row is taken or refused by itself, so that one which somebody changed holds up none of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import orjson

from dynamiq_operator.model import chain
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.kinds import APP, RECORD
from dynamiq_operator.model.manifests import parse_time
from dynamiq_operator.model.record import CLOSED, Phase, Result
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.model import MICROSECONDS, ArchivedRow

ROWS_MOST = 100
"""In one body."""
_KEPT = ("name", "namespace", "uid", "creationTimestamp", "ownerReferences")
"""Of a row's metadata."""


class Given(msgspec.Struct, frozen=True):
    """A body. `flows`: by hash, the flows that rows name; None of one that is nowhere in the cluster."""

    rows: list[dict[str, Any]]
    flows: dict[str, str | None]


class Checked(msgspec.Struct, frozen=True):
    """What may be archived of a body, and, by the uids of the others, why not."""

    rows: tuple[ArchivedRow, ...]
    flows: Mapping[str, str]
    refused: Mapping[str, str]


class Owner(msgspec.Struct, frozen=True):
    """The App that rows have to be of."""

    uid: str
    namespace: str
    name: str


class _RefusedError(Exception):
    """Why a row is not taken."""


def from_json(raw: bytes) -> Given:
    """Raises NotReadable."""
    try:
        given = msgspec.convert(orjson.loads(raw), Given)
    except (orjson.JSONDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise NotReadable(f"the body is not rows with their flows: {str(error)[:200]}") from None
    if not 1 <= len(given.rows) <= ROWS_MOST:
        raise NotReadable(f"a body has from 1 to {ROWS_MOST} rows, and this one {len(given.rows)}")
    for row in given.rows:
        if not isinstance(row.get("metadata"), dict) or not _is_name(row["metadata"].get("uid"), 64):
            raise NotReadable("a row has no metadata.uid")
    return given


def named_flows(given: Given) -> Iterator[str]:
    """Hashes of flows that rows name and that do not come along."""
    for row in given.rows:
        named = _part(_part(row, "spec"), "pinned").get("workflowHash")
        if isinstance(named, str) and named not in given.flows:
            yield named


def checked(given: Given, owner: Owner, there: Iterable[str]) -> Checked:
    """`there`: hashes of flows that are archived already."""
    taken: list[ArchivedRow] = []
    refused: dict[str, str] = {}
    flows = {digest: text for digest, text in given.flows.items() if text is not None and flow_hash(text) == digest}
    absent = {digest for digest, text in given.flows.items() if text is None}
    known = {*there, *flows, *absent}
    for row in given.rows:
        try:
            taken.append(_row(row, owner, known))
        except _RefusedError as why:
            refused[row["metadata"]["uid"]] = str(why)
    return Checked(tuple(taken), flows, refused)


def _row(raw: Mapping[str, Any], owner: Owner, flows: Iterable[str]) -> ArchivedRow:
    """Raises _RefusedError."""
    meta, spec = _part(raw, "metadata"), _part(raw, "spec")
    pinned, outcome = _part(spec, "pinned"), _part(spec, "outcome")
    owners = {each.get("uid") for each in meta.get("ownerReferences") or () if isinstance(each, dict) and each.get("kind") == APP.kind}
    if (
        raw.get("kind") != RECORD.kind
        or (meta.get("namespace"), spec.get("app")) != (owner.namespace, owner.name)
        or owner.uid not in owners
    ):
        raise _RefusedError("it is no row of this App")
    sequence = spec.get("sequence")
    if not _is_name(meta.get("name"), 253) or not isinstance(sequence, int) or not 0 < sequence < 1 << 62:
        raise _RefusedError("it has no name, or no sequence")
    if not outcome:
        raise _RefusedError("it has not ended")
    if not chain.fits_alone(spec):
        raise _RefusedError("its content does not have its digests: it was changed")
    named = pinned.get("workflowHash") if pinned else None
    if named is not None and named not in flows:
        raise _RefusedError("the flow that it names is not here, and did not come along with the hash that the row says")
    try:
        ended = round(parse_time(outcome["at"]).timestamp() * MICROSECONDS)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _RefusedError("it does not say when it ended") from None
    return ArchivedRow(
        uid=meta["uid"],
        app_uid=owner.uid,
        namespace=owner.namespace,
        app=owner.name,
        name=meta["name"],
        sequence=sequence,
        digest=pinned["digest"] if pinned else None,
        outcome_digest=outcome["digest"],
        flow_hash=named,
        ended=ended,
        succeeded=outcome.get("result") == Result.SUCCEEDED,
        content=_content(raw, meta, spec, outcome),
    )


def _content(raw: Mapping[str, Any], meta: Mapping[str, Any], spec: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    """The row without what was of the cluster alone. Its phase is one of rows that are over, whatever it said when it was read."""
    phase = _part(raw, "status").get("phase")
    over = phase if phase in CLOSED else Phase.FAILED if outcome.get("result") == Result.FAILED else Phase.SUPERSEDED
    kept = {
        "apiVersion": raw.get("apiVersion"),
        "kind": raw.get("kind"),
        "metadata": {name: meta[name] for name in _KEPT if name in meta},
        "spec": spec,
        "status": {"phase": over},
    }
    return orjson.dumps(kept).decode()


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _is_name(given: object, most: int) -> bool:
    return isinstance(given, str) and 0 < len(given) <= most and given.isascii() and given.isprintable()
