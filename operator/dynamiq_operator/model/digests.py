"""Computes the digests that make the history verifiable: of a flow, of a row over the previous row, and of its outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785


def flow_hash(flow: str) -> str:
    """Returns the SHA-256 of the flow's bytes (UTF-8), as `sha256:<hex>`."""
    return _sha256(flow.encode())


def canonical(value: Any) -> str:
    """Returns the SHA-256 over the canonical JSON (RFC 8785) of `value`, as `sha256:<hex>`."""
    return _sha256(rfc8785.dumps(value))


NO_DIGEST = "sha256:" + "0" * 64
"""Placeholder until a digest is computed, which is over the object without it: pins and AppChanges are invalid without a digest."""
NOT_COVERED = ("released", "verified", "outcome")
"""Parts of a row's spec that are written after its digest, so it does not cover them. `outcome_digest` covers them."""


def row_digest(spec: Mapping[str, Any]) -> str:
    """Returns the digest of a row's stored spec, without later parts and `pinned.digest`. It includes `pinned.previousDigest`."""
    covered = {key: value for key, value in spec.items() if key not in NOT_COVERED}
    if "pinned" in covered:
        covered["pinned"] = {key: value for key, value in covered["pinned"].items() if key != "digest"}
    return canonical(covered)


def outcome_digest(digest: str, outcome: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Returns the digest over a row's digest, its outcome and, if its `spec` has them, its admission and verification."""
    between = {name: spec[name] for name in ("released", "verified") if name in spec}
    return canonical({"digest": digest, "outcome": {key: value for key, value in outcome.items() if key != "digest"}, **between})


def change_digest(spec: Mapping[str, Any]) -> str:
    """Returns the digest of an AppChange's stored spec without `digest`. It includes `previousDigest`."""
    return canonical({key: value for key, value in spec.items() if key != "digest"})


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
