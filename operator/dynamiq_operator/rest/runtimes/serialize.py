"""Serializes Runtimes as the contract's JSON. Pure."""

from __future__ import annotations

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.runtime import Engine
from dynamiq_operator.rest.shared.serialize import Data


def runtime(raw: Manifest) -> Data:
    """Serializes a Runtime."""
    meta, spec = raw["metadata"], raw["spec"]
    return {
        "id": meta["uid"],
        "name": meta["name"],
        "version": spec["version"],
        "label": spec.get("label"),
        "image": spec["image"],
        "is_pinned_by_digest": "@sha256:" in spec["image"],
        "deprecated": bool(spec.get("deprecated")),
        "engine": spec.get("engine") or Engine.TINY.value,
        "created_at": meta["creationTimestamp"],
    }
