"""Builds the ConfigMap of a flow, which pods mount."""

from __future__ import annotations

from dynamiq_operator.desired.base import CONFIG_MAP, child
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash as hash_of
from dynamiq_operator.model.objects import App, Manifest

FLOW_KEY = names.FLOW_KEY


def flow(app: App, flow_hash: str, text: str) -> Manifest:
    """Returns the ConfigMap, named by the flow's hash."""
    return child(
        app,
        CONFIG_MAP,
        names.flow(app.meta.name, flow_hash),
        annotations={names.FLOW_HASH_ANNOTATION: flow_hash},
        # Immutable, so that an older row can always be deployed again.
        immutable=True,
        data={FLOW_KEY: text},
    )


def is_flow(observed: Manifest, flow_hash: str) -> bool:
    """Returns True if a ConfigMap has the flow of this hash and can never have another."""
    return bool(observed.get("immutable")) and hash_of((observed.get("data") or {}).get(FLOW_KEY, "")) == flow_hash
