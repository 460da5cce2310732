"""Makes policies, Approvals and Rejections, as users apply them."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.objects import Manifest
from tests.support.factories import NAMESPACE, UNSEALED, Modifier, flow_hash, manifest

TIER = f"{GROUP}/tier"


def policy_manifest(name: str = "production", *modifiers: Modifier, selector: Manifest | None = None, **rules: Any) -> Manifest:
    """Returns a policy that selects the tests' namespace by name, unless there is another selector."""
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    return manifest(kinds.DEPLOY_POLICY, name, {"namespaceSelector": by_name if selector is None else selector, **rules}, *modifiers)


def approval_manifest(name: str, row: str, *modifiers: Modifier, by: str = "bo", purpose: str = "Approve", **fields: Any) -> Manifest:
    return manifest(kinds.APPROVAL, name, {"row": row, "digest": UNSEALED, "purpose": purpose, "by": by, **fields}, *modifiers)


def rejection_manifest(name: str, version: str, *modifiers: Modifier, **fields: Any) -> Manifest:
    return manifest(
        kinds.REJECTION, name, {"workflowHash": flow_hash(version), "version": version, "reason": "loses invoices", **fields}, *modifiers
    )


def namespace_manifest(name: str = NAMESPACE, **labels: str) -> Manifest:
    """Returns a namespace with labels of ours, by their names under our prefix."""
    ours = {f"{GROUP}/{label}": value for label, value in labels.items()}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **ours}},
        "spec": {"finalizers": ["kubernetes"]},
    }
