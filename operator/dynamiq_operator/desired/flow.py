"""The ConfigMap of a flow, which pods mount."""

from __future__ import annotations

from dynamiq_operator.desired.base import CONFIG_MAP, child
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash as hash_of
from dynamiq_operator.model.objects import App, Manifest

FLOW_KEY = "flow"


def flow(app: App, flow_hash: str, text: str) -> Manifest:
    """Named by the flow's hash and immutable, so that an old row can always be brought back."""
    return child(
        app,
        CONFIG_MAP,
        names.flow(app.meta.name, flow_hash),
        annotations={names.FLOW_HASH_ANNOTATION: flow_hash},
        immutable=True,
        data={FLOW_KEY: text},
    )


def is_flow(observed: Manifest, flow_hash: str) -> bool:
    """Whether a ConfigMap has the flow of this hash, and can never have another one."""
    return bool(observed.get("immutable")) and hash_of((observed.get("data") or {}).get(FLOW_KEY, "")) == flow_hash
