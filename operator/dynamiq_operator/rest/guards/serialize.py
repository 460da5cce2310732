"""Serializes approvals, rejections and policies as the contract's JSON. Pure."""

from __future__ import annotations

from dynamiq_operator.actions.rejections import sentence
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.shared.serialize import Data, author


def approval(raw: Manifest, row: Manifest) -> Data:
    """Serializes an Approval of a row."""
    meta, spec = raw["metadata"], raw["spec"]
    return {
        "id": meta["uid"],
        "name": meta["name"],
        "deployment_id": row["metadata"]["uid"],
        "purpose": spec["purpose"],
        "message": spec.get("message"),
        "created_at": meta["creationTimestamp"],
        "created_by": author(spec.get("by")),
        "digest": spec["digest"],
        "is_of_this_digest": spec["digest"] == (row["spec"].get("pinned") or {}).get("digest"),
        "is_restored": bool(spec.get("restored")),
    }


def rejection(raw: Manifest) -> Data:
    meta, spec = raw["metadata"], raw["spec"]
    withdrawn = spec.get("withdrawn")
    return {
        "id": meta["uid"],
        "name": meta["name"],
        "workflow": spec.get("workflow"),
        "version": spec.get("version"),
        "flow_hash": spec["workflowHash"],
        "reason": spec["reason"],
        "created_at": meta["creationTimestamp"],
        "created_by": author(spec.get("by")),
        "withdrawn": {"by": author(withdrawn.get("by")), "reason": withdrawn["reason"]} if withdrawn else None,
        "message": sentence(raw),
    }


def policy(raw: Manifest) -> Data:
    meta = raw["metadata"]
    return {"id": meta["uid"], "name": meta["name"], "created_at": meta["creationTimestamp"], "spec": raw["spec"]}
