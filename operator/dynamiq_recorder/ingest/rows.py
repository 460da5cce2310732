"""Verifies rows that the operator hands over to the archive. It stores none.

Every digest is recomputed, since the operator deletes a row once it is archived. Each row is accepted or refused by itself, so that one
changed row does not block the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import orjson

from dynamiq_operator.model import chain
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.kinds import APP, ROW
from dynamiq_operator.model.manifests import parse_time
from dynamiq_operator.model.row import CLOSED, Phase, Result
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.model import MICROSECONDS, ArchivedRow

ROWS_MOST = 100
"""Most rows in one body."""
_KEPT = ("name", "namespace", "uid", "creationTimestamp", "ownerReferences")
"""Fields of a row's metadata that are archived."""


class Given(msgspec.Struct, frozen=True):
    """A body. `flows`: by hash, the flows that rows name; None for a flow that is missing in the cluster."""

    rows: list[dict[str, Any]]
    flows: dict[str, str | None]


class Checked(msgspec.Struct, frozen=True):
    """The rows and flows of a body that may be archived. `refused`: by uid, why the other rows may not."""

    rows: tuple[ArchivedRow, ...]
    flows: Mapping[str, str]
    refused: Mapping[str, str]


class Owner(msgspec.Struct, frozen=True):
    """The App to which the rows must belong."""

    uid: str
    namespace: str
    name: str


class _RefusedError(Exception):
    """The reason why a row is refused."""


def from_json(raw: bytes) -> Given:
    """Parses a body.

    Raises NotReadable.
    """
    try:
        parsed = msgspec.convert(orjson.loads(raw), Given)
    except (orjson.JSONDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise NotReadable(f"the body is not rows with their flows: {str(error)[:200]}") from None
    if not 1 <= len(parsed.rows) <= ROWS_MOST:
        raise NotReadable(f"send 1 to {ROWS_MOST} rows, got {len(parsed.rows)}")
    for row in parsed.rows:
        if not isinstance(row.get("metadata"), dict) or not _is_name(row["metadata"].get("uid"), 64):
            raise NotReadable("a row has no metadata.uid")
    return parsed


def named_flows(parsed: Given) -> Iterator[str]:
    """Yields hashes of flows that rows name and the body lacks."""
    for row in parsed.rows:
        named = _part(_part(row, "spec"), "pinned").get("workflowHash")
        if isinstance(named, str) and named not in parsed.flows:
            yield named


def checked(parsed: Given, owner: Owner, archived: Iterable[str]) -> Checked:
    """Verifies the rows of a body. `archived`: hashes of flows that are archived already."""
    taken: list[ArchivedRow] = []
    refused: dict[str, str] = {}
    flows = {digest: text for digest, text in parsed.flows.items() if text is not None and flow_hash(text) == digest}
    absent = {digest for digest, text in parsed.flows.items() if text is None}
    known = {*archived, *flows, *absent}
    for row in parsed.rows:
        try:
            taken.append(_row(row, owner, known))
        except _RefusedError as why:
            refused[row["metadata"]["uid"]] = str(why)
    return Checked(tuple(taken), flows, refused)


def _row(raw: Mapping[str, Any], owner: Owner, flows: Iterable[str]) -> ArchivedRow:
    """Verifies a row, and returns it as it is archived. Raises _RefusedError."""
    meta, spec = _part(raw, "metadata"), _part(raw, "spec")
    pinned, outcome = _part(spec, "pinned"), _part(spec, "outcome")
    owners = {each.get("uid") for each in meta.get("ownerReferences") or () if isinstance(each, dict) and each.get("kind") == APP.kind}
    if raw.get("kind") != ROW.kind or (meta.get("namespace"), spec.get("app")) != (owner.namespace, owner.name) or owner.uid not in owners:
        raise _RefusedError("it is not a row of this App")
    sequence = spec.get("sequence")
    if not _is_name(meta.get("name"), 253) or not isinstance(sequence, int) or not 0 < sequence < 1 << 62:
        raise _RefusedError("it has no name or no sequence")
    if not outcome:
        raise _RefusedError("it has not ended")
    if not chain.fits_alone(spec):
        raise _RefusedError("its digests do not match its content: it was changed")
    named = pinned.get("workflowHash") if pinned else None
    if named is not None and named not in flows:
        raise _RefusedError("its flow is not stored, and was not sent with the hash that the row has")
    try:
        ended = round(parse_time(outcome["at"]).timestamp() * MICROSECONDS)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _RefusedError("it has no time of its end") from None
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
    """Returns the row as JSON, without what is the cluster's alone. A phase that is not final is replaced by the final one."""
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
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _is_name(value: object, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and value.isascii() and value.isprintable()
